"""Since you were away: what was found, decided without you, failed and spent between two moments of the feed.

Invariant: it says so where the feed has dropped facts of that time.
Source: spec/06 section 3.
"""

from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import JsonValue

from maestro.errors import InvalidInput
from maestro.gateway.access import Asker
from maestro.gateway.events import START, Cursor
from maestro.gateway.gate import Gate
from maestro.gateway.notebook import findings
from maestro.gateway.tidings import Digest, WaitItem
from maestro.ids import ContinuationId
from maestro.runtime.verbs import partitions

KIND = "seen"
BATCH, MOST = 1_000, 1_000
Fact = Mapping[str, Any]


async def digest(gate: Gate, asker: Asker, since_ms: int | None, waits: list[WaitItem]) -> Digest:
    """What happened since then, or since whoever asks said that it had seen everything."""
    note = await gate.at.backend.register.get(KIND, asker.name)
    kept = orjson.loads(note) if note and since_ms is None else {}
    start = int(kept.get("at_ms", since_ms or 0))
    cursor = Cursor.parse(kept["cursor"], gate.at.backend.partitions) if kept else None
    end, now_ms = gate.tail.cursor, int(await gate.at.backend.clock.now_ms())
    tally = _Tally(start)
    for part in partitions(gate.at):
        after = START if cursor is None else cursor.places[part]
        while facts := await gate.at.backend.records.feed(part, after, BATCH):
            for fact in facts:
                tally.take(orjson.loads(fact.body), gate, asker)
            after = facts[-1].position
    found = [one for one in await findings(gate, asker) if one.at_ms > start]
    return Digest(
        since_ms=start,
        until_ms=now_ms,
        cursor=str(end),
        whole=cursor is None or await gate.tail.lost(cursor) is None,
        findings=found[:MOST],
        decided_alone=tally.decided[-MOST:],
        failures=tally.failures[-MOST:],
        waits=waits,
        born=tally.born,
        ended=tally.ended,
        ticks=tally.ticks,
        spent_usd_micros=tally.spent,
    )


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
        self._since_ms = since_ms
        self.decided: list[dict[str, JsonValue]] = []
        self.failures: list[dict[str, JsonValue]] = []
        self.born = self.ended = self.ticks = self.spent = 0

    def take(self, fact: Fact, gate: Gate, asker: Asker) -> None:
        cid, at_ms = fact.get("cid"), fact.get("at_ms")
        if not isinstance(cid, str) or not gate.directory.within(ContinuationId(cid), asker.subtree):
            return
        if isinstance(at_ms, int) and at_ms <= self._since_ms:
            return
        match fact["type"]:
            case "born" | "forked":
                line = gate.directory.lines.get(ContinuationId(cid))
                self.born += line is None or line.created_at_ms > self._since_ms
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
