"""Since you were away: what was found, decided without you, failed and spent between two moments of the feed.

Invariants: it says so where facts of that time are missing in it; what it reads is bounded, however long one was away.
Source: spec/06 section 3.
"""

import asyncio
import heapq
from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import JsonValue

from maestro.errors import InvalidInput
from maestro.gateway.access import Asker
from maestro.gateway.events import START, Cursor
from maestro.gateway.gate import Gate
from maestro.gateway.notebook import held
from maestro.gateway.notebook import seen as notebook_seen
from maestro.gateway.tail import REMEMBERED
from maestro.gateway.tidings import Digest, WaitItem
from maestro.ids import ContinuationId, Partition
from maestro.runtime.verbs import partitions

KIND = "seen"
BATCH, MOST = 1_000, 1_000
READ = 200_000  # facts that one digest reads from the store, over all partitions
Fact = Mapping[str, Any]


async def digest(gate: Gate, asker: Asker, since_ms: int | None, waits: list[WaitItem]) -> Digest:
    """What happened since then, or since whoever asks said that it had seen everything."""
    note = await gate.at.backend.register.get(KIND, asker.name)
    kept = orjson.loads(note) if note and since_ms is None else {}
    start = int(kept.get("at_ms", since_ms or 0))
    cursor = Cursor.parse(kept["cursor"], gate.at.backend.partitions) if kept else None
    end, now_ms = gate.tail.cursor, int(await gate.at.backend.clock.now_ms())
    tally, whole = _Tally(start), cursor is None or await gate.tail.lost(cursor) is None
    for part in partitions(gate.at):
        after = START if cursor is None else cursor.places[part]
        whole &= await _count(gate, asker, part, after, tally)
    found = heapq.nsmallest(
        MOST, [one async for one in held(gate, asker) if one.found["at_ms"] > start], key=lambda one: one.place
    )
    return Digest(
        since_ms=start,
        until_ms=now_ms,
        cursor=str(end),
        whole=whole,
        findings=[notebook_seen(gate, one) for one in found],
        decided_alone=tally.decided[-MOST:],
        failures=tally.failures[-MOST:],
        waits=waits,
        born=tally.born,
        ended=tally.ended,
        ticks=tally.ticks,
        spent_usd_micros=tally.spent,
    )


async def _count(gate: Gate, asker: Asker, part: Partition, after: str, tally: "_Tally") -> bool:
    """What a partition's feed told behind `after` is counted; False where that is not all that happened since.

    What the tail does not remember is read from the store, up to READ facts; of a longer absence the middle is not.
    """
    left, first, whole = READ // gate.at.backend.partitions, True, True
    dropped = after == START and gate.tail.beginnings.is_gone(part, (await gate.at.backend.records.span(part))[0])
    while gate.tail.has_forgotten(part, after):
        if left <= 0:
            after, whole = gate.tail.floor(part), False
            break
        facts = await gate.tail.behind(part, after, BATCH)
        if not facts:
            break
        if first and dropped and int(facts[0].body.get("at_ms") or 0) > tally.since_ms:
            whole = False
        for fact in facts:
            tally.take(fact.body, gate, asker)
        after, left, first = facts[-1].position, left - len(facts), False
        await asyncio.sleep(0)
    for fact in await gate.tail.behind(part, after, REMEMBERED):
        tally.take(fact.body, gate, asker)
    return whole


async def seen(gate: Gate, asker: Asker, cursor: str) -> None:
    """Whoever asks has seen everything up to there.

    Raises:
        InvalidInput: it is no cursor, or of what has not happened yet.
    """
    place = Cursor.parse(cursor, gate.at.backend.partitions)
    if await gate.tail.lost(place) == "future":
        raise InvalidInput("nothing has come so far yet", field="cursor", hint="give the `cursor` of a digest")
    told = {"cursor": cursor, "at_ms": await gate.at.backend.clock.now_ms()}
    await gate.at.backend.register.put(KIND, asker.name, orjson.dumps(told))


class _Tally:
    """Counts facts behind a moment."""

    def __init__(self, since_ms: int) -> None:
        self.since_ms = since_ms
        self.decided: list[dict[str, JsonValue]] = []
        self.failures: list[dict[str, JsonValue]] = []
        self.born = self.ended = self.ticks = self.spent = 0

    def take(self, fact: Fact, gate: Gate, asker: Asker) -> None:
        cid, at_ms = fact.get("cid"), fact.get("at_ms")
        if not isinstance(cid, str) or not gate.directory.within(ContinuationId(cid), asker.subtree):
            return
        if isinstance(at_ms, int) and at_ms <= self.since_ms:
            return
        match fact["type"]:
            case "born" | "forked":
                line = gate.directory.lines.get(ContinuationId(cid))
                self.born += line is None or line.created_at_ms > self.since_ms
            case "committed":
                self._tick(fact, {"id": cid, "at_ms": at_ms, "reason": fact.get("reason")})

    def _tick(self, fact: Fact, about: dict[str, JsonValue]) -> None:
        self.ticks += 1
        self.spent += int((fact.get("charges") or {}).get("usd", 0))
        status = fact.get("status")
        if fact.get("autonomous_decision"):
            self.decided.append({**about, "decision": fact["autonomous_decision"]})
        if status in ("failed", "expired"):
            self.failures.append({**about, "status": status})
        self.ended += status in ("completed", "failed", "expired", "cancelled", "superseded")
