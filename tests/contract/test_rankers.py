"""The contract of every ranking engine, and what stands in for one that breaks it.

`torch` is skipped where torch or a model is not (`tests.models`).
"""

import asyncio
import importlib
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from maestro.continuation.goal import GoalFrame
from maestro.errors import RankerFailed
from maestro.field.lexicon import counted
from maestro.field.local import LocalRanker, relevance
from maestro.field.ranker import Rankable, Ranker, scores_by_id
from maestro.field.steady import rank
from tests.contract.ranking import ASIDE, GOAL, OFF, ON, RankerContract
from tests.models import needed


@pytest.fixture(params=["local", "local-counted", pytest.param("torch", marks=pytest.mark.vllm)])
def engine(request: pytest.FixtureRequest) -> Ranker:
    match request.param:
        case "local":
            return LocalRanker()
        case "local-counted":
            return LocalRanker(counted([ON, ASIDE, OFF]))
        case _:
            return torch_engine()


def torch_engine() -> Ranker:
    weights = needed("torch", "transformers")
    made: Ranker = importlib.import_module("maestro.adapters.torch.ranker").TorchRanker(weights)
    return made


class TestEngine(RankerContract):
    """Each engine in this process; tests/e2e/test_kernel_on_serve.py holds one behind Serve to the same."""


@dataclass(slots=True)
class Broken:
    """An engine that answers with what it was given, in turn; the last one again and again; None is never answered."""

    answers: Sequence[list[float] | str | None]
    asked: int = 0

    async def score(self, goal: GoalFrame, entries: Sequence[Rankable]) -> list[float]:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        match answer:
            case None:
                await asyncio.Event().wait()
                raise AssertionError("nobody sets it")
            case str():
                raise RankerFailed(answer)
            case _:
                return answer


async def test_an_engine_that_dies_under_a_request_is_asked_once_more() -> None:
    dying = Broken(["replica killed", [0.9, 0.1]])
    ranking = await rank(dying, GOAL, [ON, OFF])
    assert (ranking.scores, ranking.degraded, dying.asked) == ((0.9, 0.1), None, 2)


BAD = {
    "dead": ["replica killed"],
    "slow": [None],
    "nan": [[float("nan"), 0.5]],
    "too many": [[0.1, 0.2, 0.3]],
    "too few": [[0.1]],
    "too high": [[0.5, 1.5]],
}


@pytest.mark.parametrize("answers", BAD.values(), ids=BAD)
async def test_what_an_engine_gets_wrong_is_rejected_and_the_last_ranks_stand_marked_degraded(
    answers: list[list[float] | str | None],
) -> None:
    ranking = await rank(Broken(answers), GOAL, [ON, OFF], last=[0.25, 0.75], deadline_ms=20)
    assert ranking.scores == (0.25, 0.75)
    assert ranking.degraded


async def test_an_entry_that_never_had_a_rank_gets_one_from_words_alone() -> None:
    ranking = await rank(Broken(["away"]), GOAL, [ON, OFF], last=[None, 0.75])
    assert ranking.scores == (relevance(GOAL, ON), 0.75)
    assert ranking.degraded == "away"


ROWS = {
    "twice": [("#a", 0.1), ("#b", 0.2), ("#a", 0.3)],
    "a stranger": [("#a", 0.1), ("#c", 0.2)],
    "one is missing": [("#a", 0.1)],
    "not a number": [("#a", float("nan")), ("#b", 0.2)],
}


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_an_answer_that_names_entries_twice_or_others_is_rejected(rows: list[tuple[str, float]]) -> None:
    with pytest.raises(RankerFailed):
        scores_by_id(rows, ["#a", "#b"])


def test_an_answer_in_any_order_is_taken_in_the_order_asked() -> None:
    assert scores_by_id([("#b", 0.2), ("#a", 0.1)], ["#a", "#b"]) == [0.1, 0.2]
