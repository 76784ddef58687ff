"""Rows are functions of facts: what each fact of the feed becomes, and what becomes nothing."""

from typing import Any

import pytest

from maestro.ids import TenantId
from maestro.warehouse.rows import Row, rows_of

ACME = TenantId("acme")
WHERE: dict[str, Any] = {"cid": "a", "rev": 3, "at_ms": 7}


def charge(charged: dict[str, Any], **more: Any) -> list[Row]:
    return list(rows_of({"type": "budget_charge", "charge": charged, "outcome": "answered", **WHERE, **more}, ACME))


def test_a_model_call_is_a_row_with_all_that_was_told_of_it() -> None:
    told = {"tier": "haiku", "provider": "p", "executor_input_tokens": 10, "advisor_consulted": False, "unheard": 1}
    (row,) = charge({"usd": 5, "tokens": 12, "cheap_model_calls": 1}, call_id="call-1", ordinal=0, **told)
    assert (row.kind, row.entry, row.id, row.units, row.usd_micros, row.tokens) == (
        "model",
        "charge",
        "call-1",
        1,
        5,
        12,
    )
    assert (row.tier, row.provider, row.executor_input_tokens, row.advisor_consulted) == ("haiku", "p", 10, False)
    assert (row.model, row.tenant, row.cid, row.rev, row.at_ms) == (None, "acme", "a", 3, 7)


@pytest.mark.parametrize(
    ("charged", "told", "kind"),
    [
        ({"tokens": 3}, {}, "model"),
        ({}, {"tier": "opus"}, "model"),
        ({"tool.search": 1, "usd": 4}, {"tool": "find"}, "tool"),
        ({}, {"tool": "find"}, "tool"),
        ({"usd": 4}, {}, "other"),
        ({}, {}, "other"),
    ],
)
def test_what_was_paid_for_is_told_or_seen_by_what_was_drawn_on(
    charged: dict[str, int], told: dict[str, Any], kind: str
) -> None:
    (row,) = charge(charged, call_id="call-1", **told)
    assert (row.kind, row.usd_micros) == (kind, charged.get("usd", 0))
    assert row.resource == told.get("tool", row.resource)


def test_each_request_to_people_is_a_row_beside_the_rest() -> None:
    rows = charge({"human.approvals": 2, "human.reviews": 1, "usd": 9})
    assert [(row.id, row.kind, row.resource, row.units, row.usd_micros) for row in rows] == [
        ("a:3:human.approvals", "human", "human.approvals", 2, 0),
        ("a:3:human.reviews", "human", "human.reviews", 1, 0),
        ("a:3", "other", "usd", 0, 9),
    ]


def test_a_refund_takes_off_what_was_charged_too_much() -> None:
    before, after = {"usd": 9, "tokens": 4, "cheap_model_calls": 1}, {"usd": 2, "cheap_model_calls": 1}
    fact: dict[str, Any] = {
        "type": "refunded",
        "charged": before,
        "actual": after,
        "call_id": "call-1",
        "tier": "haiku",
        **WHERE,
    }
    (row,) = rows_of(fact, ACME)
    assert (row.kind, row.entry, row.id, row.outcome) == ("model", "refund", "call-1", "refunded")
    assert (row.usd_micros, row.tokens, row.units, row.tier) == (-7, -4, 0, "haiku")


def test_a_birth_says_whose_and_of_which_family_and_account() -> None:
    fact: dict[str, Any] = {
        "type": "born",
        "cid": "b",
        "parent": "a",
        "root": "a",
        "behaviour": "scout",
        "account": "acme/key",
    }
    (row,) = rows_of(fact, ACME)
    assert (row.kind, row.cid, row.parent, row.root, row.behaviour, row.account) == (
        "born", "b", "a", "a", "scout", "acme/key",
    )  # fmt: skip


@pytest.mark.parametrize("fact", [{}, {"type": "committed"}, {"type": "budget_charge"}, {"type": "born", "cid": 3}])
def test_anything_else_is_no_row(fact: dict[str, Any]) -> None:
    assert list(rows_of(fact, ACME)) == []
