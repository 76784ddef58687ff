"""Maestro's own verbs as an MCP server: what was given is offered, the rest is not there."""

from typing import Any

import orjson
import pytest
from mcp.client import Client
from pydantic import BaseModel

from maestro.adapters.mcp.offered import GROUPS, groups_of, verbs_server
from maestro.adapters.memory.backend import MemoryBackend
from maestro.client import Maestro
from maestro.clock import ManualClock
from maestro.continuation.directive import Closing, Finish
from maestro.continuation.mail import Mail
from maestro.errors import InvalidInput
from maestro.ids import TenantId
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from tests.stage import Stage

EVERY = {
    "list", "status", "why", "log", "waits", "findings", "send", "start", "reply", "approve", "deny", "cancel", "kill",
}  # fmt: skip


class Heard(BaseModel):
    mails: list[str] = []


class Listener(Behaviour[Heard]):
    """Notes who wrote and how far that is trusted; asks before it pays."""

    async def on_message(self, tick: Tick[Heard], message: Mail) -> Closing | None:
        tick.state.mails.append(f"{message.sender} {message.trust}")
        if message.body == {"text": "pay"}:
            return tick.ask_approval("pay mallory", {"cents": 5}, on_denied="resume")
        return None

    async def on_approval(self, tick: Tick[Heard], approval: Mail) -> Closing | None:
        return Finish(result=approval.body)


class Caller:
    def __init__(self, client: Client) -> None:
        self._client = client

    async def names(self) -> set[str]:
        return {tool.name for tool in (await self._client.list_tools()).tools}

    async def call(self, tool: str, **arguments: Any) -> Any:
        """The answer; of an error, its text."""
        result = await self._client.call_tool(tool, arguments)
        text = getattr(result.content[0], "text", "")
        return text if result.is_error else orjson.loads(text)


@pytest.fixture
def stage() -> Stage:
    return Stage(MemoryBackend(1, ManualClock(1_795_000_000_000), TenantId("default")), Listener)


@pytest.mark.parametrize("group", GROUPS)
async def test_a_group_that_was_not_given_is_not_there(stage: Stage, group: str) -> None:
    async with Client(verbs_server(Maestro(stage.at), groups_of(group))) as given:
        names = await Caller(given).names()
    async with Client(verbs_server(Maestro(stage.at), groups_of(",".join(set(GROUPS) - {group})))) as others:
        assert await Caller(others).names() == EVERY - names
        withheld = min(names)
        assert f"Unknown tool: {withheld}" in await Caller(others).call(withheld)
    assert names
    with pytest.raises(InvalidInput, match="'rule' is no group of verbs"):
        groups_of("look,rule")


async def test_one_is_started_told_looked_at_and_stopped(stage: Stage) -> None:
    async with Client(verbs_server(Maestro(stage.at), groups_of("all"), who="mcp-desk")) as client:
        caller = Caller(client)
        begun = await caller.call("start", behaviour="listener", goal="listen", usd="0.10", name="ears")
        await stage.settle()
        await caller.call("send", id="ears", message="hello", key="1")
        await caller.call("send", id="ears", message="hello", key="1")
        await stage.settle()
        assert (await stage.state(begun["id"]))["mails"] == ["mcp-desk untrusted"]
        assert (await caller.call("status", id="ears"))["budget"]["usd"]["granted"] == 100_000
        assert "sleep" in (await caller.call("why", id="ears"))["why"]
        assert [row["name"] for row in (await caller.call("list"))["continuations"]] == ["ears"]
        assert len(await caller.call("log", id="ears", last=1)) == 1

        await caller.call("kill", id="ears")
        await stage.settle()
        assert (await caller.call("status", id=begun["id"]))["status"] == "cancelled"


async def test_an_answer_is_given_in_the_name_of_who_gave_it(stage: Stage) -> None:
    async with Client(verbs_server(Maestro(stage.at), groups_of("all"), who="mcp-desk")) as client:
        caller = Caller(client)
        begun = await caller.call("start", behaviour="listener", goal="listen")
        await stage.settle()
        await caller.call("send", id=begun["id"], message="pay")
        await stage.settle()
        (asked,) = await caller.call("waits")
        assert asked["id"] == begun["id"]
        approval = asked["asked"][0]["approval_id"]
        await caller.call("deny", id=begun["id"], approval=approval)
        assert "decided already" in await caller.call("approve", id=begun["id"], approval=approval)
        await stage.settle()
        checkpoint = await stage.checkpoint(begun["id"])
        assert isinstance(checkpoint.result, dict)
        assert (checkpoint.result["decision"], checkpoint.result["by"]) == ("denied", "mcp-desk")


async def test_nobody_is_given_more_than_the_default_and_errors_say_what_to_do(stage: Stage) -> None:
    most = stage.at.default_budget["usd"]
    async with Client(verbs_server(Maestro(stage.at), groups_of("all"))) as client:
        caller = Caller(client)
        refused = await caller.call("start", behaviour="listener", goal="x", usd=str(most // 1_000_000 + 1))
        assert "more than may be given this way" in refused
        assert "see `maestro list`" in await caller.call("why", id="nobody")
    assert await stage.all() == []
