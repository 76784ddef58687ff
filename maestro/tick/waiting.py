"""Going to sleep: what the closing `Sleep` of a tick becomes in the checkpoint.

In this order: ends of children are counted; what would ask a person takes a unit of human attention, or waits for one;
stamps of time; approvals are bound to what is so now.
Invariants: pure; a question that goes on, or is escalated, is paid for once; without attention left nobody is asked.

Source: spec/01 sections 5, 5.4, 7; X-46.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from maestro.budget.vector import BudgetVector
from maestro.continuation.approval import bound
from maestro.continuation.checkpoint import Checkpoint
from maestro.continuation.expiry import Terms, goes_on, opened, watched_until
from maestro.continuation.wait import (
    TTL_TIMER,
    ApprovalResolution,
    BudgetGrant,
    Children,
    ScheduledWake,
    Simple,
    StreamEvent,
    WaitFor,
    awaits_attention,
    human_resource,
    left,
    mapped,
    parts,
)
from maestro.errors import InvalidInput
from maestro.ids import ContinuationId, TimeMs
from maestro.tick.attention import Purse, next_asking
from maestro.tick.transition import Facts


@dataclass(frozen=True, slots=True)
class Rest:
    """A wait that has begun, and what beginning it cost."""

    wait: WaitFor
    spend: BudgetVector
    resume_attempts: int
    purse: Purse

    def update(self) -> dict[str, object]:
        """What the checkpoint says of it."""
        said: dict[str, object] = {"wait": self.wait, "resume_attempts": self.resume_attempts}
        if self.purse.per_day is not None:
            said |= {"asked_on_day": self.purse.day, "asks_that_day": self.purse.taken_today}
        return said


def rest(facts: Facts, asked: WaitFor, state: JsonValue, living: set[ContinuationId], free: Mapping[str, int]) -> Rest:
    """What it sleeps until.

    Args:
        free: what is left of each limited resource once this tick has lent to children.

    Raises:
        InvalidInput: as many of these children as it would wait for have ended; it would never wake.
    """
    wait = left(asked, (), living)
    if wait is None:
        raise InvalidInput(
            "the children that it would wait for have ended already",
            field="wait",
            hint="count their ends in `on_child`, and act in place of waiting when the last one is in",
        )
    terms = Terms(facts.now_ms, facts.before.bounds, facts.defaults)
    earlier = None if facts.is_first_of_fork else waited_for(facts.before)
    going_on = [part for part in (parts(earlier) if earlier is not None else ()) if part != facts.lapsed]
    arrived = {mail.wake_key for mail in facts.consumed}
    purse = Purse.of(facts.before, free, facts.now_ms)
    wait = mapped(wait, lambda part: _asked(part, going_on, arrived, purse))
    wait = opened(wait, going_on, arrived, terms)
    wait = mapped(wait, lambda part: _marked(part, facts.notices))
    wait = bound(wait, facts.before.id, state, facts.policy_version)
    return Rest(wait, BudgetVector(purse.spent), _attempts(facts, wait), purse)


def waited_for(before: Checkpoint) -> WaitFor | None:
    """What it waits for, apart from money; a question that nobody was asked yet is still a wait for attention."""
    wait = before.wait
    return wait.then if isinstance(wait, BudgetGrant) and not awaits_attention(wait) else wait


def watch_of(checkpoint: Checkpoint) -> TimeMs | None:
    """When the store has to look at it though nothing came: its wait expires, or its deadline comes."""
    if checkpoint.terminal or checkpoint.wait is None:
        return None
    moments = (watched_until(checkpoint.wait), checkpoint.bounds.deadline_ms, next_asking(checkpoint))
    return min((moment for moment in moments if moment is not None), default=None)


def watched(before: Checkpoint, after: Checkpoint) -> tuple[dict[str, TimeMs], tuple[str, ...]]:
    """(set, cancelled): the store's own timer as a commit leaves it.

    It is set by every commit that has something to watch: one that fired while a tick was under way has found nobody.
    """
    moment = watch_of(after)
    if moment is not None:
        return {TTL_TIMER: moment}, ()
    return {}, (TTL_TIMER,) if watch_of(before) is not None else ()


def _asked(part: Simple, earlier: list[Simple], arrived: set[str], purse: Purse) -> WaitFor:
    """`part` where its question may be asked, else the wait for a unit of attention with the question in it."""
    question = part.then if isinstance(part, BudgetGrant) and awaits_attention(part) else part
    if question is None or isinstance(question, BudgetGrant):
        return part
    asks = [simple for simple in parts(question) if _is_new_question(simple, earlier, arrived)]
    for simple in asks:
        resource = human_resource(simple)
        if resource is not None and not purse.take(resource):
            return BudgetGrant(resource=resource, asked=1, free=0, then=question)
    return question


def _marked(part: Simple, notices: Mapping[str, str]) -> Simple:
    """`part` with how telling people of it went."""
    if not isinstance(part, ApprovalResolution):
        return part
    told = notices.get(part.approval_id) or notices.get(part.replaces or "")
    return part if told is None else part.model_copy(update={"notified": told})


def _is_new_question(part: Simple, earlier: list[Simple], arrived: set[str]) -> bool:
    if human_resource(part) is None or part.escalated:
        return False
    return goes_on(part, earlier, arrived) is None


def _attempts(facts: Facts, wait: WaitFor) -> int:
    """The committed attempts of the lineage: a planned sleep begins a new one."""
    if any(isinstance(part, StreamEvent | ScheduledWake | Children) for part in parts(wait)):
        return 0
    resumed = facts.ran and facts.before.wait is not None
    return facts.before.resume_attempts + int(resumed)
