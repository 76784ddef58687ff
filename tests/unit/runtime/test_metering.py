from typing import Any

import pytest
from pydantic import ValidationError

from maestro.continuation.checkpoint import EffectNote, LogRecord
from maestro.ids import ContinuationId, Epoch, Rev, TenantId, TimeMs
from maestro.runtime.metering import (
    Charge,
    ModelCallRow,
    ToolRow,
    charge_of,
    charges_of,
    effect_rows,
    human_rows,
    totals,
)

CID = ContinuationId("c-1")
USAGE = {
    "executor_input_tokens": 11,
    "executor_output_tokens": 12,
    "advisor_input_tokens": 13,
    "advisor_output_tokens": 14,
    "cache_read_tokens": 15,
    "cache_creation_tokens": 16,
}
ANSWER: dict[str, Any] = {"content": "yes", "usage": USAGE, "attempts": 2, "advisor_consulted": True, "estimated": True}
DETAIL: dict[str, Any] = {"tier": "sonnet", "provider": "p", "model": "m", "latency_ms": 5}


def record(*effects: EffectNote) -> LogRecord:
    return LogRecord(
        cid=CID,
        tenant=TenantId("acme"),
        rev=Rev(3),
        epoch=Epoch(1),
        behaviour="scout",
        behaviour_version=2,
        effects=effects,
        started_at_ms=TimeMs(1),
        reason="",
        state_hash="",
        previous_hash="",
        patch=[],
    )


def note(kind: str = "model", **charge: int) -> EffectNote:
    return EffectNote(
        ordinal=0, kind=kind, key="k", outcome="answered", charge=charge, decision="sonnet: as_asked", detail=DETAIL
    )


def charged(outcome: str = "answered", **amounts: int) -> dict[str, Any]:
    return {"type": "budget_charge", "cid": "c-1", "rev": 3, "at_ms": 9, "outcome": outcome, "charge": amounts}


@pytest.mark.spec("05.10")
def test_a_model_call_is_a_row_with_every_column_of_its_usage() -> None:
    (row,) = effect_rows(record(note(usd=900, expensive_model_calls=2, tokens=50)), {0: ANSWER}, 7)
    assert isinstance(row, ModelCallRow)
    assert {name: getattr(row, name) for name in USAGE} == USAGE
    assert (row.attempts, row.advisor_consulted, row.estimated, row.at_ms) == (2, True, True, 7)
    assert (row.usd_micros, row.cheap_calls, row.expensive_calls, row.charged_tokens) == (900, 0, 2, 50)
    assert (row.tier, row.provider, row.model, row.latency_ms) == ("sonnet", "p", "m", 5)
    assert (row.behaviour, row.behaviour_version, row.decision) == ("scout", 2, "sonnet: as_asked")


def test_a_tool_is_a_row_with_what_it_took_of_its_quota() -> None:
    (row,) = effect_rows(record(note("tool", **{"tool.search": 1})), {}, 7)
    assert isinstance(row, ToolRow)
    assert (row.kind, row.amounts, row.usd_micros) == ("tool", {"tool.search": 1}, 0)


def test_an_effect_without_an_answer_is_a_row_all_the_same() -> None:
    (row,) = effect_rows(record(note()), {0: None}, 7)
    assert isinstance(row, ModelCallRow)
    assert (row.executor_input_tokens, row.attempts) == (0, 1)


def test_a_refund_takes_away_what_was_charged_too_much_in_every_resource() -> None:
    refund: dict[str, Any] = {"type": "refunded", "cid": "c-1", "rev": 4, "at_ms": 9, "call_id": "x"}
    refund |= {"charged": {"usd": 60, "tokens": 5}, "actual": {"usd": 7, "expensive_model_calls": 1}}
    charge = charge_of(refund)
    assert charge is not None
    assert charge.amounts == {"usd": -53, "tokens": -5, "expensive_model_calls": 1}
    assert totals([*charges_of([charged("unknown", usd=60, tokens=5)]), charge]) == {
        "c-1": {"expensive_model_calls": 1, "usd": 7}
    }


def test_facts_about_anything_else_are_no_charges() -> None:
    facts: list[dict[str, Any]] = [
        {"type": "born", "cid": "c-1"},
        charged(usd=1),
        {"type": "budget_alert", "cid": "c-1"},
    ]
    assert [charge.amounts for charge in charges_of(facts)] == [{"usd": 1}]


def test_the_attention_of_people_is_a_row_for_each_resource() -> None:
    charges = charges_of([charged("spent", **{"human.reviews": 1, "human.approvals": 2}), charged(usd=4)])
    assert [(row.resource, row.units) for row in human_rows(charges)] == [("human.approvals", 2), ("human.reviews", 1)]


def test_an_outcome_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValidationError):
        charge_of(charged("guessed", usd=1))
    assert Charge(cid="c-1", rev=1, at_ms=1, outcome="spent", amounts={}).call_id is None
