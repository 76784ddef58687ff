"""maestro.tick.moves on Redis: everything under a continuation's keys goes as it lies there.

Invariant: nothing here knows what the keys mean, so that what is added to a continuation's hash moves with it. The
dedupe memory lies with that of all others and is collected last: of one that has left it does not change any more.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from pydantic import JsonValue

from maestro.adapters.redis import codec
from maestro.adapters.redis.store import Keys, flat, moved_away, unknown
from maestro.errors import Conflict, InvalidInput
from maestro.field.decay import half_lives
from maestro.ids import ContinuationId, Epoch, Rev, TimeMs, partition_of
from maestro.tick.moves import Departed, Member, Packed

KIND = "redis-1"
SILENT_TIMERS = ("!retry", "!window", "!ttl", "wake")
"""Timers that no checkpoint lists."""
_LEFT_BEHIND = frozenset({"mv", "h", "st", "ar", "lh"})
"""Of the hash: what concerns the store that it left."""


class RedisMoves:
    """maestro.tick.moves.Moves on Redis."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def depart(self, family: Sequence[Member], export_id: str | None, to: str) -> Departed | None:
        members = [
            {
                "cid": member.cid,
                "rev": member.rev,
                "timers": sorted({*member.timers, *SILENT_TIMERS}),
                "interests": member.interests,
            }
            for member in family
        ]
        root = family[0].cid
        outcome, *facts = await self._keys.script(
            "depart", root, export_id or "", to, codec.dumps(members), *half_lives()
        )
        match outcome:
            case b"ok":
                seen = await self._seen([member.cid for member in family])
                packed = tuple(_packed(pack, seen) for pack in facts[1:])
                return Departed(KIND, TimeMs(int(facts[0])), packed)
            case b"changed":
                return None
            case b"moved":
                raise moved_away(ContinuationId(facts[0].decode()), facts[1].decode())
            case b"child":
                raise Conflict(
                    f"{root} is a child of {facts[0].decode()}", field="id", hint="export the root of its family"
                )
            case _:
                raise unknown(ContinuationId(facts[0].decode()))

    async def arrive(self, family: Departed, export_id: str) -> bool:
        if family.kind != KIND:
            raise InvalidInput(
                f"this export is of a store of kind {family.kind}, not {KIND}", field="file", hint="import it there"
            )
        for pack in family.packed:
            if partition_of(pack.cid) >= self._keys.partitions:
                raise InvalidInput(
                    f"{pack.cid} lives in partition {partition_of(pack.cid)}, this store has {self._keys.partitions}",
                    field="file",
                    hint="make a store with as many partitions (MAESTRO_PARTITIONS)",
                )
        plans = [codec.dumps(_plan(pack)) for pack in family.packed]
        outcome, *facts = await self._keys.script(
            "arrive", family.packed[0].cid, export_id, codec.dumps(list(half_lives())), *plans
        )
        match outcome:
            case b"exists":
                raise Conflict(
                    f"{facts[0].decode()} lives here already", field="file", hint="an export goes where it is not"
                )
            case b"name":
                raise Conflict(
                    f"the name {facts[0].decode()!r} belongs to {facts[1].decode()}",
                    field="name",
                    hint="import it where the name is free",
                )
            case _:
                return bool(outcome == b"ok")

    async def _seen(self, family: Sequence[ContinuationId]) -> Mapping[str, JsonValue]:
        """What each of the family would know again, in one walk over what all of its partition share."""
        found: dict[str, dict[str, str]] = {cid: {} for cid in family}
        place, cursor = f"{self._keys.of(family[0])}:seen", 0
        while True:
            cursor, part = await self._keys.wire.execute("ZSCAN", place, cursor, "COUNT", 1000)
            for member, score in _texts(flat(part)).items():
                if (known := found.get(member.removeprefix("B ").partition(" ")[0])) is not None:
                    known[member] = score
            if int(cursor) == 0:
                return {cid: [[member, known[member]] for member in sorted(known)] for cid, known in found.items()}


def _packed(pack: Sequence[Any], seen: Mapping[str, JsonValue]) -> Packed:
    (
        cid,
        checkpoint,
        log,
        x,
        mail,
        orders,
        journal,
        ledger,
        entries,
        heard,
        ranked,
        findings,
        error,
        born,
        watched,
        watches,
    ) = pack
    fields = _texts(x)
    whose = ContinuationId(cid.decode())
    rest: JsonValue = {
        "x": {name: value for name, value in fields.items() if name not in _LEFT_BEHIND},
        "mail": [line.decode() for line in mail],
        "orders": [line.decode() for line in orders],
        "findings": [line.decode() for line in findings],
        "journal": _couples(journal),
        "ledger": _couples(ledger),
        "entries": _couples(entries),
        "heard": _couples(heard),
        "watches": _couples(watches),
        "ranked": [_couples(members) for members in ranked],
        "seen": seen[whose],
        "error": error.decode(),
        "born": born.decode(),
        "watched": _watched(orjson.loads(watched)),
    }
    return Packed(
        cid=whose,
        name=None,
        epoch=Epoch(int(fields["ep"])),
        rev=Rev(int(fields["rev"])),
        checkpoint=checkpoint,
        log=tuple(codec.log_line_of(whose, line) for line in log),
        rest=rest,
    )


def _plan(pack: Packed) -> Mapping[str, Any]:
    """What arrive.lua carries out."""
    rest = pack.rest if isinstance(pack.rest, dict) else {}
    x = rest["x"] if isinstance(rest["x"], dict) else {}
    return {
        **rest,
        "cid": pack.cid,
        **({"name": pack.name} if pack.name else {}),
        "checkpoint": pack.checkpoint.decode(),
        "log": [codec.log_line(at_ms, record).decode() for at_ms, record in pack.log],
        "x": {**x, "ep": str(pack.epoch + 1)},
    }


def _texts(pairs: Sequence[bytes]) -> dict[str, str]:
    return {name: value.decode() for name, value in codec.pairs(pairs).items()}


def _couples(pairs: Sequence[bytes]) -> JsonValue:
    """The same hash in the same order, however the server holds it."""
    found = _texts(pairs)
    return [[name, found[name]] for name in sorted(found)]


def _watched(kept: dict[str, Any]) -> JsonValue:
    """What cjson writes of an empty list is an empty object."""
    lists = {name: list(kept[name]) for name in ("timers", "subs", "pending")}
    return {**lists, **{name: kept[name] for name in ("ready", "st", "waits")}}
