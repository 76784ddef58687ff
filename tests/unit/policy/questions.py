"""Questions as the tests of the kernel ask them."""

from dataclasses import replace

from maestro.budget.ledger import Account
from maestro.budget.vector import EXPENSIVE_MODEL_CALLS, USD
from maestro.policy.gradient import Step, Tier
from maestro.policy.price import CallSize, TokenPrice
from maestro.policy.question import Conditions, PolicyConfig, Question, Signals

LIST_PRICES = {
    Tier.OPUS: TokenPrice(input_micros=5_000_000, output_micros=25_000_000, cached_input_micros=500_000),
    Tier.SONNET: TokenPrice(input_micros=3_000_000, output_micros=15_000_000, cached_input_micros=300_000),
    Tier.HAIKU: TokenPrice(input_micros=1_000_000, output_micros=5_000_000, cached_input_micros=100_000),
}
"""USD per million tokens: 5/25, 3/15, 1/5 (spec/05 section 4); a cached token costs a tenth."""

QUESTION = Question(size=CallSize(input_tokens=40_000, output_tokens=2_000), prices=LIST_PRICES)


def left(permille: int, resource: str = USD) -> dict[str, Account]:
    """Accounts of which so many thousandths of one resource are left."""
    granted = 1_000_000_000
    return {resource: Account(granted=granted, spent=granted - granted // 1000 * permille)}


def asking(step: Step, *accounts: dict[str, Account]) -> Question:
    """A question for `step`, borne by these accounts."""
    return replace(QUESTION, asked=step, budget=accounts)


def calls(free: int, resource: str = EXPENSIVE_MODEL_CALLS) -> dict[str, Account]:
    """So many calls left of a hundred."""
    return {resource: Account(granted=100, spent=100 - free)}


def signalled(question: Question = QUESTION, **signals: object) -> Question:
    return replace(question, signals=replace(Signals(), **signals))  # type: ignore[arg-type]


def under(question: Question = QUESTION, **conditions: object) -> Question:
    return replace(question, conditions=replace(Conditions(), **conditions))  # type: ignore[arg-type]


def configured(question: Question = QUESTION, **config: object) -> Question:
    return replace(question, config=replace(PolicyConfig(), **config))  # type: ignore[arg-type]
