"""The rows of the warehouse: one for each movement of what is spent, and one for each birth.

    feed  born                      -> kind `born`: whose behaviour it is, and of which family
    feed  budget_charge, refunded   -> kind `model`, `tool`, `human` or `other`, entry `charge` or `refund`

Invariants: pure; a row is a function of its fact, never of where or when it was read; (id, entry) names a movement, so
that a fact that is read twice is one row; the amounts of a continuation add up to what its ledger calls spent.
What is not here: where rows are kept (`stock`), and the tables that people ask (`views`).

Source: spec/05 section 8; decision 0020.
"""

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

import orjson
from pydantic import JsonValue

from maestro.budget.vector import CHEAP_MODEL_CALLS, EXPENSIVE_MODEL_CALLS, TOKENS, USD
from maestro.ids import TenantId

Kind = Literal["born", "model", "tool", "human", "other"]
Facts = Mapping[str, JsonValue]


class Row(NamedTuple):
    """One row, in the order of its columns; what a fact does not tell is None."""

    kind: Kind
    entry: Literal["born", "charge", "refund"]
    id: str
    """The call it was for; of what a commit itself cost, the continuation, the revision and the resource."""
    at_ms: int
    tenant: str
    cid: str
    rev: int | None = None
    ordinal: int | None = None
    outcome: str | None = None
    behaviour: str | None = None
    root: str | None = None
    parent: str | None = None
    account: str | None = None
    resource: str | None = None
    units: int = 0
    """Of `resource`: uses of a tool, requests to people, or calls of a model."""
    usd_micros: int = 0
    tokens: int = 0
    cheap_calls: int = 0
    expensive_calls: int = 0
    step: str | None = None
    complexity: float | None = None
    domain: str | None = None
    tier: str | None = None
    provider: str | None = None
    model: str | None = None
    latency_ms: int | None = None
    executor_input_tokens: int | None = None
    executor_output_tokens: int | None = None
    advisor_input_tokens: int | None = None
    advisor_output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_creation_tokens: int | None = None
    advisor_consulted: bool | None = None
    attempts: int | None = None
    estimated: bool | None = None
    error: str | None = None
    amounts: str = "{}"
    """Every resource of the movement, as JSON."""


TOLD = frozenset(Row._fields[Row._fields.index("step") : Row._fields.index("error") + 1])
"""What a fact tells of a call under the name of the column."""


def rows_of(fact: Facts, tenant: TenantId) -> Iterator[Row]:
    """The rows of one entry of the feed; none where it tells of nothing that is kept."""
    match fact:
        case {"type": "born", "cid": str(cid), "root": str(root), "behaviour": str(behaviour)}:
            parent, account = fact.get("parent"), fact.get("account")
            yield Row(
                "born",
                "born",
                cid,
                _int(fact.get("at_ms")),
                tenant,
                cid,
                behaviour=behaviour,
                root=root,
                parent=parent if isinstance(parent, str) else None,
                account=account if isinstance(account, str) else None,
            )
        case {"type": "budget_charge", "charge": dict(charge)}:
            yield from _movement(fact, tenant, "charge", {name: _int(amount) for name, amount in charge.items()})
        case {"type": "refunded", "charged": dict(charged), "actual": dict(actual)}:
            moved = {name: _int(actual.get(name)) - _int(charged.get(name)) for name in {**charged, **actual}}
            yield from _movement({**fact, "outcome": "refunded"}, tenant, "refund", moved)
        case _:
            return


def _movement(
    fact: Facts, tenant: TenantId, entry: Literal["charge", "refund"], amounts: Mapping[str, int]
) -> Iterator[Row]:
    """One row for what a call cost; of what people were asked for, one for each resource."""
    call_id = fact.get("call_id")
    place = call_id if isinstance(call_id, str) else f"{fact['cid']}:{fact['rev']}"
    people = sorted(name for name in amounts if name.startswith("human."))
    rest = {name: amount for name, amount in sorted(amounts.items()) if name not in people}
    for name in people:
        yield _row(fact, tenant, entry, f"{place}:{name}", "human", name, {name: amounts[name]})
    if rest or not people:
        kind, resource = _kind_of(fact, rest)
        yield _row(fact, tenant, entry, place, kind, resource, rest)


def _row(
    fact: Facts,
    tenant: TenantId,
    entry: Literal["charge", "refund"],
    id_: str,
    kind: Kind,
    resource: str | None,
    amounts: Mapping[str, int],
) -> Row:
    told = {name: fact[name] for name in TOLD if name in fact}
    named = fact.get("tool")
    return Row(
        kind,
        entry,
        id_,
        _int(fact.get("at_ms")),
        tenant,
        str(fact["cid"]),
        rev=_int(fact.get("rev")),
        ordinal=_int(fact["ordinal"]) if fact.get("ordinal") is not None else None,
        outcome=str(fact.get("outcome")),
        resource=named if kind == "tool" and isinstance(named, str) else resource,
        units=sum(amounts.values()) if kind == "human" else _calls(kind, amounts),
        usd_micros=amounts.get(USD, 0),
        tokens=amounts.get(TOKENS, 0),
        cheap_calls=amounts.get(CHEAP_MODEL_CALLS, 0),
        expensive_calls=amounts.get(EXPENSIVE_MODEL_CALLS, 0),
        amounts=orjson.dumps(amounts).decode(),
        **told,  # type: ignore[arg-type]  # the store's own words; the columns hold their types
    )


def _kind_of(fact: Facts, amounts: Mapping[str, int]) -> tuple[Kind, str | None]:
    """What was paid for, and in which resource it is counted: as the fact tells, else by what was drawn on."""
    tools = [name for name in amounts if name.startswith("tool.")]
    if tools or "tool" in fact:
        return "tool", next(iter(tools), None)
    model = [name for name in (EXPENSIVE_MODEL_CALLS, CHEAP_MODEL_CALLS, TOKENS) if name in amounts]
    if model or "tier" in fact:
        return "model", next(iter(model), None)
    return "other", next(iter(amounts), None)


def _calls(kind: Kind, amounts: Mapping[str, int]) -> int:
    if kind == "model":
        return amounts.get(CHEAP_MODEL_CALLS, 0) + amounts.get(EXPENSIVE_MODEL_CALLS, 0)
    return sum(amount for name, amount in amounts.items() if name.startswith("tool."))


def _int(value: JsonValue) -> int:
    return int(value) if isinstance(value, int | float) else 0
