"""The contract of every ranking engine, to be derived from by whoever has one; a fixture `engine` gives it."""

from maestro.continuation.goal import GoalFrame
from maestro.field.ranker import Ranker
from maestro.field.steady import rank
from tests.judged import Document

GOAL = GoalFrame(goal="Early warning of volcanic eruptions", keywords=("tremor",))
ON = Document("Early warning of volcanic eruptions", "Seismic tremor precedes an eruption by hours.")
ASIDE = Document("Bridges that sway", "How bridges of steel carry wind and seismic loads.")
OFF = Document("A recipe for sourdough bread", "Flour, water, salt and patience.")
ODD = (Document("x", ""), Document("\u2028\U0001f30b", "火山"), Document("long", "word " * 20_000))


class RankerContract:
    async def test_what_serves_the_goal_scores_highest_and_all_scores_are_within_0_to_1(self, engine: Ranker) -> None:
        scores = await engine.score(GOAL, [OFF, ON, ASIDE, *ODD])
        assert len(scores) == 6
        assert all(0 <= score <= 1 for score in scores)
        assert max(scores) == scores[1]
        assert scores[1] > scores[0]

    async def test_a_score_depends_on_neither_order_nor_company_nor_the_time_of_asking(self, engine: Ranker) -> None:
        entries = [ON, ASIDE, OFF, *ODD]
        alone = [(await engine.score(GOAL, [entry]))[0] for entry in entries]
        assert await engine.score(GOAL, entries) == alone
        assert await engine.score(GOAL, entries[::-1]) == alone[::-1]
        assert await engine.score(GOAL, [ON, ON]) == [alone[0]] * 2
        assert await engine.score(GOAL, []) == []

    async def test_an_engine_that_answers_is_not_degraded(self, engine: Ranker) -> None:
        ranking = await rank(engine, GOAL, [ON, OFF], deadline_ms=60_000)
        assert ranking.degraded is None
        assert list(ranking.scores) == await engine.score(GOAL, [ON, OFF])
