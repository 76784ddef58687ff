"""The loops beside the hosts: timekeeper, reaper, projector; the relay has a module of its own.

Each loop does what is due, then sleeps until it is signalled or its next moment comes. Two of the same kind harm
nothing: every step is claimed inside the store. A store that is away is waited for, and said.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from maestro.continuation.envelope import Seal
from maestro.continuation.goal import GoalFrame
from maestro.continuation.mail import Kind, Mail
from maestro.errors import (
    MaestroError,
)
from maestro.field.decay import half_life_ms, rank_key
from maestro.field.entry import Entry
from maestro.field.ranker import Ranker
from maestro.field.steady import DEADLINE_MS, rank
from maestro.ids import MailId, Partition, TimeMs
from maestro.mesh.event import Event
from maestro.runtime.alarms import Watchman
from maestro.runtime.backend import Backend
from maestro.runtime.digests import Digests
from maestro.runtime.entries import entry_of
from maestro.runtime.goals import goals_of
from maestro.runtime.landmarks import Landmarks
from maestro.runtime.mending import Mender
from maestro.runtime.ports import PROJECT, TIMERS, Projected, Projection
from maestro.runtime.treasury import Treasury

log = structlog.get_logger()

IDLE_MS = 5_000  # what a lost signal costs at most
AGAIN_MS = 1_000  # between two looks at a kernel that was away
AWAY_S = 1.0  # between two looks at a store that does not answer
Step = Callable[[], Awaitable[int]]
"""Does what is due; returns how long (ms) may be slept now, 0 for not at all."""


async def keep(name: str, step: Step, wait: Callable[[int], Awaitable[object]]) -> None:
    """`step` runs again and again, for ever; failures of the store are logged and waited out."""
    while True:
        try:
            pause_ms = await step()
            if pause_ms > 0:
                await wait(pause_ms)
        except MaestroError as error:
            log.error("loop_trouble", loop=name, error=str(error), code=error.code)  # noqa: TRY400 - the text says it all
            await asyncio.sleep(AWAY_S)


def partitions_of(backend: Backend) -> list[Partition]:
    return [Partition(number) for number in range(backend.partitions)]


@dataclass(slots=True)
class Timekeeper:
    """Due timers become mail."""

    backend: Backend
    worst_lateness_ms: int = 0
    fired: int = 0
    idle_ms: int = IDLE_MS
    observe: Callable[[int], None] = lambda _late_ms: None
    """Told of each timer that fired, how many ms after its moment."""
    _listening: "asyncio.Task[bool] | None" = None

    async def step(self) -> int:
        looks = await asyncio.gather(
            *(self.backend.timers.fire(partition) for partition in partitions_of(self.backend))
        )
        self.fired += sum(look.count for look in looks)
        for late_ms in (late for look in looks for late in look.lateness_ms):
            self.worst_lateness_ms = max(self.worst_lateness_ms, late_ms)
            self.observe(late_ms)
        ahead = [look.next_due_ms - look.now_ms for look in looks if look.next_due_ms is not None]
        return max(0, min([self.idle_ms, *ahead]))

    async def wait(self, pause_ms: int) -> None:
        """Sleeps to the millisecond: Redis ends a blocking pop on a grid of 100 ms, so the pop outlasts the pause."""
        if self._listening is None:
            self._listening = asyncio.create_task(self.backend.signals.wait(TIMERS, self.idle_ms))
        try:
            done, _ = await asyncio.wait({self._listening}, timeout=pause_ms / 1000)
        except asyncio.CancelledError:
            self._listening.cancel()
            raise
        for listening in done:
            self._listening = None
            listening.result()


@dataclass(slots=True)
class Reaper:
    """What holders without a lease held is ready again; what was left half done with accounts is finished."""

    backend: Backend
    look_ms: int = 1_000
    reclaimed: int = 0
    treasury: Treasury | None = None
    """None where nobody has an account."""
    digests: Digests | None = None
    """None where nobody is told what people were not asked."""
    watchman: Watchman | None = None
    """None where nobody is told that a budget is nearly spent."""
    landmarks: Landmarks | None = None
    """None where nothing is remembered of the store outside of it."""

    async def step(self) -> int:
        if self.landmarks is not None:
            await self.landmarks.look()
        for partition in partitions_of(self.backend):
            for holder in await self.backend.leases.expired(partition):
                count = await self.backend.leases.reclaim(holder, partition)
                self.reclaimed += count
                if count:
                    log.warning("lease_expired", holder=holder, continuations=count)
        if self.treasury is not None:
            await self.treasury.look()
        if self.digests is not None:
            await self.digests.look()
        if self.watchman is not None:
            await self.watchman.look()
        return self.look_ms

    async def wait(self, pause_ms: int) -> None:
        await asyncio.sleep(pause_ms / 1000)


@dataclass(slots=True)
class Projector:
    """What is new gets its score when it comes, and wakes whom it is relevant to: never on the wake path."""

    backend: Backend
    seal: Seal
    ranker: Ranker
    deadline_ms: int = DEADLINE_MS
    """Of one ranking."""
    projected: int = 0
    degraded: int = 0
    """Of these, ranked while the engine was away."""
    mended: int = 0
    """Of these, ranked again when it was back."""
    idle_ms: int = IDLE_MS

    async def step(self) -> int:
        counts = await asyncio.gather(*(self._project(partition) for partition in partitions_of(self.backend)))
        self.projected += sum(counts)
        return 0 if any(counts) else await self._mend()

    async def _mend(self) -> int:
        """What was ranked while the engine was away is ranked again, as soon as it answers."""
        mender = Mender(self.backend, self.seal, self.ranker, self.deadline_ms)
        for partition in partitions_of(self.backend):
            mended = await mender.mend(partition)
            if mended is None:
                return min(AGAIN_MS, self.idle_ms)
            self.mended += mended
            if mended:
                return 0
        return self.idle_ms

    async def wait(self, pause_ms: int) -> None:
        await self.backend.signals.wait(PROJECT, pause_ms)

    async def _project(self, partition: Partition) -> int:
        waiting = await self.backend.projections.pending(partition)
        if not waiting:
            return 0
        now_ms = await self.backend.clock.now_ms()
        goals = await goals_of(self.backend, self.seal, {projection.cid for projection in waiting})
        scored: list[Projected] = []
        for cid, goal in goals.items():
            mine = [projection for projection in waiting if projection.cid == cid]
            scored += await self._score(mine, goal, now_ms)
        gone = [_dropped(projection) for projection in waiting if projection.cid not in goals]
        await self.backend.projections.project(partition, [*scored, *gone])
        return len(waiting)

    async def _score(self, mine: Sequence[Projection], goal: GoalFrame, now_ms: TimeMs) -> list[Projected]:
        entries = [entry_of(projection, now_ms) for projection in mine]
        ranking = await rank(self.ranker, goal, entries, deadline_ms=self.deadline_ms)
        if ranking.degraded is not None:
            self.degraded += len(entries)
            log.warning("ranked_degraded", entries=len(entries), cause=ranking.degraded)
        ranked = [
            entry.model_copy(update={"score": score, "degraded": ranking.degraded is not None})
            for entry, score in zip(entries, ranking.scores, strict=True)
        ]
        return [_projected(projection, entry) for projection, entry in zip(mine, ranked, strict=True)]


def _projected(projection: Projection, entry: Entry) -> Projected:
    half_life = half_life_ms(entry.kind)
    key = rank_key(entry.score, entry.reinforcements, entry.last_reinforced_at_ms, half_life)
    relevant = projection.relevance is not None and entry.score >= projection.relevance
    return Projected(
        position=projection.position,
        cid=projection.cid,
        entry_id=entry.id,
        entry=entry.model_dump_json().encode(),
        half_life_ms=half_life,
        rank_key=max(key, -1e300),
        mail=_event_mail(projection) if relevant else None,
    )


def _event_mail(projection: Projection) -> Mail:
    event = Event.model_validate_json(projection.payload)
    return Mail(
        id=MailId(event.id),
        kind=Kind.EVENT,
        sender=event.source,
        subject=event.subject,
        body=event.model_dump(mode="json"),
        correlation=projection.interest_id,
        sent_ms=event.time_ms,
        cause=event.causation_id,
        trust=event.taint,
        hops=event.hops,
    )


def _dropped(projection: Projection) -> Projected:
    return Projected(projection.position, projection.cid, "#", b"{}", 1, 0.0, None)
