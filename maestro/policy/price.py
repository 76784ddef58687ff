"""What a step is expected to cost, in every resource that it draws on; integers only.

The advisor reads a digest, not the prompt: a share of the executor's tokens, with a least size. At list prices an
advisor that read everything would make sonnet+advisor dearer than opus.

Source: spec/05 section 4 (X-56), and X-49 for the warm prefix.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from maestro.budget.vector import CHEAP_MODEL_CALLS, EXPENSIVE_MODEL_CALLS, TOKENS, USD, BudgetVector
from maestro.policy.gradient import Path, Step, Tier

PER = 1_000_000
"""Prices are micro-dollars per this many tokens, as price lists write them."""


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """Micro-dollars per million tokens of one tier."""

    input_micros: int
    output_micros: int
    cached_input_micros: int


PriceTable = Mapping[Tier, TokenPrice]


@dataclass(frozen=True, slots=True)
class CallSize:
    """How large the call will be, at most."""

    input_tokens: int
    output_tokens: int
    cached_prefix_tokens: int = 0
    """How much of the input the provider still holds in its cache."""
    warm_tier: Tier | None = None
    """Whose cache it is: any other tier reads the prefix at full price."""


@dataclass(frozen=True, slots=True)
class AdvisorTerms:
    """How much an advisor may read and write."""

    max_share_permille: int = 100
    least_input_tokens: int = 1_000


@dataclass(frozen=True, slots=True)
class Cost:
    """The most that one call of a step takes from the budget."""

    usd_micros: int
    cheap_calls: int
    expensive_calls: int
    tokens: int

    def vector(self) -> BudgetVector:
        """The same as a price to reserve."""
        return BudgetVector({name: amount for name, amount in self.items() if amount})

    def items(self) -> tuple[tuple[str, int], ...]:
        """The amounts by resource."""
        return (
            (USD, self.usd_micros),
            (CHEAP_MODEL_CALLS, self.cheap_calls),
            (EXPENSIVE_MODEL_CALLS, self.expensive_calls),
            (TOKENS, self.tokens),
        )


def cost(step: Step, size: CallSize, prices: PriceTable, advisor: AdvisorTerms) -> Cost:
    """What `step` is expected to cost at most; a part of a micro-dollar counts as a whole one."""
    price, tier = prices[step.tier], step.tier
    warm = min(size.cached_prefix_tokens, size.input_tokens) if size.warm_tier is tier else 0
    micros = (
        warm * price.cached_input_micros
        + (size.input_tokens - warm) * price.input_micros
        + size.output_tokens * price.output_micros
    )
    tokens = size.input_tokens + size.output_tokens
    if step.advisor:
        read = max(advisor.least_input_tokens, -(-size.input_tokens * advisor.max_share_permille // 1000))
        written = -(-size.output_tokens * advisor.max_share_permille // 1000)
        micros += read * prices[Tier.OPUS].input_micros + written * prices[Tier.OPUS].output_micros
        tokens += read + written
    cheap = 1 if tier is Tier.HAIKU else 0
    return Cost(-(-micros // PER), cheap, 1 - cheap + step.advisor, tokens)


def lacking(price: Cost, path: Path) -> str | None:
    """The first resource that some account on the path cannot pay, or None when all can."""
    for accounts in path:
        for resource, amount in price.items():
            free = accounts[resource].free if resource in accounts else None
            if amount and free is not None and free < amount:
                return resource
    return None
