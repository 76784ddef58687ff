"""What a call may cost at most, and what it did cost: integer arithmetic on list prices.

Invariants:
- prices are micro-dollars per million tokens; every amount is rounded up;
- a target without a positive price does not exist here: its tier is refused, never free;
- figures of a provider that are missing or absurd are replaced by the reserved maximum, and marked.

Source: spec/05 section 8; PROMISES B58, B94, F72, F73.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from maestro.budget.vector import CHEAP_MODEL_CALLS, EXPENSIVE_MODEL_CALLS, TOKENS, USD, BudgetVector
from maestro.errors import ModelError, UnpricedModel
from maestro.pager.dispatch import ModelUsage
from maestro.pager.request import ModelRequest
from maestro.policy.gradient import Tier
from maestro.policy.price import PER, TokenPrice

ABSURD_FACTOR = 16
"""Figures beyond this many times what the request can use at most are an error of the provider, not a bill."""

Micros = Annotated[int, Field(gt=0, le=10**12)]


class Price(BaseModel):
    """Micro-dollars per million tokens; without cache prices, cached input costs what other input does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input_micros_per_mtok: Micros
    output_micros_per_mtok: Micros
    cache_read_micros_per_mtok: Micros | None = None
    cache_creation_micros_per_mtok: Micros | None = None
    source: Literal["list", "override", "conservative"] = "list"

    @property
    def dearest_input_micros(self) -> int:
        return max(self.input_micros_per_mtok, self.cache_creation_micros_per_mtok or 0)


class PricedTarget(BaseModel):
    """One place of a failover chain, by its public name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str
    price: Price


class PriceTable(BaseModel):
    """The targets of every tier in failover order, priced; and why a tier is refused, where it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    tiers: Mapping[Tier, tuple[PricedTarget, ...]]
    refused: Mapping[Tier, str] = {}
    advises: bool = True
    """False where nobody gives advice: none is paid for then, nor reserved."""

    def targets(self, tier: Tier) -> tuple[PricedTarget, ...]:
        """The chain of `tier`.

        Raises:
            UnpricedModel: the tier is refused, because one of its targets has no usable price.
        """
        if tier in self.refused or not self.tiers.get(tier):
            why = self.refused.get(tier, "no target is set")
            raise UnpricedModel(
                f"tier {tier} is refused: {why}", field="tier", hint=f"set MAESTRO_TIER_{tier.upper()}_PRICE=IN/OUT"
            )
        return self.tiers[tier]

    def maximum(self, tier: Tier, input_bound_tokens: int, max_output_tokens: int) -> BudgetVector:
        """What to reserve for a call on `tier`; see `maximum_price`."""
        return maximum_price(input_bound_tokens, max_output_tokens, tier, self.targets(tier))

    def expected(self) -> dict[Tier, TokenPrice]:
        """The first target of each tier as the policy kernel estimates with."""
        return {tier: _token_price(chain[0].price) for tier, chain in self.tiers.items() if tier not in self.refused}


@dataclass(frozen=True, slots=True)
class Bill:
    """What the ledger is charged, the tokens behind it, and whether that is our estimate, not the provider's word."""

    charge: BudgetVector
    usage: ModelUsage
    estimated: bool


def maximum_price(
    input_bound_tokens: int, max_output_tokens: int, tier: Tier, targets: Sequence[PricedTarget]
) -> BudgetVector:
    """The most that one answer can cost on any target of the chain, in every resource that it draws on."""
    usd = max(
        _rounded_up(
            input_bound_tokens * target.price.dearest_input_micros
            + max_output_tokens * target.price.output_micros_per_mtok
        )
        for target in targets
    )
    return BudgetVector({USD: usd, TOKENS: input_bound_tokens + max_output_tokens, calls_resource(tier): 1})


def actual_price(usage: ModelUsage, price: Price) -> int:
    """The micro-dollars of `usage`, its executor's part; a part of a micro-dollar counts as a whole one."""
    read, created = usage.cache_read_tokens, usage.cache_creation_tokens
    plain = max(0, usage.executor_input_tokens - read - created)
    return _rounded_up(
        plain * price.input_micros_per_mtok
        + read * (price.cache_read_micros_per_mtok or price.input_micros_per_mtok)
        + created * (price.cache_creation_micros_per_mtok or price.input_micros_per_mtok)
        + usage.executor_output_tokens * price.output_micros_per_mtok
    )


def bill(request: ModelRequest, usage: ModelUsage | None, price: Price) -> Bill:
    """What an answered request is charged.

    A provider that bills more than was reserved is believed, up to `ABSURD_FACTOR`: the ledger then shows the overspend
    of this one call. Figures that are missing (None, or none at all) or beyond that are not believed.
    """
    if usage is None or usage.total_tokens == 0 or _absurd(request, usage):
        return Bill(request.price, ModelUsage(), estimated=True)
    amounts = {USD: actual_price(usage, price), TOKENS: usage.total_tokens, calls_resource(request.tier): 1}
    return Bill(BudgetVector(amounts), usage, estimated=False)


def calls_resource(tier: Tier) -> str:
    """The quota that a call on `tier` counts against."""
    return CHEAP_MODEL_CALLS if tier is Tier.HAIKU else EXPENSIVE_MODEL_CALLS


def charge_of(error: ModelError) -> BudgetVector:
    """What the failed call is charged all the same; nothing, unless a provider has answered it."""
    charge = error.facts.get("charge", {})
    return BudgetVector.model_validate(charge)


def _absurd(request: ModelRequest, usage: ModelUsage) -> bool:
    most = request.input_bound_tokens + request.max_output_tokens
    cached = usage.cache_read_tokens + usage.cache_creation_tokens
    return max(usage.total_tokens, cached) > ABSURD_FACTOR * most


def _rounded_up(micros_times_mtok: int) -> int:
    return -(-micros_times_mtok // PER)


def _token_price(price: Price) -> TokenPrice:
    cached = price.cache_read_micros_per_mtok or price.input_micros_per_mtok
    return TokenPrice(price.input_micros_per_mtok, price.output_micros_per_mtok, cached)
