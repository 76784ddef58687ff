"""Children for supervisors to look after: they write a diary, and end as they are told."""

import asyncio
import os
import signal
from pathlib import Path

from pydantic import JsonValue

from actors.claiming import StoreClaim
from actors.exits import EndedByShutdown
from actors.lifecycle import Lifecycle
from actors.root_watch import mind_root
from actors.supervised import Ignore, Supervised
from maestro.settings import Settings

OBITUARIES = "MAESTRO_TEST_OBITUARIES"


class Child:
    """Fails to start while the file `refuses` exists; where `fatal` does, it is killed in its start, once.

    Takes `stop_s` to stop.
    """

    def __init__(
        self, *, incarnation: str, diary: str, refuses: str | None = None, fatal: str | None = None, stop_s: float = 0
    ) -> None:
        if refuses and Path(refuses).exists():
            raise RuntimeError("this child refuses to start")
        if fatal and Path(fatal).exists():
            Path(fatal).unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        self._life = Lifecycle(incarnation)
        self._diary = diary
        self._stop_s = stop_s
        self._note("started")

    async def ready(self) -> dict[str, JsonValue]:
        return self._life.identity()

    async def watch(self) -> None:
        await self._life.ended()

    async def stop(self, reason: str) -> None:
        await asyncio.sleep(self._stop_s)
        self._note("stopped")
        await self._life.stop(reason)

    async def end(self, how: str) -> None:
        match how:
            case "normal":
                self._life.end()
            case "shutdown":
                self._life.end(EndedByShutdown("had enough"))
            case _:
                self._life.run(self._fail(how))

    async def _fail(self, text: str) -> None:
        raise RuntimeError(text)

    def _note(self, what: str) -> None:
        write(Path(self._diary), f"{self._life.incarnation.split('#')[0]} {what}")


class Thermometer(Supervised):
    """An actor of somebody who only derives from Supervised; it has been read so often, this life."""

    def __init__(self, *, incarnation: str, degrees: int = 20, ends: str | None = None) -> None:
        super().__init__(incarnation)
        self._degrees = degrees
        self._ends = ends
        self._read = 0

    async def ready(self) -> dict[str, JsonValue]:
        if self._ends == "ignore":
            raise Ignore("nobody is cold here")
        return await super().ready()

    async def read(self) -> list[int]:
        self._read += 1
        return [self._degrees, self._read]


class Minder(Supervised):
    """Minds the root, with less patience than there is elsewhere."""

    def __init__(self, *, incarnation: str, hung_ms: int) -> None:
        super().__init__(incarnation)
        self._hung_ms = hung_ms

    async def work(self) -> None:
        await mind_root(self._hung_ms)


class ElsewhereClaim(StoreClaim):
    """That of a root on another machine."""

    @staticmethod
    def site(settings: Settings) -> str:
        return "elsewhere"


async def mourn(incarnation: str, reason: str) -> None:
    """An obituary listener that does not hear what it is told for the first time."""
    path = Path(os.environ[OBITUARIES])
    first = incarnation not in (path.read_text() if path.exists() else "")  # noqa: ASYNC240 - a test's tiny file
    write(path, f"{incarnation} {reason}")
    if first:
        raise ConnectionError("the store does not answer")


def write(path: Path, line: str) -> None:
    """One line more, whole, whoever else writes."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)
