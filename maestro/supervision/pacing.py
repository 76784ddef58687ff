"""Restarts after a mass death, paced by a token bucket: a queue of those that wait, and who may go now.

Two hundred children that die with their node do not start all at once on what is left. Each takes a token; who gets
none waits its turn, first come first served, so that a child in a crash loop never goes before a sibling that waited.
Not here: whether a child is restarted at all (`machine`), and how long a turn takes (the shell).
"""

from dataclasses import replace

from maestro.supervision.spec import Pace
from maestro.supervision.state import (
    Action,
    Bucket,
    Child,
    Decided,
    PostTurn,
    StartChild,
    StartTogether,
    SupervisorState,
)

_TOKEN = 1_000  # thousandths: integers lose nothing, however often the clock is looked at


def enqueue(state: SupervisorState, *children: Child) -> Decided:
    """They wait to restart, and a turn is on its way."""
    queued = replace(state, queue=(*state.queue, *(child.id for child in children)))
    turn = (PostTurn(0),) if children and not state.queue else ()
    return queued.put(*(replace(child, standing="waiting", incarnation=None) for child in children)), turn


def turn(state: SupervisorState, now_ms: int) -> Decided:
    """As many of those that wait as may go are on their way up; another turn follows while somebody waits."""
    waiting = [child for child_id in dict.fromkeys(state.queue) if (child := _waits(state, child_id))]
    bucket, granted, after_ms = _grant(state, len(waiting), now_ms)
    going, left = waiting[:granted], waiting[granted:]
    state = replace(state, bucket=bucket, queue=tuple(child.id for child in left))
    state = state.put(*(replace(child, standing="restarting") for child in going))
    turns: tuple[Action, ...] = (PostTurn(after_ms),) if left else ()  # first: a failed start ends the batch
    return state, (*turns, *together(going))


def together(children: list[Child]) -> tuple[Action, ...]:
    """One action that starts all of them."""
    match children:
        case []:
            return ()
        case [child]:
            return (StartChild(child.spec),)
        case _:
            return (StartTogether(tuple(child.spec for child in children)),)


def in_paces(children: list[Child], pace: Pace | None) -> tuple[Action, ...]:
    """A first start of all together; never more at once than the pace allows."""
    step = pace.at_once if pace else max(1, len(children))
    return tuple(action for n in range(0, len(children), step) for action in together(children[n : n + step]))


def refill(bucket: Bucket | None, pace: Pace, now_ms: int) -> Bucket:
    """The bucket as it is now; never more in it than it holds, whatever the clock did."""
    if bucket is None:
        return Bucket(pace.at_once * _TOKEN, now_ms)
    grown = bucket.millis + max(0, now_ms - bucket.at_ms) * pace.per_second
    return Bucket(min(pace.at_once * _TOKEN, grown), now_ms)


def _grant(state: SupervisorState, wanted: int, now_ms: int) -> tuple[Bucket | None, int, int]:
    """The bucket afterwards, how many may go, and in how many milliseconds it is worth to look again."""
    if state.pace is None:
        return None, wanted if state.starts_together else min(1, wanted), 0
    full = refill(state.bucket, state.pace, now_ms)
    granted = min(wanted, full.millis // _TOKEN)
    rest = replace(full, millis=full.millis - granted * _TOKEN)
    missing = _TOKEN - rest.millis
    return rest, granted, max(0, -(-missing // state.pace.per_second))


def _waits(state: SupervisorState, child_id: str) -> Child | None:
    child = state.child(child_id)
    return child if child is not None and child.standing == "waiting" else None
