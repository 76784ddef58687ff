"""How a parent supervises its children: the strategy, how often they may come back, and what that may cost.

Values of the checkpoint; the rules are in maestro.tick.supervising.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from maestro.budget.vector import BudgetVector

Restart = Literal["permanent", "transient", "temporary"]
Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]

RESTARTED = "restarted_with_sibling"
"""The stop reason of a child that went down with another, to be started anew."""
SUPERVISOR_GAVE_UP = "supervisor_gave_up"
"""The stop reason of a parent whose children came back too often, or burned too much."""


class Supervision(BaseModel):
    """More than `max_restarts` restarts within `max_seconds`, or more than `max_burn` burned: the parent gives up."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    strategy: Strategy = "one_for_one"
    max_restarts: Annotated[int, Field(ge=0, le=1_000)] = 5
    max_seconds: Annotated[int, Field(ge=1, le=86_400)] = 300
    max_burn: BudgetVector = BudgetVector({})
    """Of each resource that it names: what children that were restarted may have used in all."""
    restarts: tuple[int, ...] = ()
    """When children were restarted, as far as it still counts; the latest first."""
    burned: BudgetVector = BudgetVector({})
    """What children that were restarted had used."""
