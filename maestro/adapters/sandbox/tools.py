"""maestro.tools.calls.ToolRunner on warm processes of its own: as many as calls at once, and no more than `at_most`.

Invariants: a process serves one call at a time; one that failed to answer in time, or ended, or has served its number,
is ended with all that it began in its session, and the next call gets a new one; a cancelled call ends its process too.
Of our environment a worker has what is named in VISIBLE, and nothing else: no password, no address. What one tool is
given (maestro.tools.gifts) goes to its worker by the line of the call, and that worker serves no other.

What it is not: a prison. A tool runs as the same user, and may open files and connections that it finds by itself.
"""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import orjson
from pydantic import JsonValue

from maestro.adapters.sandbox.child import begun, ended
from maestro.errors import ToolTimeout
from maestro.tools.calls import Order, error_of, failed
from maestro.tools.gifts import Gifts

VISIBLE = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
START_LIMIT_S = 60.0
IDLE_S = 60.0  # so long a worker stays warm without a call
_WORKER = "maestro.adapters.sandbox.toolwork"
_NOBODY: Mapping[str, Gifts] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Limits:
    """What one worker may take."""

    memory_bytes: int = 2 << 30  # of address space, which is several times what is used
    open_files: int = 256
    file_bytes: int = 256 << 20
    output_bytes: int = 1 << 20
    cpu_s: int = 60
    """Processor time of one call."""
    calls: int = 100
    """Served by one process: what a tool leaks, it leaks so often."""


LIMITS = Limits()


@dataclass(slots=True)
class _Worker:
    process: asyncio.subprocess.Process
    served: int = 0
    leaving: asyncio.TimerHandle | None = None


class ToolWorkers:
    """The workers of one process."""

    def __init__(self, limits: Limits = LIMITS, at_most: int = 4, gifts: Mapping[str, Gifts] = _NOBODY) -> None:
        self.begun = 0
        """How many processes were begun."""
        self._limits = limits
        self._gifts = gifts
        self._gate = asyncio.Semaphore(at_most)
        self._idle: list[_Worker] = []
        self._endings: set[asyncio.Task[None]] = set()

    @property
    def warm(self) -> int:
        """How many processes wait for a call."""
        return len(self._idle)

    async def run(self, order: Order) -> JsonValue:
        """What the tool returned; see maestro.tools.calls.ToolRunner."""
        async with self._gate:
            worker = await self._worker()
            well = False
            try:
                answer = await self._asked(worker, order)
                well = worker.served < self._limits.calls and order.tool.name not in self._gifts
            finally:
                if well:
                    self._keep(worker)
                else:
                    await asyncio.shield(self._end(worker))
        if isinstance(error := answer.get("error"), dict):
            raise error_of(error)
        told: JsonValue = answer["result"]
        return told

    async def close(self) -> None:
        """No process is left."""
        idle, self._idle = self._idle, []
        for worker in idle:
            await self._end(worker)
        await asyncio.gather(*self._endings)

    async def _asked(self, worker: _Worker, order: Order) -> dict[str, Any]:
        """The answer.

        Raises:
            ToolTimeout: there was none in time. ToolFailed: the process ended, or wrote more than a line may have.
        """
        tool, limit_s = order.tool, order.tool.spec.timeout_s
        gifts = dict(self._gifts.get(tool.name, {}))
        asked = {"tool": tool.place, "arguments": order.given, "cpu_s": self._limits.cpu_s, "gifts": gifts}
        worker.served += 1
        try:
            async with asyncio.timeout(limit_s):
                line = await _said(worker.process, asked)
        except TimeoutError:
            raise ToolTimeout(
                f"{tool.name} took longer than {limit_s:g} s and was ended", hint="raise its timeout_s, or ask for less"
            ) from None
        except (ValueError, OSError) as error:
            raise failed(tool.name, f"its process answered no line: {error}") from None
        if not line.endswith(b"\n"):
            await ended(worker.process)
            raise failed(tool.name, f"its process ended with status {worker.process.returncode}")
        answer: dict[str, Any] = orjson.loads(line)
        return answer

    async def _worker(self) -> _Worker:
        if self._idle:
            worker = self._idle.pop()
            if worker.leaving is not None:
                worker.leaving.cancel()
            if worker.process.returncode is None:
                return worker
            await self._end(worker)
        visible = {name: os.environ[name] for name in VISIBLE if name in os.environ}
        worker = _Worker(await begun(_WORKER, visible, 2 * self._limits.output_bytes))
        self.begun += 1
        try:
            async with asyncio.timeout(START_LIMIT_S):
                ready = await _said(worker.process, {"limits": asdict(self._limits)})
        except BaseException:
            await asyncio.shield(self._end(worker))
            raise
        if not ready:
            await self._end(worker)
            raise failed("worker", f"it ended at its start with status {worker.process.returncode}")
        return worker

    def _keep(self, worker: _Worker) -> None:
        self._idle.append(worker)
        worker.leaving = asyncio.get_running_loop().call_later(IDLE_S, self._retire, worker)

    def _retire(self, worker: _Worker) -> None:
        if worker in self._idle:
            self._idle.remove(worker)
            ending = asyncio.ensure_future(self._end(worker))
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)

    async def _end(self, worker: _Worker) -> None:
        if worker.leaving is not None:
            worker.leaving.cancel()
        await ended(worker.process)


async def _said(process: asyncio.subprocess.Process, words: object) -> bytes:
    """The line that answers; empty or unfinished when the process ended."""
    assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - it was begun with pipes
    process.stdin.write(orjson.dumps(words) + b"\n")
    await process.stdin.drain()
    return await process.stdout.readline()
