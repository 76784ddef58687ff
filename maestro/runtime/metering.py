"""Metering: what was spent, as typed rows, made from the feed and the log alone.

    feed  budget_charge, refunded   -> Charge        every movement of `spent`, as it happened
    log   the effects of a tick     -> ModelCallRow, ToolRow
    both  the attention of people   -> HumanRow

Invariants: pure, so that a warehouse can be built anew at any time; the charges of a continuation add up to what its
ledger calls spent, in every resource, at every moment (`totals`).
What is not here: where rows are kept, and questions about them.

Source: spec/05 section 8.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from maestro.budget.vector import CHEAP_MODEL_CALLS, EXPENSIVE_MODEL_CALLS, TOKENS, USD
from maestro.continuation.checkpoint import EffectNote, LogRecord

MODEL = "model"
_HUMAN = "human."


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    cid: str
    rev: int
    """The tick that it was spent in."""
    at_ms: int


class Charge(_Row):
    """One movement of what is spent; a refund takes away what was charged too much."""

    outcome: Literal["answered", "failed", "unknown", "spent", "refunded"]
    """`unknown` was charged in full when its tick ended, `spent` is what a commit itself cost."""
    amounts: dict[str, int]
    call_id: str | None = None
    ordinal: int | None = None


class _EffectRow(_Row):
    """What every effect in the log says of itself."""

    tenant: str
    behaviour: str
    behaviour_version: int
    ordinal: int
    outcome: str
    usd_micros: int


class ModelCallRow(_EffectRow):
    """fact_model_call: one row per model call."""

    decision: str | None
    """The step that the kernel decided for, and the rule that fired."""
    tier: str | None
    provider: str | None
    model: str | None
    latency_ms: int | None
    cheap_calls: int
    expensive_calls: int
    charged_tokens: int
    executor_input_tokens: int = 0
    executor_output_tokens: int = 0
    advisor_input_tokens: int = 0
    advisor_output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_creation_tokens: int = 0
    advisor_consulted: bool = False
    attempts: int = 1
    estimated: bool = False


class ToolRow(_EffectRow):
    """fact_tool: one row per use of a tool, or of anything else that is no model."""

    kind: str
    amounts: dict[str, int]


class HumanRow(_Row):
    """fact_human: one row per asking that took attention."""

    resource: str
    units: int


def charge_of(fact: Mapping[str, JsonValue]) -> Charge | None:
    """The movement of money that an entry of the feed tells of; None where it tells of something else."""
    match fact:
        case {"type": "budget_charge", "charge": dict(amounts)}:
            told = {name: fact[name] for name in ("cid", "rev", "at_ms", "outcome")}
            return Charge.model_validate(
                {**told, "amounts": amounts, "call_id": fact.get("call_id"), "ordinal": fact.get("ordinal")}
            )
        case {"type": "refunded", "charged": dict(charged), "actual": dict(actual)}:
            amounts = {name: _int(actual.get(name)) - _int(charged.get(name)) for name in {**charged, **actual}}
            told = {name: fact[name] for name in ("cid", "rev", "at_ms", "call_id")}
            return Charge.model_validate({**told, "outcome": "refunded", "amounts": amounts})
        case _:
            return None


def charges_of(facts: Iterable[Mapping[str, JsonValue]]) -> list[Charge]:
    """Every movement of money in a stretch of the feed, in its order."""
    return [charge for charge in map(charge_of, facts) if charge is not None]


def totals(charges: Iterable[Charge]) -> dict[str, dict[str, int]]:
    """What each continuation has spent, of each resource that it spent any of."""
    sums: dict[str, Counter[str]] = {}
    for charge in charges:
        sums.setdefault(charge.cid, Counter()).update(charge.amounts)
    return {cid: {name: amount for name, amount in sorted(spent.items()) if amount} for cid, spent in sums.items()}


def human_rows(charges: Iterable[Charge]) -> list[HumanRow]:
    """One row for each asking that took attention."""
    return [
        HumanRow(cid=charge.cid, rev=charge.rev, at_ms=charge.at_ms, resource=name, units=units)
        for charge in charges
        for name, units in sorted(charge.amounts.items())
        if name.startswith(_HUMAN)
    ]


def effect_rows(record: LogRecord, answers: Mapping[int, JsonValue], at_ms: int) -> Sequence[ModelCallRow | ToolRow]:
    """One row for each effect of a committed tick.

    Args:
        answers: what was answered, by ordinal; an effect that is not in it has no answer, or one of no interest.
    """
    return [_row(record, note, _object(answers.get(note.ordinal)), at_ms) for note in record.effects]


def _row(record: LogRecord, note: EffectNote, answer: Mapping[str, JsonValue], at_ms: int) -> ModelCallRow | ToolRow:
    same = {
        "cid": record.cid,
        "rev": record.rev,
        "at_ms": at_ms,
        "tenant": record.tenant,
        "behaviour": record.behaviour,
        "behaviour_version": record.behaviour_version,
        "ordinal": note.ordinal,
        "outcome": note.outcome,
        "usd_micros": note.charge.get(USD, 0),
    }
    if note.kind != MODEL:
        return ToolRow.model_validate({**same, "kind": note.kind, "amounts": note.charge})
    detail, usage = _object(note.detail), _object(answer.get("usage"))
    counted = {name: count for name, count in usage.items() if name in ModelCallRow.model_fields}
    told = {name: answer[name] for name in ("advisor_consulted", "attempts", "estimated") if name in answer}
    return ModelCallRow.model_validate(
        {
            **same,
            **counted,
            **told,
            **{name: detail.get(name) for name in ("tier", "provider", "model", "latency_ms")},
            "decision": note.decision,
            "cheap_calls": note.charge.get(CHEAP_MODEL_CALLS, 0),
            "expensive_calls": note.charge.get(EXPENSIVE_MODEL_CALLS, 0),
            "charged_tokens": note.charge.get(TOKENS, 0),
        }
    )


def _object(value: JsonValue) -> Mapping[str, JsonValue]:
    return value if isinstance(value, dict) else {}


def _int(value: JsonValue) -> int:
    return value if isinstance(value, int) else 0
