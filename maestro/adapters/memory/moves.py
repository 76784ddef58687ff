"""maestro.tick.moves in memory: a row is taken out of every list and kept, whole, as what has left."""

from collections.abc import Sequence
from dataclasses import replace

import orjson
from pydantic import JsonValue, TypeAdapter

from maestro.adapters.memory import ties, waking
from maestro.adapters.memory.nodes import unpin
from maestro.adapters.memory.shelf import note_degraded
from maestro.adapters.memory.state import Gone, Memory, PartitionState, Row, Shelved, Unscored, moved_away
from maestro.continuation.mail import Control
from maestro.errors import Conflict, InvalidInput
from maestro.ids import EntryId, Epoch, TimeMs, partition_of
from maestro.runtime.ports import PROJECT, TIMERS
from maestro.tick.moves import Departed, Member, Packed
from maestro.tick.store import Terms
from maestro.tick.watches import last_word

KIND = "memory-1"
_ROW = TypeAdapter(Row)
_TERMS = TypeAdapter(Terms)


class MemoryMoves:
    """maestro.tick.moves.Moves in one process."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def depart(self, family: Sequence[Member], export_id: str | None, to: str) -> Departed | None:
        found = [self._memory.find(member.cid) for member in family]
        state, root = found[0]
        if root.parent is not None:
            raise Conflict(f"{root.cid} is a child of {root.parent}", field="id", hint="export the root of its family")
        for (_, row), member in zip(found, family, strict=True):
            if row.gone is not None and row.gone.export_id != export_id:
                raise moved_away(row)
            if row.gone is None and (row.rev != member.rev or row.is_ordered(Control.ADOPTED)):
                return None
        if root.gone is not None:
            return Departed(KIND, root.gone.at_ms, tuple(row.gone.packed for _, row in found if row.gone))
        for _, row in found if export_id is not None else ():  # nobody else here will see its end
            word = last_word(row.cid, "moved", "moved", to, state.now())
            ties.tell_watchers(state, row, word, {member.cid for member in family})
        for _, row in found if export_id is not None else ():
            unpin(state, row)
        packed = [_packed(state, row) for _, row in found]
        if export_id is None:
            return Departed(KIND, state.now(), tuple(packed))
        left = [replace(pack, epoch=Epoch(pack.epoch + 1)) for pack in packed]
        for (_, row), pack in zip(found, left, strict=True):
            _leave(state, row, Gone(export_id, to, state.now(), pack))
        return Departed(KIND, state.now(), tuple(left))

    async def arrive(self, family: Departed, export_id: str) -> bool:
        if family.kind != KIND:
            raise InvalidInput(
                f"this export is of a store of kind {family.kind}, not {KIND}", field="file", hint="import it there"
            )
        for pack in family.packed:
            if partition_of(pack.cid) >= len(self._memory.partitions):
                raise InvalidInput(
                    f"{pack.cid} lives in partition {partition_of(pack.cid)}, this store has "
                    f"{len(self._memory.partitions)}",
                    field="file",
                    hint="make a store with as many partitions (MAESTRO_PARTITIONS)",
                )
        state = self._memory.of(family.packed[0].cid)
        for pack in family.packed:
            if _is_known(state, pack, export_id):
                return False
        for pack in family.packed:
            _enter(state, pack, export_id)
        return True


def _is_known(state: PartitionState, pack: Packed, export_id: str) -> bool:
    row = state.rows.get(pack.cid)
    if row is not None and row.arrived_by == export_id:
        return True
    if row is not None and (row.gone is None or row.tenure.epoch >= pack.epoch + 1):
        raise Conflict(f"{pack.cid} lives here already", field="file", hint="an export goes where it is not")
    owner = state.names.get(pack.name) if pack.name else None
    if owner is not None and owner != pack.cid:
        raise Conflict(f"the name {pack.name!r} belongs to {owner}", field="name", hint="import it where it is free")
    return False


def _packed(state: PartitionState, row: Row) -> Packed:
    """The row and what of it lies elsewhere."""
    scratch = replace(row.scratch, pieces={})
    plain = replace(row, checkpoint=b"", log=[], gone=None, arrived_by=None, scratch=scratch)
    ready_at = state.ready[row.pool].time_of(row.cid)
    rest: dict[str, object] = {
        "row": _ROW.dump_python(plain, mode="json", fallback=dict, warnings=False),
        "ready": ready_at is not None or row.tenure.holder is not None,
        "timers": sorted([name, state.timers.time_of((row.cid, name))] for name in row.vigil.timers),
        "interests": sorted(
            [pattern, name, state.interests[pattern].get((row.cid, name)), _terms(state.terms.get((row.cid, name)))]
            for pattern, name in row.vigil.interests
        ),
        "seen": state.seen.of(row.cid),
        "waiting": _text(state.waiting.get(row.cid)),
        "findings": [line.decode() for line in state.findings.get(row.cid, ())],
        "shelves": [
            [half_life, name, item.rank_key, item.entry.decode()]
            for half_life, items in sorted(state.shelves.get(row.cid, {}).items())
            for name, item in sorted(items.items())
        ],
        "pending": [
            [item.source, item.interest_id, item.relevance, item.payload.decode()]
            for _, item in state.projections.oldest(len(state.projections))
            if item.cid == row.cid
        ],
    }
    whole = orjson.loads(orjson.dumps(rest))  # what a file would give back
    return Packed(row.cid, None, row.tenure.epoch, row.rev, row.checkpoint, tuple(row.log), whole)


def _leave(state: PartitionState, row: Row, gone: Gone) -> None:
    """Nothing here wakes it, holds it, or waits for it any more; its interests stay, and what they match is buried."""
    waking.let_go(state, row)
    row.tenure.epoch = Epoch(row.tenure.epoch + 1)
    state.ready[row.pool].drop(row.cid)
    for name in tuple(row.vigil.timers):
        waking.drop_timer(state, row, name)
    for position, item in tuple(state.projections.oldest(len(state.projections))):
        if item.cid == row.cid:
            state.projections.take(position)
    state.waiting.pop(row.cid, None)
    state.counts[f"status:{row.status}"] -= 1
    state.counts["status:moved"] += 1
    row.gone = gone
    row.scratch.pieces.clear()
    state.fact({"type": "moved", "cid": row.cid, "to": gone.to, "export": gone.export_id, "at_ms": gone.at_ms})


def _enter(state: PartitionState, pack: Packed, export_id: str) -> None:
    rest = pack.rest if isinstance(pack.rest, dict) else {}
    row = _ROW.validate_python(rest["row"])
    row.checkpoint, row.log, row.arrived_by = pack.checkpoint, list(pack.log), export_id
    row.account = None  # the accounts of another store are none of ours
    row.tenure.epoch, row.tenure.holder = Epoch(pack.epoch + 1), None
    if row.cid in state.rows:
        state.counts["status:moved"] -= 1
    state.rows[row.cid] = row
    if pack.name:
        state.names[pack.name] = row.cid
    for name, due_ms in _rows(rest["timers"]):
        state.timers.put((row.cid, str(name)), TimeMs(int(str(due_ms))))
    _ask(state, row, _rows(rest["interests"]))
    for one, other, at_ms in _rows(rest["seen"]):
        state.seen.add((str(one), str(other)), TimeMs(int(str(at_ms))))
    if rest["waiting"] is not None:
        state.waiting[row.cid] = str(rest["waiting"]).encode()
    if findings := rest["findings"]:
        state.findings[row.cid] = [str(line).encode() for line in _rows(findings)]
    shelves: dict[int, dict[EntryId, Shelved]] = {}
    for half_life, name, rank_key, entry in _rows(rest["shelves"]):
        kept = Shelved(float(str(rank_key)), str(entry).encode())
        shelves.setdefault(int(str(half_life)), {})[EntryId(str(name))] = kept
        note_degraded(state, row.cid, int(str(half_life)), EntryId(str(name)), kept)
    state.shelves[row.cid] = shelves
    state.looked.pop(row.cid, None)
    for source, interest_id, relevance, payload in _rows(rest["pending"]):
        score = None if relevance is None else float(str(relevance))
        state.projections.add(
            Unscored(
                row.cid, str(source), None if interest_id is None else str(interest_id), score, str(payload).encode()
            )
        )
    state.counts[f"status:{row.status}"] += 1
    state.fact({"type": "arrived", "cid": row.cid, "export": export_id, "at_ms": state.now()})
    if rest["ready"]:
        waking.make_ready(state, row)
    for signal in (TIMERS, PROJECT):
        state.signals.ring(signal)


def _ask(state: PartitionState, row: Row, interests: list[list[JsonValue]]) -> None:
    for pattern, name, relevance, terms in interests:
        state.interests[str(pattern)][row.cid, str(name)] = None if relevance is None else float(str(relevance))
        if terms is not None:
            state.terms[row.cid, str(name)] = _TERMS.validate_python(terms)


def _terms(terms: Terms | None) -> JsonValue:
    """What an export holds of the terms of an interest."""
    return None if terms is None else _TERMS.dump_python(terms, mode="json")


def _rows(value: JsonValue) -> list[list[JsonValue]]:
    return value if isinstance(value, list) else []  # type: ignore[return-value]


def _text(body: bytes | None) -> str | None:
    return None if body is None else body.decode()
