"""A model call that its tick does not wait for with a process: placed, slept on, found answered in the journal.

    think -> intent journaled, worst price reserved -> placed -> Interrupted: commit, the call is the wait
    answered, settled, told (maestro.runtime.dispatching) -> the same tick again: the answer is in the journal
    its deadline over, no answer -> the same tick again: AnswerLost

Invariants: nothing is placed before its intent is durable; while it sleeps its reservation stays; a lost answer is
charged in full by the commit that ends the tick, until the provider tells after all; a tick that fails over a lost
answer asks again under the same call id and the same reservation, never under a second one.

Source: spec/05 section 2, items 2 and 3 of the kernel; docs/decisions/0027.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from maestro.continuation.directive import Spawn
from maestro.continuation.wait import ExternalResult, Interruption
from maestro.errors import AnswerLost, MaestroError
from maestro.ids import TimeMs
from maestro.pager.dispatch import Mode
from maestro.pager.placed import Placed, Placements
from maestro.pager.reply import Failure
from maestro.pager.request import ModelRequest
from maestro.tick.interruption import Word
from maestro.tick.store import JournalEntry
from maestro.tick.verdict import TIMEOUT

GRACE_MS = 5_000  # between the last moment to ask a provider and the end of the wait: to journal, to tell


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a call may take that nobody waits for with a process."""

    async_ms: int = 600_000
    batch_ms: int = 24 * 3_600_000
    batch_window_ms: int = 60_000
    """Batched calls leave together, at the end of the window in which they were placed."""

    def of(self, mode: Mode) -> int:
        return self.batch_ms if mode is Mode.BATCH else self.async_ms


PATIENCE = Patience()


class Abreast:
    """The thoughts of one tick that are under way at once: none interrupts it before all are placed or answered."""

    def __init__(self) -> None:
        self.births: list[Spawn] = []
        """Children that think for it: born together, with the commit of the interruption."""
        self.apart = 0
        """How many thoughts this try has decided to have thought by children."""
        self._busy = 0
        self._quiet = asyncio.Event()

    @asynccontextmanager
    async def thought(self) -> AsyncIterator[None]:
        """One more is under way inside the block."""
        self._busy += 1
        self._quiet.clear()
        try:
            yield
        finally:
            self._busy -= 1
            if self._busy == 0:
                self._quiet.set()

    async def settled(self) -> None:
        """None is under way, of those either that were to begin in the same turn of the event loop."""
        await asyncio.sleep(0)
        await self._quiet.wait()


async def place(placements: Placements, request: ModelRequest, now_ms: TimeMs, patience: Patience) -> ExternalResult:
    """The wait for the answer to `request`, which a pager will take from now on."""
    window_ms = patience.batch_window_ms
    due_ms = now_ms if request.mode is not Mode.BATCH else now_ms + window_ms - now_ms % window_ms
    until_ms = TimeMs(now_ms + request.deadline_ms)
    placed = Placed(request.call_id, request.cid, TimeMs(due_ms), until_ms, request.model_dump_json())
    await placements.place(placed)
    return ExternalResult(
        operation_id=request.call_id,
        because=f"waiting on a model call ({request.step}, {request.mode})",
        ttl_ms=request.deadline_ms + GRACE_MS,
        on_timeout="resume",
        interrupts=Interruption(call_id=request.call_id),
    )


def is_lost(word: Word | None, tries: int) -> bool:
    """True in the first try of a tick that goes on because nobody answered its call in time."""
    return word is not None and word.by == TIMEOUT and tries == 1


def lost(entry: JournalEntry) -> AnswerLost:
    """What a behaviour is told of a call that nobody answered in time."""
    return AnswerLost(
        f"call {entry.call_id} was not answered in time",
        hint="it is charged in full until the provider tells what it cost; ask again in another tick",
        charge=entry.price.model_dump(),
    )


def failure_of(entry: JournalEntry) -> MaestroError:
    """The journaled failure of a call, as the pager raised it."""
    told = entry.answer if isinstance(entry.answer, dict) else {}
    known = {name: told[name] for name in ("hint", "facts") if told.get(name) is not None}
    return Failure.model_validate(
        {"code": told.get("code", "model"), "message": told.get("message", "no words of it are kept"), **known}
    ).error()
