"""A Redis of a run's own: a child that can be killed, stopped, starved and started again on what it had written.

Invariants: it listens on a socket in a private folder; every acknowledged write is on disk unless the run asked for
less; whoever started it collects it.
"""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

from maestro.adapters.redis.binary import find_binary
from maestro.adapters.redis.wire import Wire
from maestro.errors import StoreError, StoreUnavailable
from maestro.home import PRIVATE_FILE, private_folder

START_S = 30.0
LOOK_S = 0.02


class StoreChild:
    """One server; `durable=False` is the known-bad build that forgets what it had when it dies."""

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self.folder = private_folder(folder)
        self.socket = folder / "s"
        self._durable = durable
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int | None:
        alive = self._process is not None and self._process.returncode is None
        return self._process.pid if alive and self._process is not None else None

    async def start(self) -> None:
        """It answers, with all that it had written.

        Raises:
            StoreUnavailable: it does not.
        """
        if self.pid is not None:
            return
        keeps = "appendonly yes\nappendfsync always" if self._durable else "appendonly no"
        settings = f"port 0\nunixsocket {self.socket}\nunixsocketperm 700\n{keeps}\naof-load-truncated no\n"
        conf = self.folder / "conf"
        conf.touch(PRIVATE_FILE)
        conf.write_text(f'{settings}save ""\ndir {self.folder}\nlogfile {self.folder / "log"}\n')
        self._process = await asyncio.create_subprocess_exec(find_binary(None).path, conf)
        async with asyncio.timeout(START_S):
            while not await self._answers():  # noqa: ASYNC110 - a server rings no bell
                await asyncio.sleep(LOOK_S)

    def signal(self, sign: signal.Signals) -> None:
        if self.pid is not None and self._process is not None:
            self._process.send_signal(sign)

    async def kill(self) -> None:
        """It is gone without a word, and collected."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def say(self, *command: object) -> object:
        """Its reply to one command, on a connection of its own."""
        async with self._wire() as wire:
            return await wire.execute(*command)

    async def _answers(self) -> bool:
        if self._process is None or self._process.returncode is not None:
            raise StoreUnavailable("the server of this run ended at once", hint=f"read {self.folder / 'log'}")
        try:
            return await self.say("PING") in (b"PONG", "PONG")
        except StoreError:
            return False

    @contextlib.asynccontextmanager
    async def _wire(self) -> AsyncIterator[Wire]:
        wire = Wire(self.url, socket_timeout_s=2.0)
        try:
            yield wire
        finally:
            await wire.close()
