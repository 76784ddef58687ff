"""The pane on a stage: the real API and store in a thread of their own, moved by a test from outside, seen by browsers.

What is real: store, ticks, journals, API, built pane, browser. What is scripted: the model. Nothing waits for Ray.
"""

import asyncio
import contextlib
import hashlib
import json
import shutil
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, TypeVar

import uvicorn
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright
from pydantic import JsonValue
from starlette.types import Receive, Scope, Send

from maestro.adapters.duckdb.spending import Spending
from maestro.adapters.memory.backend import backend_over, empty_memory
from maestro.adapters.memory.clock import SystemClock, machine_ms
from maestro.budget.vector import Budget
from maestro.gateway.access import Doorkeeper
from maestro.gateway.app import Terms, inner
from maestro.gateway.directory import Directory
from maestro.gateway.door import Door
from maestro.gateway.gate import Gate
from maestro.gateway.pace import Pace
from maestro.ids import ContinuationId
from maestro.pane import views
from maestro.runtime.audit import Auditor
from maestro.runtime.verbs import Installation
from tests.pane_stage import Reader, Scout, Swarm
from tests.stage import SEAL

R = TypeVar("R")
ROOT = Path(__file__).parents[2]
STATIC = ROOT / "maestro" / "pane" / "static"
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
)  # fmt: skip
PATIENCE_MS = 10_000
DESKTOP, PHONE = (1440, 900), (390, 844)
WATCH = r"""() => {
  window.seen = {};
  const look = () => {
    for (const row of document.querySelectorAll('.strip')) {
      const tick = /tick (\d+)/.exec(row.querySelector('.facts')?.textContent ?? '');
      const name = `${row.dataset.id} ${tick?.[1]}`;
      if (tick !== null && !(name in window.seen)) window.seen[name] = Date.now();
    }
    requestAnimationFrame(look);
  };
  look();
}"""
"""The page remembers when it first showed which tick of whom."""
LATE = """async () => {
  const now = (await (await fetch('/v1/system')).json()).now_ms - Date.now(), late = [];
  for (const id of new Set(Object.keys(window.seen).map((name) => name.split(' ')[0]))) {
    const told = await (await fetch(`/v1/continuations/${id}/timeline`)).json();
    for (const tick of told.items) {
      const seen = window.seen[`${id} ${tick.rev}`];
      if (seen !== undefined) late.push(seen + now - tick.at_ms);
    }
  }
  return late;
}"""
"""By how many milliseconds each tick that the page remembers was later there than in the log."""


def chromium() -> str | None:
    """The distribution's browser, where there is one."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextlib.contextmanager
def browsing() -> Iterator[Browser]:
    """One browser for many pages."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        yield browser
        browser.close()


class Clock(SystemClock):
    """The machine's, further on by as much as it was wound."""

    def __init__(self) -> None:
        super().__init__(lambda: machine_ms() + self.wound_ms)
        self.wound_ms = 0


class Play:
    """One store from nothing, the swarm on it, and the application before both."""

    def __init__(self, warehouse: Path) -> None:
        self.clock = Clock()
        memory = empty_memory(clock=self.clock)
        self.backend = backend_over(memory)
        self.swarm = Swarm(self.backend, memory)
        auditor = Auditor(self.backend.audit, SEAL, self.backend.tenant, "nobody yet", "api")
        self.at = replace(self.swarm.at, audit=auditor)
        self.doors = Doorkeeper(self.backend.register, self.backend.clock, self.backend.tenant)
        terms = Terms(static=STATIC, pace=Pace(per_second=10_000, at_once=10_000))
        self._inner = inner(self.at, terms, Spending(self.at, warehouse))
        self.app = Door(self._inner, terms.hosts, terms.pace or Pace())
        self._over = contextlib.AsyncExitStack()

    @property
    def directory(self) -> Directory:
        gate: Gate = self._inner.state.gate
        return gate.directory

    async def begin(self) -> None:
        await self._over.enter_async_context(self._inner.router.lifespan_context(self._inner))

    async def end(self) -> None:
        await self._over.aclose()
        await self.backend.close()


class Theatre:
    """A server at `url` for a whole session; before it a swarm plays, and `anew` puts on another from nothing."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="theatre", daemon=True)
        self._warehouse = tempfile.TemporaryDirectory(prefix="pane-")
        self._plays = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self.do(self._open())
        return self

    def __exit__(self, *failed: object) -> None:
        self._server.should_exit = True
        self._serving.result(30)
        self.do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._warehouse.cleanup()

    def anew(self) -> Self:
        """Nothing is in the store, nobody is logged in, and who watched before is cut off."""
        self.do(self._put_on())
        return self

    def do(self, work: Coroutine[Any, Any, R], within_s: float = 60) -> R:
        """What `work` gives, done where the swarm lives."""
        return self.begin(work).result(within_s)

    def begin(self, work: Coroutine[Any, Any, R]) -> Future[R]:
        """`work` goes on where the swarm lives."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _open(self) -> None:
        self._play = await self._new_play()
        config = uvicorn.Config(
            self._answer,
            "127.0.0.1",
            0,
            interface="asgi3",
            log_level="error",
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._serving = self.begin(self._server.serve())
        while not self._server.started:  # noqa: ASYNC110 - uvicorn tells it in no other way
            await asyncio.sleep(0.02)
        self.url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._play.app(scope, receive, send)

    async def _put_on(self) -> None:
        over, self._play = self._play, await self._new_play()
        await over.end()

    async def _new_play(self) -> Play:
        self._plays += 1
        warehouse = Path(self._warehouse.name) / str(self._plays)
        warehouse.mkdir()
        play = Play(warehouse)
        await play.begin()
        return play

    async def _close(self) -> None:
        await self._play.end()
        left = asyncio.all_tasks() - {asyncio.current_task()}  # such as what watches for the end of streams
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    @property
    def swarm(self) -> Swarm:
        return self._play.swarm

    @property
    def at(self) -> Installation:
        return self._play.at

    def told_of(self, count: int, within_s: float = 600) -> None:
        """The API has read the store, and knows of so many."""
        self.do(self._told_of(count), within_s)

    async def _told_of(self, count: int) -> None:
        directory = self._play.directory
        while not directory.complete or len(directory.lines) < count:  # noqa: ASYNC110 - it rings no bell
            await asyncio.sleep(0.1)

    def pass_days(self, days: float) -> None:
        """The store's clock is so much further on, and what was due has happened."""
        self.wind(days)
        self.settle()

    def wind(self, days: float) -> None:
        """The store's clock is so much further on."""
        self._play.clock.wound_ms += int(days * 86_400_000)

    def link(self) -> str:
        """What `maestro up` prints: it lets one browser in, once."""
        return f"{self.url}/login?code={self.do(self._play.doors.code())}"

    def start(self, ask: str = "sleep", title: str = "a paper", name: str | None = None) -> ContinuationId:
        """A reader has read; it sleeps, asks or has ended, as `ask` says."""

        async def begun() -> ContinuationId:
            given: dict[str, JsonValue] = {"ask": ask, "title": title}
            cid = await self.swarm.stage.start(
                Reader, f"Read {title}", input=given, name=name, budget=Budget(usd="0.40")
            )
            await self.swarm.stage.settle()
            return cid

        return self.do(begun())

    def scout(self, goal: str = "Watch", name: str | None = None) -> ContinuationId:
        """A scout sleeps on the feed."""

        async def begun() -> ContinuationId:
            budget = Budget(usd="2.50", tokens=4_000_000, **{"human.approvals": 20})
            cid = await self.swarm.stage.start(Scout, goal, name=name, budget=budget)
            await self.swarm.stage.settle()
            return cid

        return self.do(begun())

    def item(self, title: str) -> None:
        """The feed had an item, and who slept on it has ticked."""

        async def published() -> None:
            key = f"paper-{hashlib.sha256(title.encode()).hexdigest()}"
            await self.swarm.stage.publish("feed.papers", key, {"title": title, "summary": title})
            await self.swarm.stage.settle()

        self.do(published())

    def audited(self, cid: str) -> list[tuple[str, str]]:
        """(verb, door) of what is on record about it."""
        lines = self.do(self._play.backend.audit.read(0, 1_000))
        records = [json.loads(line[line.index(b"{") :]) for line in lines]
        return [(record["verb"], record["door"]) for record in records if record["on"] == cid]

    def settle(self) -> None:
        self.do(self.swarm.stage.settle())

    def shown(self, cid: str) -> dict[str, JsonValue]:
        """What `maestro show` tells of it."""
        return self.do(self._shown(ContinuationId(cid)))

    async def _shown(self, cid: ContinuationId) -> dict[str, JsonValue]:
        return views.show(await self.swarm.stage.view(cid), [])


class Seat:
    """One browser, let in, in front of the pane; it remembers what the page complained of."""

    def __init__(self, browser: Browser, theatre: Theatre, size: tuple[int, int] = DESKTOP, **options: Any) -> None:
        width, height = size
        self.theatre = theatre
        self.context: BrowserContext = browser.new_context(
            viewport={"width": width, "height": height}, reduced_motion="reduce", **options
        )
        self.context.set_default_timeout(PATIENCE_MS)
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        self.context.on("request", lambda request: self.asked.append(request.url))
        self._sign = (
            ".swarm [data-id]" if width > PHONE[0] else "main, .rail"
        )  # on a phone the swarm is a view of its own
        self.enter()

    def _heard(self, said: ConsoleMessage) -> None:
        if said.type in ("error", "warning"):
            self.complaints.append(said.text)

    def enter(self) -> None:
        """The browser is let in by a link of its own, before it has drawn anything."""
        self.context.request.get(self.theatre.link(), max_redirects=0)

    def look(self, query: str = "") -> Page:
        """The page at that place."""
        self.page.goto(f"{self.theatre.url}/{query}")
        self.page.wait_for_selector(self._sign, state="attached")
        return self.page

    def close(self) -> None:
        self.context.close()


def eventually(seen: Callable[[], object], page: Page, within_ms: int = PATIENCE_MS) -> None:
    """`seen` becomes true; the page goes on living meanwhile."""
    for _ in range(within_ms // 50):
        if seen():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it did not happen")
