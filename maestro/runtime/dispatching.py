"""The dispatcher: carries out the model calls that were placed in the store, beside those that a tick waits for.

    take -> ask the desk (one provider call per call id, answer journaled and settled) -> tell the continuation -> done

Invariants: each step may be repeated, and whatever process ends in between, the next one repeats it: a call is done
only when its continuation was told, or when nobody waits for it any more; a call is told once, by the id of its mail.
What was taken by a pager that died is asked again under the same call id: the ledger is charged once, a provider that
had answered already may bill twice, as with any call whose pager dies.

What is not here: what a call costs, who is asked (`maestro.pager`), what its tick does with the answer
(`maestro.tick.placing`), and the end of its patience, which is a timer of its wait.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from maestro.continuation.mail import Kind, Mail
from maestro.errors import Conflict, MaestroError, ModelError, StoreError
from maestro.ids import CallId, MailId, Partition, TimeMs
from maestro.pager.placed import ANSWERED, Placed
from maestro.pager.request import ModelRequest
from maestro.runtime.backend import Backend
from maestro.runtime.loops import AWAY_S, IDLE_MS, partitions_of
from maestro.runtime.ports import CALLS

log = structlog.get_logger()

AT_ONCE = 1_024  # coroutines, most of them waiting for their lane or for a provider

Ask = Callable[[ModelRequest], Awaitable[object]]
"""maestro.pager.desk.PagerDesk.call: durable before it returns."""


@dataclass(slots=True)
class Dispatcher:
    """Placed calls are answered and told; one at a time for a whole store."""

    backend: Backend
    ask: Ask
    at_once: int = AT_ONCE
    idle_ms: int = IDLE_MS
    told: int = 0
    _under_way: dict[CallId, "asyncio.Task[None]"] = field(default_factory=dict)
    _inherited: set[Partition] = field(default_factory=set)
    """Where what a predecessor, or a look whose reply was lost, had taken was taken over."""

    async def step(self) -> int:
        """All that is due is under way; see maestro.runtime.loops.Step."""
        pauses = [await self._look(partition) for partition in partitions_of(self.backend)]
        return max(0, min(pauses))

    async def wait(self, pause_ms: int) -> None:
        await self.backend.signals.wait(CALLS, pause_ms)

    async def drain(self) -> None:
        """Nothing is under way any more; what was answered is told, where the store answers."""
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def abandon(self) -> None:
        """Nothing is under way any more: what was, is left in the store, to be taken again."""
        for task in self._under_way.values():
            task.cancel()
        await self.drain()

    @property
    def under_way(self) -> int:
        return len(self._under_way)

    async def _look(self, partition: Partition) -> int:
        room = self.at_once - len(self._under_way)
        if room <= 0:
            await asyncio.wait(self._under_way.values(), return_when=asyncio.FIRST_COMPLETED)
            return 0
        inherit = partition not in self._inherited
        self._inherited.discard(partition)  # if the reply is lost, what it held is taken over at the next look
        taken = await self.backend.placements.take(partition, room, inherit)
        self._inherited.add(partition)
        for placed in taken.calls:
            self._begin(placed)
        return self.idle_ms if taken.next_due_ms is None else taken.next_due_ms - taken.now_ms

    def _begin(self, placed: Placed) -> None:
        if placed.call_id in self._under_way:
            return
        task = asyncio.create_task(self._carry_out(placed), name=f"placed {placed.call_id}")
        self._under_way[placed.call_id] = task
        task.add_done_callback(lambda _: self._under_way.pop(placed.call_id, None))

    async def _carry_out(self, placed: Placed) -> None:
        """The call is done, however long the store is away in between."""
        while True:
            try:
                await self._answer(placed)
                await self.backend.placements.done([placed])
                return
            except StoreError as error:
                log.warning("placed_call_waits_for_store", call=placed.call_id, error=str(error))
                await asyncio.sleep(AWAY_S)
            except MaestroError as error:  # nobody waits for it: its tick, or its continuation, is gone
                log.info("placed_call_unwanted", call=placed.call_id, error=str(error))
                with contextlib.suppress(StoreError):
                    await self.backend.placements.done([placed])
                    return

    async def _answer(self, placed: Placed) -> None:
        """The answer, or the failure, is journaled, and whoever waits for it is told.

        Raises:
            NotFound, Conflict: nobody waits for it any more.
        """
        request = ModelRequest.model_validate_json(placed.request)
        left_ms = placed.until_ms - await self.backend.clock.now_ms()
        if left_ms > 0:
            with contextlib.suppress(ModelError, Conflict):  # journaled, or journaled before: it is told below
                await self.ask(request.model_copy(update={"deadline_ms": left_ms}))
        entry = await self.backend.journals.answer_of(placed.cid, placed.call_id)
        if entry is not None and (entry.answered or entry.failed):
            await self.backend.store.deliver(placed.cid, told(placed, await self.backend.clock.now_ms()))
            self.told += 1


def told(placed: Placed, now_ms: TimeMs) -> Mail:
    """The mail that ends the wait for a call; it carries nothing, the answer is in the journal."""
    return Mail(
        id=MailId(f"call:{placed.call_id}"),
        kind=Kind.RESULT,
        sender="pager",
        subject=ANSWERED,
        correlation=placed.call_id,
        body=None,
        sent_ms=now_ms,
    )
