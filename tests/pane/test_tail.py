"""One continuation followed at once from the command line and in the pane: both tell the same, as it happens."""

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect

from maestro.continuation.goal import GoalFrame
from maestro.gateway.access import Doorkeeper
from maestro.gateway.app import Terms, build
from maestro.ids import ContinuationId
from maestro.runtime import verbs
from tests.integration.cli.test_as_a_process import MAESTRO, environment
from tests.integration.cli_support import Town
from tests.pane.theatre import STATIC

ROUNDS = 4
TICKS = """() => [...document.querySelectorAll('.tick')].map((one) => ({
  rev: Number(one.querySelector('.rev').textContent),
  woken: one.querySelector('.woken').textContent.trim(),
  then: one.querySelector('.then').textContent,
}))"""


@dataclass
class Street:
    """A store in Redis, what moves on it, and the API before it."""

    town: Town
    url: str

    def link(self) -> str:
        at = self.town.at
        return (
            f"{self.url}/login?code={self.town.do(Doorkeeper(at.backend.register, at.backend.clock, at.tenant).code())}"
        )


@pytest.fixture
def street() -> Iterator[Street]:
    home = Path(tempfile.mkdtemp(prefix="mpt-", dir="/tmp"))
    with Town(home / "h") as town:
        server = uvicorn.Server(
            uvicorn.Config(
                build(town.at, Terms(static=STATIC)), "127.0.0.1", 0, log_level="error", timeout_graceful_shutdown=1
            )
        )
        serving = asyncio.run_coroutine_threadsafe(server.serve(), town.loop)
        town.do(_begun(server))
        yield Street(town, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}")
        server.should_exit = True
        serving.result(30)
        town.do(_unwatched())
    shutil.rmtree(home)


async def _begun(server: uvicorn.Server) -> None:
    while not server.started:  # noqa: ASYNC110 - uvicorn tells it in no other way
        await asyncio.sleep(0.02)


async def _unwatched() -> None:
    """What looks for the end of streams looks no more."""
    for task in asyncio.all_tasks():
        if getattr(task.get_coro(), "__name__", "") == "_shutdown_watcher":
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.mark.spec("06.15")
def test_the_tail_of_the_command_line_and_the_timeline_of_the_pane_tell_the_same(
    street: Street, browser: Browser
) -> None:
    at, town = street.town.at, street.town
    cid = town.do(verbs.start(at, verbs.Start(behaviour="counter", goal=GoalFrame(goal="count"))))
    page = browser.new_page()
    page.goto(street.link())
    page.goto(f"{street.url}/?view=timeline&id={cid}")
    page.locator("#tick-1").wait_for()
    with subprocess.Popen(
        [*MAESTRO, "watch", cid, "-o", "jsonl"], env=environment(town), stdout=subprocess.PIPE, text=True
    ) as tail:
        assert tail.stdout is not None
        told = {}
        for number in range(1, ROUNDS + 1):
            while number not in told:
                fact = orjson.loads(tail.stdout.readline())
                if fact["type"] == "committed":
                    told[fact["rev"]] = fact
            expect(page.locator(f"#tick-{number}")).to_be_visible()  # and nobody has reloaded it
            town.do(verbs.send(at, ContinuationId(cid), {"hello": number}))
        tail.terminate()
    _same(page, told)
    page.close()


def _same(page: Page, told: dict[int, dict[str, object]]) -> None:
    seen = {tick["rev"]: tick for tick in page.evaluate(TICKS)}
    for rev, fact in told.items():
        trigger = fact["trigger"]
        assert isinstance(trigger, dict)
        assert str(trigger["kind"]) in seen[rev]["woken"], (fact, seen[rev])
        assert seen[rev]["then"] == fact["reason"]
