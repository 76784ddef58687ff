"""I7 and I8: money and the world outside, to the unit; and all twelve rules as one checker."""

from collections import Counter, defaultdict

from pydantic import JsonValue

from maestro.budget.vector import USD
from maestro.chaos import invariants
from maestro.chaos.evidence import Evidence
from maestro.chaos.invariants import Found, Rule, Violation
from maestro.ids import ContinuationId

CALLS_OF_A_PAGER = 4  # under way at once, at most, in the pagers of a run


def books_balance(evidence: Evidence) -> Found:
    """I7: granted = free + reserved + spent + lent, nothing below zero; lent is with children; bills are covered."""
    granted: defaultdict[tuple[ContinuationId, str], int] = defaultdict(int)
    for member in evidence.members:
        if (parent := member.checkpoint.parent) is not None:
            for name, account in member.ledger.accounts.items():
                granted[parent, name] += account.granted or 0
    for member in evidence.members:
        for name, account in member.ledger.accounts.items():
            reserved = sum(price[name] for price in member.ledger.reservations.values())
            below = min(account.reserved, account.spent, account.lent, account.free or 0) < 0
            if below or account.reserved != reserved or account.lent != granted[member.cid, name]:
                proof = f"{name}: {account}, {reserved} reserved, {granted[member.cid, name]} with children"
                yield Violation("I7", member.cid, proof)
        spent, limit = 0, member.ledger.account(USD).granted
        for record in member.records:
            spent += record.charges.get(USD, 0)
            if limit is not None and spent > limit:
                yield Violation("I7", member.cid, f"{spent} of {limit} spent at rev {record.rev}")
                break
    yield from _billed(evidence)


def _billed(evidence: Evidence) -> Found:
    """What the world outside billed is in the ledgers.

    But for one case, which docs/semantics.md names: a pager that dies between the provider's answer and the journal
    takes the knowledge of that bill with it, and the call is bought again under the same reservation.
    """
    outside = evidence.last("outside")
    bill, call = outside.get("billed_usd_micros"), outside.get("dearest_call_usd_micros")
    deaths = sum(died for note in evidence.told("heal") if isinstance(died := note.facts.get("pagers_died"), int))
    unknown = deaths * CALLS_OF_A_PAGER * (call if isinstance(call, int) else 0)
    spent = sum(member.ledger.account(USD).spent for member in evidence.members)
    if isinstance(bill, int) and spent + unknown < bill:
        proof = f"it billed {bill} micro-dollars, the ledgers know of {spent}, {unknown} may be unknown"
        yield Violation("I7", "the world outside", proof)


def effects_happen_once(evidence: Evidence) -> Found:
    """I8: an unsafe act happened at most once, a keyed one had one effect; what is said to be done was done."""
    outside = evidence.last("outside")
    if not outside:
        return
    calls, effects = _counts(outside.get("unsafe_calls")), _counts(outside.get("keyed_effects"))
    for what, times in {**calls, **effects}.items():
        if times > 1:
            yield Violation("I8", what, f"the world outside saw it {times} times")
    for member in evidence.members:
        books = member.books
        for what in books.effects if books is not None else []:
            if not calls[what] + effects[what]:
                yield Violation("I8", member.cid, f"{what} is said to be done, and the world outside never saw it")


RULES: dict[str, Rule] = {
    "I1": invariants.acknowledged_is_kept,
    "I2": invariants.one_record_per_rev,
    "I3": invariants.no_stale_write,
    "I4": invariants.applied_once_in_order,
    "I5": invariants.nothing_vanishes,
    "I6": invariants.timers_fire_once_and_never_early,
    "I7": books_balance,
    "I8": effects_happen_once,
    "I9": invariants.nobody_is_stranded,
    "I10": invariants.logs_lead_to_checkpoints,
    "I11": invariants.claims_are_linearizable,
    "I12": invariants.it_lived,
}


def check(evidence: Evidence) -> list[Violation]:
    """What the evidence proves wrong; nothing when every invariant holds."""
    return [violation for rule in RULES.values() for violation in rule(evidence)]


def _counts(value: JsonValue) -> Counter[str]:
    rows = value if isinstance(value, dict) else {}
    return Counter({what: times for what, times in rows.items() if isinstance(times, int)})
