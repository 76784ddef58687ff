"""The table of spec/05 at its borders of 80, 60 and 30 %, read from tests/data/gradient.json."""

import json
from pathlib import Path
from typing import Any

import pytest

from maestro.budget.ledger import Account
from maestro.budget.vector import EXPENSIVE_MODEL_CALLS, USD
from maestro.policy.gradient import LADDER, Step
from maestro.policy.kernel import decide
from tests.unit.policy.questions import asking

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[2] / "data" / "gradient.json").read_text())
GRANTED = 1_000_000_000


def test_the_table_has_the_five_steps_and_no_other() -> None:
    assert GOLDEN["steps"] == [step.value for step in LADDER]


@pytest.mark.spec("05.3")
@pytest.mark.spec("05.8")
@pytest.mark.shows("6.5")
@pytest.mark.parametrize("resource", [USD, EXPENSIVE_MODEL_CALLS])
@pytest.mark.parametrize("border", GOLDEN["borders"], ids=lambda border: f"{border['left_permille']} permille left")
def test_at_each_border_each_step_becomes_what_the_table_says(border: dict[str, Any], resource: str) -> None:
    account = Account(granted=GRANTED, spent=GRANTED - GRANTED // 1000 * border["left_permille"])
    decided = [decide(asking(Step(step), {resource: account})) for step in GOLDEN["steps"]]
    assert [decision.step for decision in decided] == GOLDEN["taken"][border["pressure"]]
    assert {decision.pressure.name.lower() for decision in decided} == {border["pressure"]}


@pytest.mark.spec("05.3")
@pytest.mark.parametrize("border", GOLDEN["alerts"], ids=lambda border: f"{border['spent_permille']} permille spent")
def test_at_the_border_of_the_alert_the_resource_is_named(border: dict[str, Any]) -> None:
    account = Account(granted=GRANTED, spent=GRANTED // 1000 * border["spent_permille"])
    assert decide(asking(Step.HAIKU, {USD: account})).alerts == ((USD,) if border["alert"] else ())
