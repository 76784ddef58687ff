"""The ports of the runtime's loops in memory: leases, timers, outbox, projections, routing."""

from collections.abc import Mapping, Sequence

import orjson

from maestro.adapters.memory import homes, mailbox, shelf, waking
from maestro.adapters.memory.state import Memory, PartitionState, Row, Shelved, Unscored
from maestro.adapters.memory.waking import RETRY, SILENT, WINDOW, Posted
from maestro.continuation.mail import Kind, Mail
from maestro.continuation.predicate import all_hold
from maestro.ids import ContinuationId, EntryId, Epoch, HolderId, MailId, Partition, TimeMs
from maestro.mesh.event import Event
from maestro.mesh.subject import candidates
from maestro.runtime.ports import PROJECT, RELAY, Fired, Projected, Projection, Reranked, Routed, Waiting
from maestro.tick.linger import own_name
from maestro.tick.store import OutboxRow, Terms


class MemoryLeases:
    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def expired(self, partition: Partition) -> Sequence[HolderId]:
        state = self._memory.at(partition)
        return [holder for holder, until_ms in state.leases.items() if until_ms <= state.clock.read()]

    async def minding(self, partition: Partition) -> Mapping[ContinuationId, HolderId]:
        return {cid: holder for holder, rows in self._memory.at(partition).held.items() for cid in rows}

    async def reclaim(self, holder: HolderId, partition: Partition) -> int:
        state = self._memory.at(partition)
        homes.leave(state, own_name(holder))
        rows = tuple(state.held.get(holder, {}).values())
        for row in rows:
            row.tenure.epoch = Epoch(row.tenure.epoch + 1)
            waking.let_go(state, row)
            waking.make_ready(state, row)
        state.leases.pop(holder, None)
        state.counts["reclaimed"] += len(rows)
        return len(rows)

    async def tell_room(self, pool: str, places: int, most: int) -> None:
        self._memory.at(Partition(0)).room.update({f"pool_places:{pool}": places, f"pool_most:{pool}": most})


class MemoryTimers:
    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def fire(self, partition: Partition, limit: int = 256) -> Fired:
        state = self._memory.at(partition)
        now_ms, late = state.now(), list[int]()
        while len(late) < limit and (first := state.timers.first()) and first[0] <= now_ms:
            due_ms, (cid, timer_id) = first
            row = state.rows[cid]
            waking.drop_timer(state, row, timer_id)
            if timer_id == WINDOW:
                waking.close_window(state, row)
            elif timer_id in SILENT:
                if timer_id == RETRY or row.vigil.hold is None:  # a hold keeps what is over until somebody ends it
                    waking.make_ready(state, row)
            else:
                # put, not post: a timer set again for the same moment is a new timer
                waking.put(state, row, _timer_mail(timer_id, due_ms, now_ms))
                state.counts["timers_fired"] += 1
            late.append(now_ms - due_ms)
        following = state.timers.first()
        return Fired(len(late), following[0] if following else None, now_ms, tuple(late))


def _timer_mail(timer_id: str, due_ms: TimeMs, now_ms: TimeMs) -> Mail:
    return Mail(
        id=MailId(f"timer:{timer_id}:{due_ms}"),
        kind=Kind.TIMER,
        sender="timer",
        subject=timer_id,
        correlation=timer_id,
        body={"due_ms": due_ms},
        sent_ms=now_ms,
    )


class MemoryOutbox:
    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def pending(self, partition: Partition, limit: int = 256) -> Sequence[tuple[str, OutboxRow]]:
        return list(self._memory.at(partition).outbox.oldest(limit))

    async def done(self, partition: Partition, positions: Sequence[str]) -> None:
        for position in positions:
            self._memory.at(partition).outbox.take(position)

    async def bury(self, partition: Partition, position: str, row: OutboxRow, cause: str) -> None:
        state = self._memory.at(partition)
        if state.outbox.take(position) is not None:
            state.bury(cause, row.to, row.kind, row.id, row.payload)


class MemoryProjections:
    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def pending(self, partition: Partition, limit: int = 64) -> Sequence[Projection]:
        return [
            Projection(position, item.cid, item.source, item.interest_id, item.relevance, item.payload)
            for position, item in self._memory.at(partition).projections.oldest(limit)
        ]

    async def project(self, partition: Partition, scored: Sequence[Projected]) -> int:
        state, new = self._memory.at(partition), 0
        for item in scored:
            waiting = state.projections.take(item.position)
            if waiting is None:
                continue
            row = state.rows.get(item.cid)
            if row is not None and not row.terminal:
                shelved = Shelved(item.rank_key, item.entry)
                shelf.put(state, item.cid, item.half_life_ms, EntryId(item.entry_id), shelved)
                new += 1
            if waiting.source == "event":
                _count_event(state, row, item.mail)
            elif item.mail is not None and row is not None:
                _post_or_bury(state, row, item.mail)
        return new

    async def degraded(self, partition: Partition, limit: int = 64) -> Sequence[Waiting]:
        return shelf.degraded(self._memory.at(partition), limit)

    async def rerank(self, partition: Partition, ranked: Sequence[Reranked]) -> int:
        return shelf.rerank(self._memory.at(partition), ranked)


def _count_event(state: PartitionState, row: Row | None, mail: Mail | None) -> None:
    """An event that has its score wakes, or is in the field and nothing more, or was for nobody."""
    if row is None or row.terminal:
        state.counts["event_dead"] += 1
    elif mail is None:
        state.counts["event_fielded"] += 1
    elif not waking.may_wake(state, row, mail.correlation or ""):
        state.counts.update(event_fielded=1, event_capped=1)
    elif _post_or_bury(state, row, mail) is Posted.DUPLICATE:
        state.counts["event_applied"] += 1


def _post_or_bury(state: PartitionState, row: Row, mail: Mail) -> Posted:
    """The mail is in the mailbox, or a dead letter where there is no room: never nothing."""
    posted = waking.post(state, row, mail)
    if posted is Posted.FULL:
        mailbox.bury(state, row, mail, "mailbox_full")
    return posted


class MemoryRouter:
    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def route(self, event: Event, partition: Partition, forward_to: Sequence[Partition] = ()) -> Routed:
        state = self._memory.at(partition)
        fact = (event.source, event.key)
        if fact in state.seen:
            return Routed(duplicate=True, matched=0)
        state.seen.add(fact, state.now())
        state.events.append(event.model_dump_json().encode())
        state.counts["published"] += 1
        matched = _matched(state, event)
        for cid, (interest_id, relevance) in matched.items():
            _tell(state, state.rows[cid], interest_id, relevance, event)
        if len(state.projections):
            state.signals.ring(PROJECT)
        for other in forward_to:
            state.outbox.add(OutboxRow(event.id, "event", str(other), event.model_dump_json().encode()))
        if forward_to:
            state.signals.ring(RELAY)
        state.counts["matched"] += len(matched)
        return Routed(duplicate=False, matched=len(matched))

    async def route_all(
        self, events: Sequence[Event], partition: Partition, forward_to: Sequence[Partition] = ()
    ) -> Sequence[Routed]:
        return [await self.route(event, partition, forward_to) for event in events]

    async def redeliver(self, partition: Partition, letter: bytes, to: ContinuationId | None, mail: Mail | None) -> str:
        state = self._memory.at(partition)
        if letter not in state.dead_letters:
            return "gone"
        if to is not None and mail is not None:
            row = state.rows.get(to)
            posted = "unknown" if row is None else waking.post(state, row, mail)
            if posted != Posted.OK:
                return str(posted)
            state.counts["event_dead"] -= mail.kind is Kind.EVENT
        state.dead_letters.remove(letter)
        state.counts["redelivered"] += 1
        told = orjson.loads(letter)
        fact = {"cid": told["to"], "id": told["id"], "cause": told["cause"], "at_ms": state.now()}
        state.fact({"type": "redelivered", **fact})
        return "ok"


def _tell(state: PartitionState, row: Row, interest_id: str, relevance: float | None, event: Event) -> None:
    """The event is mail, or waits for its score, or is a dead letter."""
    body = event.model_dump_json().encode()
    if row.gone is not None:
        state.bury("moved", row.cid, "event", event.id, body, interest=interest_id)
        state.counts["event_dead"] += 1
    elif relevance is not None:
        state.projections.add(_unscored(state, row, interest_id, relevance, body))
    elif not waking.may_wake(state, row, interest_id):
        state.projections.add(_unscored(state, row, interest_id, None, body))
        state.counts["event_capped"] += 1
    else:
        posted = waking.post(state, row, _event_mail(event, interest_id))
        if posted is Posted.FULL:
            state.bury("mailbox_full", row.cid, "event", event.id, body, interest=interest_id)
        if posted is not Posted.OK:
            state.counts["event_dead"] += 1


def _unscored(state: PartitionState, row: Row, interest_id: str, relevance: float | None, body: bytes) -> Unscored:
    return Unscored(row.cid, "event", interest_id, relevance, body, state.counts["published"], state.now())


def _matched(state: PartitionState, event: Event) -> dict[ContinuationId, tuple[str, float | None]]:
    """Who asked for `event`, each with its most willing interest: one without a relevance, else the lowest."""
    matched: dict[ContinuationId, tuple[str, float | None]] = {}
    for pattern in candidates(event.subject):
        for (cid, interest_id), relevance in state.interests.get(pattern, {}).items():
            if not _meets(state, state.terms.get((cid, interest_id)), event):
                continue
            if cid not in matched or _willing(relevance) < _willing(matched[cid][1]):
                matched[cid] = (interest_id, relevance)
    return matched


def _meets(state: PartitionState, terms: Terms | None, event: Event) -> bool:
    if terms is None:
        return True
    in_time = terms.until_ms is None or state.now() < terms.until_ms
    return in_time and all_hold(terms.filters, event.payload)


def _willing(relevance: float | None) -> float:
    return -1.0 if relevance is None else relevance


def _event_mail(event: Event, interest_id: str) -> Mail:
    return Mail(
        id=MailId(event.id),
        kind=Kind.EVENT,
        sender=event.source,
        subject=event.subject,
        correlation=interest_id,
        body=event.model_dump(mode="json"),
        sent_ms=event.time_ms,
        cause=event.causation_id,
        trust=event.taint,
        hops=event.hops,
    )
