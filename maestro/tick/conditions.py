"""The surroundings of a decision: what the bounds of a continuation leave it, and how busy its pager is.

All that is read here is part of the question that the journal keeps, so the decision can be made again on the same.
Invariant: room for children is told only of work that a child could do; it decides nothing about any other.
"""

from collections.abc import Sequence

from maestro.continuation.checkpoint import Checkpoint
from maestro.continuation.lifecycle import TERMINAL
from maestro.continuation.mail import Kind, Mail
from maestro.ids import TimeMs
from maestro.pager.load import Load
from maestro.policy.gradient import Step
from maestro.policy.kernel import step_for
from maestro.policy.question import Conditions, Signals
from maestro.tick.birth import MAX_DEPTH


def conditions(
    before: Checkpoint, now_ms: TimeMs, load: Load, asked: Step | None, signals: Signals, room: tuple[int | None, int]
) -> Conditions:
    """What the surroundings are like at this moment.

    Args:
        asked: the step that is asked for; None leaves it to the signals.
        room: how many more children may live, how much deeper the tree may grow.
    """
    bounds = before.bounds
    children_left, depth_left = room if signals.independent else (None, None)
    return Conditions(
        deadline_in_ms=None if bounds.deadline_ms is None else bounds.deadline_ms - now_ms,
        turns_left=None if bounds.max_turns is None else bounds.max_turns - before.turns,
        queue_depth=load.waiting,
        providers_up=load.providers_up,
        expected_latency_ms=load.latency_ms.get((asked or step_for(signals)).tier, 0),
        children_left=children_left,
        depth_left=depth_left,
    )


def room_of(before: Checkpoint, mail: Sequence[Mail], being_born: int) -> tuple[int | None, int]:
    """How many more children may live, None without a bound, and how much deeper the tree may grow."""
    depth_left = min(MAX_DEPTH, before.bounds.max_depth or MAX_DEPTH) - before.depth
    most = before.bounds.max_children
    if most is None:
        return None, depth_left
    ended = {letter.child for letter in mail if letter.kind is Kind.CHILD}
    living = sum(kid.status not in TERMINAL and cid not in ended for cid, kid in before.children.items())
    return max(0, most - living - being_born), depth_left
