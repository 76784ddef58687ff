"""The rehearsal model: extractive, deterministic, and it fills any schema of ours."""

import subprocess
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pytest
from pydantic import BaseModel, Field, JsonValue

from maestro.adapters.litellm.rehearsal import rehearse
from maestro.adapters.litellm.structured import schema_instruction
from maestro.continuation.goal import GoalFrame
from maestro.field.compose import compose
from maestro.field.local import relevance

GOAL = "Goal: federated reinforcement learning for robots"
PAPER = """# Question
Does it bear on the goal?
# About
Federated reinforcement learning for robots
We had tea. Robots learn by federated reinforcement learning. It rained. (see http://x.test/1, please)"""


@dataclass(frozen=True)
class Material:
    title: str
    body: str


class Kind(StrEnum):
    NEWS = "news"
    PAPER = "paper"


class Part(BaseModel):
    quote: str = Field(max_length=5)
    weight: int = Field(ge=0, le=10)


class Everything(BaseModel):
    relevant: bool
    score: float
    percent: int = Field(ge=0, le=100)
    kind: Kind
    title: str
    link: str | None
    reasons: list[str] = Field(max_length=2)
    parts: list[Part] = Field(min_length=1, max_length=3)
    part: Part | None = None


def prompt(about: str, schema: type[BaseModel] | None = None) -> list[dict[str, JsonValue]]:
    system = GOAL if schema is None else f"{GOAL}\n\n{schema_instruction(schema.model_json_schema())}"
    return [{"role": "system", "content": system}, {"role": "user", "content": about}]


def filled(about: str) -> Everything:
    return Everything.model_validate_json(rehearse(prompt(about, Everything)).text)


def test_every_kind_of_field_is_filled_from_the_material():
    answer = filled(PAPER)
    assert answer.relevant
    assert answer.score > 0.35
    assert answer.percent == round(answer.score * 100)
    assert answer.title == "Federated reinforcement learning for robots"
    assert answer.link == "http://x.test/1"
    assert answer.reasons[0] == "Robots learn by federated reinforcement learning."
    assert [part.quote for part in answer.parts] == ["Robot"]
    assert answer.part is not None
    assert answer.part.weight == round(answer.score * 10)


def test_what_has_nothing_to_do_with_the_goal_is_not_relevant():
    answer = filled("# About\nBread in the middle ages\nBakers used rye.")
    assert not answer.relevant
    assert answer.score < 0.1
    assert answer.kind is Kind.PAPER


def test_a_choice_that_the_material_names_is_taken():
    assert filled(PAPER + " It made the news.").kind is Kind.NEWS


def test_without_a_schema_it_answers_with_the_sentences_that_bear_most_on_the_goal():
    assert rehearse(prompt(PAPER)).text.startswith("Robots learn by federated reinforcement learning.")


@pytest.mark.parametrize("heading", ["", "# About\n"])
def test_a_composed_prompt_is_read_back_so_that_the_score_is_that_of_the_field(heading: str):
    goal = GoalFrame(
        goal="federated learning for robots",
        constraints=("no surveys",),
        questions=("is it safe?",),
        keywords=("robot",),
    )
    paper = "Robots learn together\nSafe federated learning for a robot.\n\nhttp://x.test/1"
    asked = compose(
        goal, (), f"Does this paper bear on the goal?\n\n{heading}{paper}", "2 unread: from x about y", 8_000
    )
    schema = schema_instruction(Everything.model_json_schema())
    messages: list[dict[str, JsonValue]] = [{"role": "system", "content": f"{asked.system}\n\n{schema}"}]
    messages += [{"role": message.role, "content": message.content} for message in asked.messages]
    answer = Everything.model_validate_json(rehearse(messages).text)
    title, _, body = paper.partition("\n")
    assert answer.score == round(relevance(goal, Material(title, body)), 4)
    assert (answer.title, answer.link) == (title, "http://x.test/1")


def test_without_headings_the_system_prompt_is_the_goal_and_the_last_message_the_material():
    plain: list[dict[str, JsonValue]] = [
        {"role": "system", "content": "robots"},
        {"role": "user", "content": "It rained. Robots walk. We had tea."},
    ]
    assert "Robots walk." in rehearse(plain).text


def test_the_same_prompt_gives_the_same_answer_in_every_process():
    code = "from tests.unit.litellm.test_rehearsal import *; print(rehearse(prompt(PAPER, Everything)))"
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."},
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[3],
        ).stdout
        for seed in ("1", "2")
    }
    assert told == {f"{rehearse(prompt(PAPER, Everything))}\n"}


def test_usage_is_counted_and_never_more_than_the_bytes():
    answer = rehearse(prompt(PAPER))
    assert 0 < answer.input_tokens <= len((GOAL + PAPER).encode())
    assert 0 < answer.output_tokens <= len(answer.text.encode())


def test_an_empty_prompt_is_answered_too():
    assert rehearse([]).output_tokens == 1
    assert rehearse([{"role": "user", "content": ""}]).input_tokens == 1
