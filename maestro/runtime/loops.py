"""The loops beside the hosts: timekeeper, reaper, relay, projector.

Each loop does what is due, then sleeps until it is signalled or its next moment comes. Two of the same kind harm
nothing: every step is claimed inside the store. A store that is away is waited for, and said.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson
import structlog
from pydantic import JsonValue, ValidationError

from maestro.continuation.checkpoint import Checkpoint
from maestro.continuation.envelope import Seal
from maestro.continuation.goal import GoalFrame
from maestro.continuation.mail import Kind, Mail
from maestro.errors import (
    ContinuationAlreadyTerminalError,
    IntegrityError,
    InvalidInput,
    MaestroError,
    MailboxFull,
    NotFound,
    StoreError,
)
from maestro.field.decay import half_life_ms, rank_key
from maestro.field.entry import Entry, Provenance, SourceKind, entry_id
from maestro.field.likeness import sketch
from maestro.field.ranker import Ranker
from maestro.field.steady import DEADLINE_MS, rank
from maestro.ids import ContinuationId, MailId, Partition, TenantId, TimeMs, home_partition
from maestro.mesh.event import Event
from maestro.mesh.schemas import OPEN, EventTypes
from maestro.runtime.backend import Backend
from maestro.runtime.digests import Digests
from maestro.runtime.landmarks import Landmarks
from maestro.runtime.ports import PROJECT, RELAY, TIMERS, Projected, Projection
from maestro.runtime.treasury import Treasury
from maestro.tick.store import OutboxRow
from maestro.tick.watches import Watch

log = structlog.get_logger()

IDLE_MS = 5_000  # what a lost signal costs at most
AWAY_S = 1.0  # between two looks at a store that does not answer
ENDS = ("down:", "exit:", "noproc:")
"""Ids of what tells of an end: nobody misses it who has ended himself."""

Placed = tuple[str, OutboxRow]
"""An outbox row and its position."""
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
        return self.look_ms

    async def wait(self, pause_ms: int) -> None:
        await asyncio.sleep(pause_ms / 1000)


@dataclass(slots=True)
class Relay:
    """What commits sent goes to where it belongs: at least once, in order, and it is applied once there."""

    backend: Backend
    types: EventTypes = OPEN
    delivered: int = 0
    idle_ms: int = IDLE_MS

    async def step(self) -> int:
        counts = await asyncio.gather(*(self._drain(partition) for partition in partitions_of(self.backend)))
        self.delivered += sum(counts)
        return 0 if any(counts) else self.idle_ms

    async def wait(self, pause_ms: int) -> None:
        await self.backend.signals.wait(RELAY, pause_ms)

    async def _drain(self, partition: Partition) -> int:
        rows = await self.backend.outbox.pending(partition)
        # from one sender to one receiver one after the other: what comes after a row that did not arrive waits for it
        chains: defaultdict[tuple[str, str], list[Placed]] = defaultdict(list)
        for position, row in rows:
            chains[row.id.partition(":")[0], row.to].append((position, row))
        carried = await asyncio.gather(*map(self._carry_chain, chains.values()))
        await self.backend.outbox.done(partition, [position for chain in carried for position in chain.arrived])
        for position, row, cause in (letter for chain in carried for letter in chain.dead):
            log.warning("dead_letter", to=row.to, row=row.id, cause=cause)
            await self.backend.outbox.bury(partition, position, row, cause)
        for chain in carried:
            if chain.trouble is not None:
                raise chain.trouble
        return len(rows)

    async def _carry_chain(self, chain: Sequence[Placed]) -> "_Carried":
        """The rows went on their way in their order, up to one that the store could not take now."""
        carried = _Carried()
        for position, row in chain:
            try:
                cause = await self._carry(row)
            except StoreError as error:
                carried.trouble = error
                break
            if cause is None:
                carried.arrived.append(position)
            else:
                carried.dead.append((position, row, cause))
        return carried

    async def _carry(self, row: OutboxRow) -> str | None:
        """None when the row arrived, else why it never will."""
        try:
            match row.kind:
                case "mail":
                    await self.backend.store.deliver(ContinuationId(row.to), Mail.model_validate_json(row.payload))
                case "watch":
                    await self._watch(row)
                case "unwatch":
                    await self.backend.store.unwatch(Watch.loads(row.payload))
                case _:
                    await self._route(row)
        except (InvalidInput, NotFound, ContinuationAlreadyTerminalError, MailboxFull) as error:
            return None if row.id.startswith(ENDS) else error.code
        except ValidationError as error:
            return f"malformed: {error.error_count()} errors"
        return None

    async def _watch(self, row: OutboxRow) -> None:
        """Its target will tell, or is answered for: the answer has the same id however often that is tried."""
        watch = Watch.loads(row.payload)
        if not await self.backend.store.watch(watch):
            answer = watch.answered(MailId(f"noproc:{row.id}"), await self.backend.clock.now_ms())
            await self.backend.store.deliver(watch.watcher, answer)

    async def _route(self, row: OutboxRow) -> None:
        event = Event.model_validate_json(row.payload)
        if row.to != "mesh":
            await self.backend.router.route(event, Partition(int(row.to)))
            return
        self.types.check(event)
        home = home_partition(f"{event.source} {event.key}", self.backend.partitions)
        others = [partition for partition in partitions_of(self.backend) if partition != home]
        await self.backend.router.route(event, home, others)


@dataclass(slots=True)
class _Carried:
    """What became of the rows from one sender to one receiver."""

    arrived: list[str] = field(default_factory=list)
    dead: list[tuple[str, OutboxRow, str]] = field(default_factory=list)
    """With why it can never arrive."""
    trouble: StoreError | None = None


@dataclass(slots=True)
class Projector:
    """What is new gets its score when it comes, and wakes whom it is relevant to: never on the wake path."""

    backend: Backend
    seal: Seal
    tenant: TenantId
    ranker: Ranker
    deadline_ms: int = DEADLINE_MS
    """Of one ranking."""
    projected: int = 0
    degraded: int = 0
    """Of these, ranked while the engine was away."""
    idle_ms: int = IDLE_MS

    async def step(self) -> int:
        counts = await asyncio.gather(*(self._project(partition) for partition in partitions_of(self.backend)))
        self.projected += sum(counts)
        return 0 if any(counts) else self.idle_ms

    async def wait(self, pause_ms: int) -> None:
        await self.backend.signals.wait(PROJECT, pause_ms)

    async def _project(self, partition: Partition) -> int:
        waiting = await self.backend.projections.pending(partition)
        if not waiting:
            return 0
        now_ms = await self.backend.clock.now_ms()
        goals = await self._goals({projection.cid for projection in waiting})
        scored: list[Projected] = []
        for cid, goal in goals.items():
            mine = [projection for projection in waiting if projection.cid == cid]
            scored += await self._score(mine, goal, now_ms)
        gone = [_dropped(projection) for projection in waiting if projection.cid not in goals]
        await self.backend.projections.project(partition, [*scored, *gone])
        return len(waiting)

    async def _goals(self, cids: set[ContinuationId]) -> dict[ContinuationId, GoalFrame]:
        goals: dict[ContinuationId, GoalFrame] = {}
        for cid in sorted(cids):
            glance = await self.backend.records.glance(cid)
            if glance is None:
                continue
            try:
                envelope = self.seal.open(glance.checkpoint, "checkpoint", cid, self.tenant)
            except IntegrityError as error:  # its field is lost to it; nobody else's is
                log.error("not_projected", continuation=cid, error=str(error))  # noqa: TRY400 - the text says it all
                continue
            goals[cid] = Checkpoint.model_validate_json(envelope.body).goal
        return goals

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


def entry_of(projection: Projection, now_ms: TimeMs) -> Entry:
    """The field entry of an event or a finding, unscored."""
    if projection.source == "finding":
        return _finding_entry(projection, now_ms)
    event = Event.model_validate_json(projection.payload)
    item = (
        event.payload if isinstance(event.payload, dict) else {"title": event.subject, "abstract": str(event.payload)}
    )
    kind = _kind_of(event)
    title, body = str(item.get("title") or event.subject)[:500], _body_of(item)
    return Entry(
        id=entry_id(event.source, event.subject if kind is SourceKind.ROLLING else event.key),
        source=event.subject,
        kind=kind,
        title=title,
        body=body,
        created_at_ms=now_ms,
        last_reinforced_at_ms=now_ms,
        provenance=Provenance(event=event.id, subject=event.subject),
        links=tuple(str(item[key]) for key in ("link",) if item.get(key)),
        sketch=sketch(title, body),
        taint=event.taint,
    )


def _kind_of(event: Event) -> SourceKind:
    """An event of type `rolling` is the newest value of its subject, in place of the one before."""
    if event.type.startswith("feed"):
        return SourceKind.FEED
    return SourceKind.ROLLING if event.type == "rolling" else SourceKind.EVENT


def _body_of(item: Mapping[str, JsonValue]) -> str:
    return str(item.get("abstract") or item.get("summary") or "")[:4_000]


def _finding_entry(projection: Projection, now_ms: TimeMs) -> Entry:
    finding = orjson.loads(projection.payload)
    return Entry(
        id=entry_id("finding", finding["id"]),
        source=f"finding.{finding['root']}",
        kind=SourceKind.FINDING,
        title=finding["title"],
        body=finding["body"][:4_000],
        created_at_ms=now_ms,
        last_reinforced_at_ms=now_ms,
        provenance=Provenance(continuation=finding["continuation"]),
        links=tuple(finding["links"]),
        supersedes=entry_id("finding", finding["supersedes"]) if finding.get("supersedes") else None,
        sketch=sketch(finding["title"], finding["body"]),
        taint=finding.get("taint", "untrusted"),
    )


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
