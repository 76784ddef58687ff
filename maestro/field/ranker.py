"""The port of every ranker: how well does an entry serve a goal?

Promises of an implementation: each score is within 0..1; the same goal and entry get the same score in every process,
alone or among others, in any order.
What is not here: decay and reinforcement, which only time and use decide (`decay`).

Source: DESIGN section 8 "kernel"; spec/02 "Kernel contract"; PROMISES F64.
"""

from collections.abc import Sequence
from typing import Protocol

from maestro.continuation.goal import GoalFrame
from maestro.errors import RankerFailed

RELEVANT = 0.35
"""The score from which on an entry is worth a wake, unless a subscription says otherwise.

Chosen for the `local` engine so that recall comes before precision: a paper missed costs more than one read in vain
(tests/integration/test_relevance.py measures both)."""


class Rankable(Protocol):
    """Anything with a title and a body: an entry, an event, a document."""

    @property
    def title(self) -> str: ...

    @property
    def body(self) -> str: ...


class Ranker(Protocol):
    """One engine behind the context kernel: `local`, `torch` or `vllm`."""

    async def score(self, goal: GoalFrame, entries: Sequence[Rankable]) -> list[float]:
        """One score in 0..1 per entry, in the order of `entries`.

        Raises:
            RankerFailed: the engine cannot answer now; the caller keeps the last ranks and marks the field stale.
        """
        ...


def checked_scores(scores: Sequence[float], expected: int) -> list[float]:
    """`scores`, when they are what a ranker promised; every caller of a ranker outside this process asks.

    Raises:
        RankerFailed: another number of scores than entries, or a score that is no number within 0..1.
    """
    if len(scores) != expected:
        raise RankerFailed(
            f"the ranker gave {len(scores)} scores for {expected} entries", given=len(scores), expected=expected
        )
    for place, score in enumerate(scores):
        if not 0 <= score <= 1:  # NaN is neither
            raise RankerFailed(f"score {place} of the ranker is {score}, not within 0..1", place=place, score=score)
    return [float(score) for score in scores]


def scores_by_id(rows: Sequence[tuple[str, float]], asked: Sequence[str]) -> list[float]:
    """The scores of `asked`, in that order, out of an answer of (entry, score) rows in any order.

    Raises:
        RankerFailed: an entry is named twice, not at all, or was not asked about; or a score is none.
    """
    found = dict(rows)
    if len(found) != len(rows):
        raise RankerFailed("the ranker named an entry twice", given=len(rows), expected=len(asked))
    if found.keys() != set(asked):
        raise RankerFailed("the ranker scored other entries than it was asked", given=len(rows), expected=len(asked))
    return checked_scores([found[name] for name in asked], len(asked))
