"""How many of the papers that a person would open does the `local` engine wake for, and how many others?

The lists in tests/data/relevance.json were made by reading titles before the engine existed. A measurement, not a fit:
what it prints is what there is (`pytest -s`).
"""

from typing import Annotated

import pytest
from pydantic import BaseModel, Field

from maestro.continuation.goal import GoalFrame
from maestro.field.local import relevance
from maestro.field.ranker import RELEVANT
from tests.judged import JUDGEMENTS, Document, arxiv_papers

RECALL = 0.8
PRECISION = 0.4


class Paper(BaseModel):
    id: str
    title: str


class Judged(BaseModel):
    """One goal, and the papers that a person with that goal would open."""

    name: str
    goal: str
    held_out: bool
    relevant: Annotated[tuple[Paper, ...], Field(min_length=15)]

    @property
    def ids(self) -> set[str]:
        return {paper.id for paper in self.relevant}


class Judgements(BaseModel):
    about: str
    goals: tuple[Judged, ...]


GOALS = Judgements.model_validate_json(JUDGEMENTS.read_bytes()).goals


@pytest.fixture(scope="module")
def papers() -> dict[str, Document]:
    return arxiv_papers()


def woken(goal: Judged, papers: dict[str, Document]) -> set[str]:
    frame = GoalFrame(goal=goal.goal)
    return {name for name, paper in papers.items() if relevance(frame, paper) >= RELEVANT}


def test_the_judgements_are_about_papers_that_exist(papers: dict[str, Document]) -> None:
    for goal in GOALS:
        for paper in goal.relevant:
            assert papers[paper.id].title == paper.title


@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: goal.name)
def test_four_of_five_relevant_papers_wake_their_goal(goal: Judged, papers: dict[str, Document]) -> None:
    relevant, found = goal.ids, woken(goal, papers)
    hits = len(relevant & found)
    print(
        f"\n{goal.name}: recall {hits}/{len(relevant)} = {hits / len(relevant):.2f}, "
        f"precision {hits}/{len(found)} = {hits / len(found):.2f}, held out: {goal.held_out}"
    )
    assert hits / len(relevant) >= RECALL


def test_over_all_goals_recall_holds_and_other_papers_mostly_let_sleep(papers: dict[str, Document]) -> None:
    pairs = [(goal.ids, woken(goal, papers)) for goal in GOALS]
    hits = sum(len(relevant & found) for relevant, found in pairs)
    relevant = sum(len(relevant) for relevant, _ in pairs)
    found = sum(len(found) for _, found in pairs)
    print(f"\nall goals: recall {hits / relevant:.2f}, precision {hits / found:.2f}, of {len(papers)} papers each")
    assert hits / relevant >= RECALL
    assert hits / found >= PRECISION
