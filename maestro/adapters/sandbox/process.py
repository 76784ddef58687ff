"""maestro.runtime.rehearsal.Trial on a process of its own.

Invariants: a state that takes longer than its limit, or ends the process, costs that process and is told as a failure
of that state; the next state gets a new one. The process has no variable MAESTRO_* or RAY_* in its environment: neither
a password nor an address of the store. A kind that has ended three processes is not tried any further.

What it is not: a prison. User code runs as the same user, and may open files and connections that it finds by itself.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import orjson

from maestro.adapters.sandbox.child import begun, ended
from maestro.errors import InvalidInput
from maestro.runtime.rehearsal import Sleeper, Verdict

STATE_LIMIT_S = 2.0  # a migration is a function of a few kilobytes: a thousand times what one takes
START_LIMIT_S = 120.0  # user modules may import what takes a minute on a busy machine
MOST_ENDS = 3
_HIDDEN = ("MAESTRO_", "RAY_")
_WORKER = "maestro.adapters.sandbox.worker"


class Sandbox:
    """One process at a time, begun when it is first needed."""

    def __init__(self, modules: Sequence[str], state_limit_s: float = STATE_LIMIT_S) -> None:
        self.processes = 0
        """How many were begun."""
        self._modules = tuple(modules)
        self._limit_s = state_limit_s
        self._process: asyncio.subprocess.Process | None = None
        self._ends: Counter[tuple[str, int]] = Counter()

    async def judge(self, sleepers: Sequence[Sleeper]) -> Sequence[Verdict]:
        """A verdict on each, in the same order.

        Raises:
            InvalidInput: the modules cannot be loaded.
        """
        verdicts: list[Verdict] = []
        while len(verdicts) < len(sleepers):
            rest = sleepers[len(verdicts) :]
            batch = list(takewhile(lambda sleeper: not self._is_hopeless(sleeper), rest))
            verdicts += await self._tried(batch) if batch else [self._untried(rest[0])]
        return verdicts

    async def load(self) -> None:
        """The modules are loaded, in a process that is ready.

        Raises:
            InvalidInput: they cannot be.
        """
        await self._running()

    async def close(self) -> None:
        """No process of the sandbox, nor of its children, is left."""
        process, self._process = self._process, None
        if process is not None:
            await ended(process)

    async def _tried(self, batch: Sequence[Sleeper]) -> list[Verdict]:
        """Verdicts on the first of `batch`, at least on one: up to the one that ended the process, or on all."""
        process = await self._running()
        assert process.stdin is not None  # noqa: S101 - it was begun with pipes
        asked = ({"behaviour": s.behaviour, "version": s.version, "state": s.state} for s in batch)
        process.stdin.write(b"".join(orjson.dumps(each) + b"\n" for each in asked))
        verdicts: list[Verdict] = []
        for sleeper in batch:
            answer, how = await self._answer(process, self._limit_s)
            if answer is None:
                self._ends[sleeper.behaviour, sleeper.version] += 1
                return [*verdicts, Verdict(None, f"it {how}", "mend the migration; the state is untouched")]
            verdicts.append(Verdict(answer["to_version"], answer["error"], answer["hint"]))
        return verdicts

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            visible = {name: value for name, value in os.environ.items() if not name.startswith(_HIDDEN)}
            self._process = await begun(_WORKER, visible)
            self.processes += 1
            await self._greet(self._process)
        return self._process

    async def _greet(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None  # noqa: S101 - it was begun with pipes
        process.stdin.write(orjson.dumps({"modules": self._modules, "limit_s": self._limit_s}) + b"\n")
        answer, how = await self._answer(process, START_LIMIT_S)
        if answer is None:
            names = ", ".join(self._modules)
            raise InvalidInput(f"importing {names} {how}", field="behaviours", hint="import them by hand to see why")
        if "refused" in answer:
            await self.close()
            refused = answer["refused"]
            raise InvalidInput(refused["message"], field=refused["field"], hint=refused["hint"])

    async def _answer(self, process: asyncio.subprocess.Process, limit_s: float) -> tuple[dict[str, Any] | None, str]:
        """The next answer; or None and what happened in its place, and the process is gone."""
        assert process.stdout is not None  # noqa: S101 - it was begun with pipes
        try:
            async with asyncio.timeout(limit_s):
                line = await process.stdout.readline()
        except TimeoutError:
            await self.close()
            return None, f"took longer than {limit_s:g} s"
        if line.endswith(b"\n"):
            return orjson.loads(line), ""
        await self.close()
        return None, f"ended its process with status {process.returncode}"

    def _is_hopeless(self, sleeper: Sleeper) -> bool:
        return self._ends[sleeper.behaviour, sleeper.version] >= MOST_ENDS

    def _untried(self, sleeper: Sleeper) -> Verdict:
        told = f"not tried: {MOST_ENDS} others of {sleeper.behaviour}, version {sleeper.version}, ended their process"
        return Verdict(None, told, "mend the migration; the state is untouched")
