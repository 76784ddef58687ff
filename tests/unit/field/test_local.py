import asyncio
import subprocess
import sys

import pytest

from maestro.continuation.goal import GoalFrame
from maestro.errors import RankerFailed
from maestro.field.lexicon import LEAST, SHIPPED, counted
from maestro.field.local import LocalRanker, relevance
from maestro.field.ranker import RELEVANT, Ranker, checked_scores
from maestro.field.text import acronym, stem, term, words
from tests.unit.field.entries import an_entry

GOAL = GoalFrame(goal="Volcanic eruptions: early warning from seismic signals.")
ON_TOPIC = an_entry(
    "Early warning of volcanic eruptions", body="Seismic tremor precedes an eruption of a volcano by hours."
)
ASIDE = an_entry("Bridges that sway", body="We study how bridges of steel carry wind and seismic loads.")
OFF_TOPIC = an_entry("A recipe for sourdough bread", body="Flour, water, salt and patience.")


def test_on_topic_is_relevant_off_topic_is_not_and_an_aside_lies_between() -> None:
    on, aside, off = (relevance(GOAL, entry) for entry in (ON_TOPIC, ASIDE, OFF_TOPIC))
    assert on > RELEVANT > aside > off
    assert off < 0.05


def test_a_score_does_not_depend_on_company_or_order() -> None:
    ranker: Ranker = LocalRanker()
    entries = [ON_TOPIC, ASIDE, OFF_TOPIC]
    alone = [asyncio.run(ranker.score(GOAL, [entry]))[0] for entry in entries]
    assert asyncio.run(ranker.score(GOAL, entries)) == alone
    assert asyncio.run(ranker.score(GOAL, entries[::-1])) == alone[::-1]
    assert asyncio.run(ranker.score(GOAL, [])) == []


@pytest.mark.parametrize("seed", ["0", "12345"])
def test_a_score_is_the_same_in_every_process(seed: str) -> None:
    code = (
        "from tests.unit.field.test_local import GOAL, ON_TOPIC; from maestro.field.local import relevance;"
        "print(repr(relevance(GOAL, ON_TOPIC)))"
    )
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
    )
    assert float(other.stdout) == relevance(GOAL, ON_TOPIC)


def test_another_form_of_the_word_still_counts() -> None:
    goal = GoalFrame(goal="recommender systems")
    assert relevance(goal, an_entry("Recommendation with graphs")) > relevance(
        goal, an_entry("Reconstruction with graphs")
    )


def test_a_phrase_counts_more_than_its_words_apart() -> None:
    goal = GoalFrame(goal="speech synthesis")
    together = an_entry("x", body="On speech synthesis in rooms.")
    apart = an_entry("x", body="On speech in rooms by synthesis.")
    assert relevance(goal, together) > relevance(goal, apart)


def test_a_phrase_is_known_by_its_acronym_in_capitals_only() -> None:
    goal = GoalFrame(goal="reinforcement learning")
    assert relevance(goal, an_entry("x", body="An RL agent.")) > relevance(goal, an_entry("x", body="An rl agent."))


def test_a_word_in_the_title_counts_more_than_one_in_the_body() -> None:
    goal = GoalFrame(goal="volcano")
    assert relevance(goal, an_entry("volcano", body="x")) > relevance(goal, an_entry("x", body="volcano"))


def test_common_words_of_research_make_nothing_relevant() -> None:
    goal = GoalFrame(goal="A novel approach to learning models of volcano data.")
    entry = an_entry(
        "A novel approach to learning", body="We propose a method that trains models on data. Results show gains."
    )
    assert relevance(goal, entry) < RELEVANT


def test_a_keyword_weighs_more_than_a_constraint() -> None:
    entry = an_entry("Volcano watch")
    as_keyword = GoalFrame(goal="Follow news", keywords=("volcano",))
    as_constraint = GoalFrame(goal="Follow news", constraints=("volcano",))
    assert relevance(as_keyword, entry) > relevance(as_constraint, entry)


@pytest.mark.parametrize("goal", ["the and of", "!!!", "🌋"])
def test_a_goal_that_names_nothing_finds_nothing(goal: str) -> None:
    assert relevance(GoalFrame(goal=goal), ON_TOPIC) == 0


@pytest.mark.parametrize("body", ["", "word " * 100_000, "\u2028 \U0001f30b", "火山の噴火"])
def test_any_body_gets_a_score_within_0_to_1(body: str) -> None:
    assert 0 <= relevance(GOAL, an_entry("volcanic", body=body[:50_000])) <= 1


def test_stems_join_forms_of_a_word_and_keep_others_apart() -> None:
    for forms in (
        ("optimise", "optimization", "optimizers"),
        ("generate", "generative", "generation"),
        ("policy", "policies"),
    ):
        assert len({stem(form) for form in forms}) == 1, forms
    assert stem("general") != stem("generation")


def test_words_that_say_nothing_are_no_terms() -> None:
    assert term("The") is None
    assert term("x") is None
    assert term("Volcano") == stem("volcano")


def test_hyphens_part_words_and_capitals_make_acronyms() -> None:
    assert words("model-based RL") == ["model", "based", "RL"]
    assert acronym("LLMs") == "LLM"
    assert acronym("Model") is None


def test_a_common_word_narrows_down_less_than_a_rare_one() -> None:
    weight = SHIPPED.weight
    assert weight(stem("approach")) < weight(stem("network")) < weight(stem("graph")) < weight(stem("volcano"))


@pytest.mark.parametrize("scores", [[0.5], [0.5, 1.5], [0.5, float("nan")], [0.5, -0.1], [0.1, 0.2, 0.3]])
def test_scores_that_break_the_promise_of_a_ranker_are_refused(scores: list[float]) -> None:
    with pytest.raises(RankerFailed):
        checked_scores(scores, expected=2)


def test_scores_that_keep_it_are_taken() -> None:
    assert checked_scores([0, 1], expected=2) == [0.0, 1.0]


def test_in_a_collection_the_word_that_all_have_says_nothing_and_the_rare_one_decides() -> None:
    volcanoes = [an_entry(f"Volcano {name}", body="Lava.") for name in ("etna", "fuji", "hekla", "etna erupts")]
    lexicon = counted(volcanoes)
    assert LEAST <= lexicon.weight(stem("volcano")) < 0.1
    assert lexicon.weight(stem("volcano")) < lexicon.weight(stem("etna")) < lexicon.weight(stem("fuji"))
    goal = GoalFrame(goal="volcano fuji")
    best = max(volcanoes, key=lambda entry: relevance(goal, entry, lexicon))
    assert best.title == "Volcano fuji"


def test_the_same_collection_counted_in_another_order_is_the_same_lexicon() -> None:
    entries = [ON_TOPIC, ASIDE, OFF_TOPIC]
    one, other = counted(entries), counted(entries[::-1])
    assert one.name == other.name != counted(entries[1:]).name
    assert all(relevance(GOAL, entry, one) == relevance(GOAL, entry, other) for entry in entries)
