"""What models cost, summed: from the effects in every log, held against what the ledgers say is spent.

Invariant: rows add up to the total, and the total and what is open add up to the ledgers.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import JsonValue

from maestro.budget.vector import TOKENS, USD
from maestro.cli.words import usd
from maestro.continuation.checkpoint import EffectNote, LogRecord
from maestro.ids import ContinuationId, TimeMs
from maestro.runtime import verbs
from maestro.runtime.verbs import Installation

KEYS = ("behaviour", "tier", "model", "day", "continuation")
Row = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Charge:
    """What one effect cost, and whose it was."""

    behaviour: str
    tier: str
    model: str
    day: str
    continuation: str
    tokens: int
    usd_micros: int


async def tallied(at: Installation) -> tuple[list[Charge], int]:
    """Every charge of every committed tick, and the micro-dollars that all ledgers together call spent."""
    charges: list[Charge] = []
    spent = 0
    for partition in verbs.partitions(at):
        for cid in await at.backend.records.ids(partition):
            spent += (await verbs.glance_of(at, cid)).ledger.account(USD).spent
            charges += await _charges(at, cid)
    return charges, spent


def grouped(charges: Iterable[Charge], keys: Sequence[str]) -> list[Row]:
    """One row per combination of `keys`, the dearest first."""
    sums: dict[tuple[str, ...], tuple[int, int, int]] = {}
    for charge in charges:
        place = tuple(getattr(charge, key) for key in keys)
        calls, tokens, micros = sums.get(place, (0, 0, 0))
        sums[place] = calls + 1, tokens + charge.tokens, micros + charge.usd_micros
    rows: list[Row] = [
        {
            **dict(zip(keys, place, strict=True)),
            "calls": calls,
            "tokens": tokens,
            "usd_micros": micros,
            "usd": usd(micros),
        }
        for place, (calls, tokens, micros) in sums.items()
    ]
    return sorted(rows, key=lambda row: (-int(str(row["usd_micros"])), *(str(row[key]) for key in keys)))


def account_of(rows: Iterable[Row], spent: int) -> dict[str, int]:
    """The sums beside the ledgers; what is open was answered and charged in ticks that are not committed yet."""
    total = sum(int(str(row["usd_micros"])) for row in rows)
    return {"total_usd_micros": total, "ledger_usd_micros": spent, "open_usd_micros": spent - total}


async def _charges(at: Installation, cid: ContinuationId) -> list[Charge]:
    lines = await at.backend.records.log(cid)
    opened = ((at_ms, at.seal.open(line, "record", cid, at.tenant).body) for at_ms, line in lines)
    records = ((at_ms, LogRecord.model_validate_json(body)) for at_ms, body in opened)
    return [_charge(record, effect, at_ms) for at_ms, record in records for effect in record.effects]


def _charge(record: LogRecord, effect: EffectNote, at_ms: TimeMs) -> Charge:
    detail = effect.detail if isinstance(effect.detail, dict) else {}
    return Charge(
        behaviour=record.behaviour,
        tier=str(detail.get("tier") or "-"),
        model=str(detail.get("model") or "-"),
        day=datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d"),
        continuation=record.cid,
        tokens=effect.charge.get(TOKENS, 0),
        usd_micros=effect.charge.get(USD, 0),
    )
