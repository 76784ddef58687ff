"""One line to a bridge, and one server as this process uses it.

Invariants: an answer goes to who asked; when the line is over, each who waits is told so at once, and whether their
call had begun; a line that kept somebody waiting too long takes no new calls and ends with its last one, so that one
call pays for it and no other; a server that fails is begun again after a pause that doubles, not before.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import orjson
from pydantic import JsonValue

from maestro.errors import MCPConnectionError, ToolError, ToolTimeout
from maestro.tools.calls import error_of, failed

SERVE = "maestro.adapters.mcp.bridge:serve"
START_LIMIT_S = 120.0  # a server may fetch itself before it starts
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 60.0  # after the second failure in a row; one that ran well begins at once
IDLE_S = 300.0  # so long a server stays without a call, where nobody listens to it
MAX_NOTES = 256  # that nobody has read; the oldest give way

Hello = Mapping[str, JsonValue]
Body = dict[str, JsonValue]


class Children(Protocol):
    """Begins and ends confined processes."""

    async def begun(self, serve: str) -> asyncio.subprocess.Process:
        """A process in which `module:function` serves its line."""
        ...

    async def ended(self, process: asyncio.subprocess.Process) -> None:
        """Nothing of it is left."""
        ...


@dataclass(slots=True)
class _Waiting:
    answer: asyncio.Future[Body]
    began: bool = False


class Link:
    """A bridge that runs."""

    def __init__(self, process: asyncio.subprocess.Process, notes: deque[Body], news: asyncio.Event) -> None:
        self.process = process
        self.is_over = False
        self.is_ending = False
        self._notes, self._news = notes, news
        self._waiting: dict[int, _Waiting] = {}
        self._next = 0
        self._hearing: asyncio.Task[None] | None = None

    @property
    def under_way(self) -> int:
        return len(self._waiting)

    async def greet(self, hello: Hello) -> None:
        """The server is connected.

        Raises:
            MCPConnectionError: it is not; says what it said.
        """
        self._say(dict(hello))
        said = await self._heard()
        if said is None or "ready" not in said:
            told = "it ended at its start" if said is None else str(said.get("refused"))
            raise MCPConnectionError(told, hint="see its command or address in the file of MCP servers")
        self._hearing = asyncio.create_task(self._hear())

    async def ask(self, order: Body, limit_s: float) -> JsonValue:
        """The answer.

        Raises:
            ToolTimeout: none in time; what was begun is cancelled. MCPConnectionError: nothing was begun.
            ToolFailed, ToolDenied: as the bridge says.
        """
        self._next += 1
        at, waiting = self._next, _Waiting(asyncio.get_running_loop().create_future())
        self._waiting[at] = waiting
        about = str(order.get("tool", "the server"))
        try:
            self._say({"id": at, **order})
            async with asyncio.timeout(limit_s):
                said = await waiting.answer
        except TimeoutError:
            self._say({"do": "cancel", "of": at})
            raise _late(about, limit_s, waiting.began) from None
        except asyncio.CancelledError:
            self._say({"do": "cancel", "of": at})
            raise
        finally:
            del self._waiting[at]
        if said.get("over"):
            self.is_over = True
        if isinstance(error := said.get("error"), dict):
            raise error_of(error)
        return said.get("answer")

    async def _hear(self) -> None:
        while (said := await self._heard()) is not None:
            if isinstance(note := said.get("note"), dict):
                self._notes.append(note)
                self._news.set()
            elif (waiting := self._waiting.get(int(str(said.get("id", 0))))) is None:
                continue  # whoever asked has gone
            elif said.get("began"):
                waiting.began = True
            elif not waiting.answer.done():
                waiting.answer.set_result(said)
        self.is_over = True
        self._news.set()  # a source looks again, and tells that it is gone
        for waiting in self._waiting.values():
            if not waiting.answer.done():
                waiting.answer.set_exception(_lost(waiting.began))

    async def _heard(self) -> Body | None:
        """The next line; None when there is none, or it is none that a bridge would write."""
        assert self.process.stdout is not None  # noqa: S101 - it was begun with pipes
        with suppress(ValueError, OSError):
            line = await self.process.stdout.readline()
            if line.endswith(b"\n"):
                said: Body = orjson.loads(line)
                return said
        return None

    def _say(self, words: Body) -> None:
        assert self.process.stdin is not None  # noqa: S101 - it was begun with pipes
        if not self.process.stdin.is_closing():
            self.process.stdin.write(orjson.dumps(words) + b"\n")

    async def close(self) -> None:
        """Who still waits is told; the process is the caller's to end."""
        self.is_over = True
        if self._hearing is not None:
            self._hearing.cancel()
            with suppress(asyncio.CancelledError):
                await self._hearing
        for waiting in self._waiting.values():
            if not waiting.answer.done():
                waiting.answer.set_exception(_lost(waiting.began))


@dataclass(slots=True)
class Attached:
    """One server: a line to it when it is needed, begun again when it was lost."""

    name: str
    hello: Hello
    children: Children
    at_most: int = 8
    idle_s: float | None = IDLE_S
    """None: it stays, because somebody listens."""
    begun: int = 0
    """How many bridges were begun."""
    notes: deque[Body] = field(default_factory=lambda: deque(maxlen=MAX_NOTES))
    news: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server has said something unasked, or is gone."""
    _link: Link | None = None
    _failures: int = 0
    _not_before_s: float = 0.0
    _beginning: asyncio.Lock = field(default_factory=asyncio.Lock)
    _gate: asyncio.Semaphore | None = None
    _ending: set[asyncio.Task[None]] = field(default_factory=set)
    _leaving: asyncio.TimerHandle | None = None

    async def ask(self, order: Body, limit_s: float) -> JsonValue:
        """The answer of the server; see Link.ask."""
        self._gate = self._gate or asyncio.Semaphore(self.at_most)
        async with self._gate:
            link = await self._now()
            try:
                answer = await link.ask(order, limit_s)
            except ToolTimeout:
                self._failed(link)
                raise
            except MCPConnectionError as error:
                self._failed(link)
                raise MCPConnectionError(f"{self.name}: {error.message}", hint=error.hint) from None
            except ToolError:
                if link.is_over:
                    self._failed(link)
                raise
            finally:
                self._retire_idle(link)
                self._rest()
        self._failures = 0
        return answer

    @property
    def is_over(self) -> bool:
        """True while there is no line to it."""
        return self._link is None or self._link.is_over

    async def close(self) -> None:
        """No process of it is left."""
        if self._leaving is not None:
            self._leaving.cancel()
        link, self._link = self._link, None
        if link is not None:
            await self._end(link)
        await asyncio.gather(*self._ending)

    async def _now(self) -> Link:
        """A line that takes calls.

        Raises:
            MCPConnectionError: there is none, and it is too early, or it has failed again, to begin another.
        """
        async with self._beginning:
            if self._link is not None and not self._link.is_over:
                return self._link
            if self._link is not None:
                self._failed(self._link)
            wait_s = self._not_before_s - asyncio.get_running_loop().time()
            if wait_s > 0:
                told = f"{self.name} has failed {self._failures} times in a row"
                wait_ms = int(wait_s * 1000) + 1
                raise MCPConnectionError(told, hint=f"not before {wait_ms} ms from now", retry_in_ms=wait_ms)
            self._link = await self._began()
            return self._link

    async def _began(self) -> Link:
        link = Link(await self.children.begun(SERVE), self.notes, self.news)
        self.begun += 1
        try:
            async with asyncio.timeout(START_LIMIT_S):
                await link.greet(self.hello)
        except BaseException as error:
            await asyncio.shield(self._end(link))
            self._pause()
            if isinstance(error, TimeoutError):
                told = f"{self.name} was not ready after {START_LIMIT_S:g} s"
                raise MCPConnectionError(told, hint="begin it by hand to see why") from None
            if isinstance(error, MCPConnectionError):
                raise MCPConnectionError(f"{self.name}: {error.message}", hint=error.hint) from None
            raise
        return link

    def _failed(self, link: Link) -> None:
        """No new call goes over `link`, and the next line begins after a pause; counted once for each line."""
        if self._link is link:
            self._link = None
            link.is_over = True
            self._pause()
            self._retire_idle(link)

    def _pause(self) -> None:
        self._failures += 1
        doubled = FIRST_PAUSE_S * 2 ** min(self._failures - 2, 16)
        pause_s = 0.0 if self._failures == 1 else min(doubled, LONGEST_PAUSE_S)
        self._not_before_s = asyncio.get_running_loop().time() + pause_s

    def _retire_idle(self, link: Link) -> None:
        """A line that takes no calls ends with its last one."""
        if self._link is not link and not link.under_way and not link.is_ending:
            link.is_ending = True
            ending = asyncio.ensure_future(self._end(link))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    def _rest(self) -> None:
        """The server leaves when it has had no call for a while."""
        if self._leaving is not None:
            self._leaving.cancel()
        if self.idle_s is not None:
            self._leaving = asyncio.get_running_loop().call_later(self.idle_s, self._leave)

    def _leave(self) -> None:
        if (link := self._link) is not None and not link.under_way:
            self._link = None
            self._retire_idle(link)

    async def _end(self, link: Link) -> None:
        await link.close()
        await self.children.ended(link.process)


def _late(about: str, limit_s: float, began: bool) -> ToolError:
    if began:
        return ToolTimeout(f"{about} took longer than {limit_s:g} s", hint="raise its server's timeout_s")
    return MCPConnectionError(f"no word within {limit_s:g} s, and {about} was not begun", hint="try again later")


def _lost(began: bool) -> ToolError:
    if began:
        return failed("the server", "it ended in the midst of the call")
    return MCPConnectionError("it ended before the call was begun", hint="try again later")
