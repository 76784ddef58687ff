"""The tools that Maestro brings along, named by a behaviour and carried out by real workers."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import JsonValue

from maestro import bootstrap
from maestro.adapters.memory.backend import MemoryBackend
from maestro.adapters.sandbox.tools import ToolWorkers
from maestro.continuation.directive import Closing, Finish
from maestro.errors import ToolError
from maestro.ids import TenantId
from maestro.runtime.backend import Backend
from maestro.settings import Settings
from maestro.tick.behaviour import Behaviour, NoState
from maestro.tick.context import Tick
from maestro.tick.workbench import Workbench
from maestro.tools.calls import Order
from tests.integration.feed_support import answering, serving
from tests.integration.test_letters import Post
from tests.integration.test_letters import serving as serving_mail
from tests.stage import Stage

PAGE = "<p>Grüße</p>".encode()


class Clerk(Behaviour[NoState]):
    """Uses the one tool that its input names, and ends with what came of it."""

    async def start(self, tick: Tick[NoState]) -> Closing | None:
        asked: Any = tick.about.input
        try:
            result: JsonValue = await tick.use(asked["tool"], **asked["arguments"])
        except ToolError as error:
            result = {"error": error.code, "message": error.message}
        return Finish(result=result)


class Office:
    """An installation with these settings; its memory store, its tools, its workers."""

    def __init__(self, settings: Settings, backend: Backend, bench: Workbench) -> None:
        self.names = {spec.name for spec in bench.toolbox.specs}
        self.workers = ToolWorkers(gifts=bootstrap.gifts(settings))
        self._toolbox = bench.toolbox
        tools = [bench.toolbox.find(name) for name in self.names]
        self._stage = Stage(backend, Clerk, tools=tools, workers=self.workers)

    @classmethod
    async def open(cls, settings: Settings) -> "Office":
        backend = MemoryBackend(1, tenant=TenantId("default"))
        return cls(settings, backend, await bootstrap.workbench(settings, backend))

    async def done(self, tool: str, *scopes: str, **arguments: Any) -> Any:
        """The result of one clerk."""
        cid = await self._stage.start(Clerk, scopes=scopes, input={"tool": tool, "arguments": arguments})
        await self._stage.settle()
        return (await self._stage.checkpoint(cid)).result

    async def called(self, tool: str, **arguments: Any) -> Any:
        """What the tool returns, with nobody asked."""
        found = self._toolbox.find(tool)
        return await self.workers.run(Order(found, found.arguments(arguments), "key-1"))


def settings(home: Path, **told: Any) -> Settings:
    return Settings(home=home, **told)


@pytest.fixture
async def offices() -> AsyncIterator[list[Office]]:
    opened: list[Office] = []
    yield opened
    for office in opened:
        await office.workers.close()


async def test_a_page_is_fetched_where_an_operator_lets_it_and_only_with_the_scope(
    tmp_path: Path, offices: list[Office]
) -> None:
    async with serving(answering(PAGE, "Content-Type: text/html; charset=utf-8")) as url:
        office = await Office.open(settings(tmp_path, egress_allow=(f"127.0.0.1:{urlsplit(url).port}",)))
        offices.append(office)
        page = await office.done("web.fetch", "web", url=url)
        assert (page["status"], page["media_type"], page["text"]) == (200, "text/html", PAGE.decode())
        assert (await office.done("web.fetch", url=url))["error"] == "tool_denied"
        closed = await Office.open(settings(tmp_path))
        offices.append(closed)
        refused = await closed.done("web.fetch", "web", url=url)
        assert (refused["error"], "may not be called" in refused["message"]) == ("tool_declined", True)
    assert "code.run" not in office.names


async def test_a_letter_is_sent_once_by_its_key_and_only_to_those_who_are_written_to(
    tmp_path: Path, offices: list[Office]
) -> None:
    post = Post()
    async with serving_mail(post) as smtp:
        at = smtp._server
        url = f"smtp://{at.host}:{at.port}/?from=m@example.org&to=*@example.org"
        office = await Office.open(settings(tmp_path, mail_url=url))
        offices.append(office)
        sent = await office.done("mail.send", "mail.send", to=["ann@example.org"], subject="Grüße", body="Hallo")
        assert sent["to"] == ["ann@example.org"]
        assert f"Message-ID: {sent['message_id']}".encode() in post.letters[0]
        stranger = await office.done("mail.send", "mail.send", to=["ann@evil.example"], subject="s", body="b")
        assert (stranger["error"], len(post.letters)) == ("tool_declined", 1)
        forged = await office.done("mail.send", "mail.send", to=["ann@example.org"], subject="s\nBcc: x", body="b")
        assert (forged["error"], len(post.letters)) == ("tool_validation", 1)
    assert office.workers.warm == 0, "a worker that was given a password serves no other tool"
    nobody = await Office.open(settings(tmp_path))
    offices.append(nobody)
    told = await nobody.done("mail.send", "mail.send", to=["ann@example.org"], subject="s", body="b")
    assert (told["error"], "no mail server" in told["message"]) == ("tool_declined", True)


async def test_programs_run_where_an_operator_said_so_after_a_person_said_so_and_reach_no_network(
    tmp_path: Path, offices: list[Office]
) -> None:
    office = await Office.open(settings(tmp_path, code_execution=True))
    offices.append(office)
    source = "import os, socket\nprint(sorted(os.environ))\nsocket.create_connection(('127.0.0.1', 1), 1)"
    assert await office.done("code.run", "code.run", source=source) is None, "a person is asked first"
    ran = await office.called("code.run", source=source)
    assert ran["status"] == 1
    assert "unreachable" in ran["errors"]
    assert "MAESTRO" not in ran["output"]
