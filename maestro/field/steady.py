"""Ranking that always ends: one engine, a deadline, one retry, and what stands in when it cannot answer.

    the engine's scores -> else, per entry, the last score it had -> else the `local` engine's

Invariants: there is one score within 0..1 per entry, in their order, whatever the engine does; scores that are not the
engine's are told as degraded, with the cause; the deadline holds for both tries together.
What is not here: an engine that never gives the loop back (one that computes does so in a thread), and ranking again
what was ranked degraded.

Source: spec/02 section 6; PROMISES F62-F64.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from maestro.continuation.goal import GoalFrame
from maestro.errors import RankerFailed
from maestro.field.local import relevance
from maestro.field.ranker import Rankable, Ranker, checked_scores

DEADLINE_MS = 300  # F63; a batch of 64 takes `local` about 30 ms on two cores
TRIES = 2  # F62: a replica that died under the request is no reason to rank badly; a second death is


@dataclass(frozen=True, slots=True)
class Ranking:
    """One score per entry, and why they are not the engine's, if they are not."""

    scores: tuple[float, ...]
    degraded: str | None = None


async def rank(
    engine: Ranker,
    goal: GoalFrame,
    entries: Sequence[Rankable],
    last: Sequence[float | None] = (),
    deadline_ms: int = DEADLINE_MS,
) -> Ranking:
    """The engine's scores of `entries`, or what stands in for them.

    Args:
        last: the score that each entry had, None where it had none; may be left out for entries that are all new.
    """
    cause = ""
    try:
        async with asyncio.timeout(deadline_ms / 1000):
            for _ in range(TRIES):
                try:
                    return Ranking(tuple(checked_scores(await engine.score(goal, entries), len(entries))))
                except RankerFailed as error:
                    cause = error.message
    except TimeoutError:
        cause = f"the ranker did not answer within {deadline_ms} ms"
    known = [*last, *[None] * (len(entries) - len(last))]
    pairs = zip(entries, known, strict=True)
    return Ranking(tuple(relevance(goal, entry) if score is None else score for entry, score in pairs), cause)
