"""A host: one process' slots, each adopting what is ready, running its tick, committing, adopting the next.

Invariants:
- a slot holds at most one continuation at a time; the process holds one lease for all;
- a commit whose reply is lost is repeated until it is known; it can only land once;
- who may hold something that it does not know of (a reply was lost) goes on under another name and lets the lease of
  the old one run out: nothing is stranded;
- who finds itself fenced drops what it has and writes nothing; a tick whose lease was taken is interrupted at the next
  renewal, not only refused at its end;
- what was here last lingers: its next event rouses this process, and its checkpoint is not read again.

What is not here: Ray. `actors/continuation.py` gives a host its process.
"""

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

import orjson
import structlog

from maestro.continuation.lifecycle import TERMINAL
from maestro.errors import BudgetExceededError, Conflict, Fenced, MaestroError, StoreRefused, StoreUnavailable
from maestro.ids import ContinuationId, HolderId, Partition
from maestro.runtime.ports import Signals, ready_signal
from maestro.runtime.residents import Resident, Residents
from maestro.tick.linger import Linger, own_name
from maestro.tick.runner import HandBack, Outcome, Surroundings, run
from maestro.tick.store import Adopted, Held

log = structlog.get_logger()

COMMIT_RETRY_S = 0.2  # between two tries of a commit whose outcome is unknown
STORE_RETRY_S = 1.0  # between two tries to adopt while the store is away
UNSAID = "its task was cancelled, and nobody said why"
"""What a person reads of a tick that neither this host nor an order has interrupted."""

Taken = tuple[Adopted, HolderId]
"""A continuation in hand, and the name that its lease runs under."""


@dataclass(frozen=True, slots=True)
class HostSettings:
    """How a host works."""

    pool: str
    holder: HolderId
    partitions: int
    slots: int = 1
    lease_ms: int = 10_000
    idle_ms: int = 5_000
    """How long an idle slot sleeps before it looks itself: what a lost signal costs at most."""
    linger_ms: int = 0
    """How long what was here is kept, and listened for; 0: not at all."""


@dataclass(slots=True)
class Awake:
    """A continuation while it is here."""

    adopted: Adopted
    holder: HolderId
    since: float
    task: "asyncio.Task[Outcome]"

    @property
    def behaviour(self) -> str:
        """Read from the checkpoint only when somebody looks; nothing rests on it."""
        return str(orjson.loads(self.adopted.checkpoint.partition(b"\n")[2])["behaviour"])


class Host:
    """The slots of one process."""

    def __init__(self, settings: HostSettings, around: Surroundings, signals: Signals) -> None:
        self.awake: dict[ContinuationId, Awake] = {}
        self.ticks = 0
        self.fenced = 0
        self.observe: Callable[[float], None] = _to_nobody
        """Told of each tick that ended in the store, how many seconds after its adoption."""
        self._settings = settings
        self._around = around
        self._signals = signals
        self._holder = settings.holder
        self._residents = Residents(settings.linger_ms)
        self._used = monotonic()
        self._names = itertools.count(1)
        self._listening = asyncio.Lock()
        self._stopping = asyncio.Event()

    async def serve(self) -> None:
        """Runs until `stop`; then returns when the ticks under way have ended."""
        async with asyncio.TaskGroup() as group:
            renewal = group.create_task(self._renew())
            slots = [group.create_task(self._slot()) for _ in range(self._settings.slots)]
            await asyncio.wait(slots)
            renewal.cancel()

    async def carry(self, adopted: Adopted) -> None:
        """The tick of `adopted`, taken under this host's name, has ended in the store; nothing else is adopted.

        Raises:
            Fenced: the lease was lost meanwhile; StoreError: the store was, and keeps it until the lease is over.
        """
        self.stop()
        renewal = asyncio.create_task(self._renew())
        try:
            await self._tick(adopted, self._settings.holder)
        finally:
            renewal.cancel()

    def idle_ms(self) -> int | None:
        """How long nothing has been awake here; None while something is."""
        return None if self.awake else int((monotonic() - self._used) * 1000)

    def stop(self) -> None:
        """No further continuation is adopted; idle slots end at their next look."""
        self._stopping.set()

    def hand_back(self) -> None:
        """Ticks under way are interrupted and handed back, as tries that do not count."""
        for awake in self.awake.values():
            awake.task.cancel("its process was told to end")

    async def _slot(self) -> None:
        taken: Taken | None = None
        while not (self._stopping.is_set() and taken is None):
            try:
                taken = taken or await self._adopt()
                if taken is None:
                    await self._idle()
                    continue
                taken = await self._tick(*taken)
            except Fenced as fenced:
                self.fenced += 1
                log.warning("fenced", continuation=fenced.cid, epoch=fenced.epoch, current=fenced.current)
                taken = None
            except MaestroError as error:
                log.error("store_trouble", error=str(error), code=error.code)  # noqa: TRY400 - the text says it all
                taken = None
                self._rename()
                await self._pause(STORE_RETRY_S)

    async def _adopt(self) -> Taken | None:
        settings, holder = self._settings, self._holder
        for number in range(settings.partitions):
            known = self._residents.now()
            adopted = await self._around.store.adopt(
                settings.pool, holder, settings.lease_ms, Partition(number), None, self._linger(known)
            )
            if adopted is not None:
                return _whole(adopted, known), holder
        return None

    def _linger(self, known: Mapping[ContinuationId, Resident]) -> Linger | None:
        """What this process says of itself; by its name it is roused where one step of the store sees all it holds."""
        settings = self._settings
        if settings.linger_ms == 0:
            return None
        listens_ms = 2 * settings.idle_ms if settings.partitions == 1 and not self._stopping.is_set() else 0
        room = len(self.awake) + 1 < settings.slots
        return Linger({cid: resident.epoch for cid, resident in known.items()}, listens_ms, room)

    def _rename(self) -> None:
        """What may be held unknown to us keeps the old name, whose lease is renewed only for what is known."""
        self._holder = HolderId(f"{self._settings.holder}~{next(self._names)}")

    async def _idle(self) -> None:
        """Sleeps until there may be something to adopt; one slot listens, the others queue behind it."""
        async with self._listening:
            if self._stopping.is_set():
                return
            own, pool = ready_signal(own_name(self._holder)), ready_signal(self._settings.pool)
            signal = self._signals.wait(own, self._settings.idle_ms, pool)
            await _first(signal, self._stopping.wait())

    async def _tick(self, adopted: Adopted, holder: HolderId) -> Taken | None:
        """The tick ended in the store; returns what was adopted with its commit."""
        task = asyncio.ensure_future(run(adopted, self._around))
        mine = self.awake[adopted.cid] = Awake(adopted, holder, monotonic(), task)
        with structlog.contextvars.bound_contextvars(
            continuation=adopted.cid, tick=adopted.rev + 1, epoch=adopted.epoch
        ):
            try:
                outcome = await self._outcome(task)
                return await self._write(adopted, outcome)
            finally:
                self._used = monotonic()
                self.observe(self._used - mine.since)
                if self.awake.get(adopted.cid) is mine:  # a lease lost and adopted anew by another slot of this process
                    del self.awake[adopted.cid]

    async def _outcome(self, task: "asyncio.Task[Outcome]") -> Outcome:
        try:
            return await task
        except asyncio.CancelledError as stopped:
            if asyncio.current_task().cancelling():  # type: ignore[union-attr]
                raise
            return HandBack(0, f"interrupted: {str(stopped) or UNSAID}", counts=False)

    async def _write(self, adopted: Adopted, outcome: Outcome) -> Taken | None:
        if isinstance(outcome, HandBack):
            await self._release(adopted, outcome)
            return None
        if isinstance(outcome, Held):
            await self._around.store.hold(outcome)
            return None
        mine = self._residents.resident(outcome.epoch, outcome.checkpoint)
        while True:
            settings, holder = self._settings, self._holder
            following = None if self._stopping.is_set() else (settings.pool, holder, settings.lease_ms)
            known = {**self._residents.now(), outcome.cid: mine}
            try:
                committed = await self._around.store.commit(outcome, following, self._linger(known))
            except StoreUnavailable as error:
                log.warning("commit_unknown", error=str(error))
                self._rename()
                await asyncio.sleep(COMMIT_RETRY_S)
            except StoreRefused as error:
                await self._release(adopted, HandBack(1_000, str(error), counts=False))
                return None
            except BudgetExceededError as error:
                await self._release(adopted, HandBack(1_000, str(error), counts=True))
                return None
            except Conflict as error:  # what it would end without has changed: its next try sees it
                await self._release(adopted, HandBack(0, str(error), counts=False))
                return None
            else:
                self.ticks += 1
                if outcome.status not in TERMINAL:
                    self._residents.keep(outcome.cid, mine)
                return None if committed.next is None else (_whole(committed.next, known), holder)

    async def _release(self, adopted: Adopted, back: HandBack) -> None:
        await self._around.store.release(adopted.cid, adopted.epoch, back.retry_in_ms, back.error, back.counts)

    async def _renew(self) -> None:
        """The lease is renewed three times before it would end; who was ordered to, or lost it, interrupts its tick."""
        while True:
            await asyncio.sleep(self._settings.lease_ms / 3_000)
            for holder in {awake.holder for awake in self.awake.values()}:
                await self._renew_one(holder)

    async def _renew_one(self, holder: HolderId) -> None:
        before = {cid: awake for cid, awake in self.awake.items() if awake.holder == holder}
        try:
            renewal = await self._around.store.renew(holder, self._settings.lease_ms)
        except MaestroError as error:
            log.warning("lease_not_renewed", holder=holder, error=str(error))
            return
        lost = [cid for cid, awake in before.items() if cid not in renewal.held and self.awake.get(cid) is awake]
        for cids, why in ((renewal.urgent, "an order to end has come"), (lost, "its lease was taken")):
            for cid in cids:
                if cid in self.awake:
                    self.awake[cid].task.cancel(why)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return


def _to_nobody(_seconds: float) -> None:
    """Nobody wants to know."""


def _whole(adopted: Adopted, known: Mapping[ContinuationId, Resident]) -> Adopted:
    """With its checkpoint: that of the store, or, where the store says that it is the same, what was kept."""
    return adopted if adopted.checkpoint else replace(adopted, checkpoint=known[adopted.cid].checkpoint)


async def _first(*waits: Coroutine[Any, Any, object]) -> None:
    """Returns with the first of `waits`; the others are cancelled, and what the first raised is raised."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
