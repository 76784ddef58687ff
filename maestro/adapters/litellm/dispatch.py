"""All tiers over litellm: chains of targets become priced providers behind one ModelDispatch.

A target's price is its override, else litellm's list, else the price for unknown models, with a warning. A price of
zero or less in the list refuses the whole tier: one free target in a chain would be a hole in every budget.

Source: spec/05 section 8; PROMISES B94; DEPENDENCIES 4.
"""

from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal

import structlog

from maestro.adapters.litellm.profiles import advisors
from maestro.adapters.litellm.provider import LiteLLMProvider
from maestro.adapters.litellm.rehearsal import REHEARSAL_PRICES
from maestro.adapters.litellm.sdk import configure, listed_row
from maestro.pager.failover import FailoverModelRouter
from maestro.pager.prices import Price, PricedTarget, PriceTable
from maestro.pager.retries import RetryPolicy
from maestro.pager.targets import REHEARSAL, Chains, Target
from maestro.policy.gradient import Tier

_log = structlog.get_logger(__name__)
_LONG_CONTEXT = "_above_200k_tokens"


class LiteLLMDispatch(FailoverModelRouter):
    """A failover router whose providers are litellm targets."""

    def __init__(self, chains: Chains, policy: RetryPolicy | None, unknown_price: Price, advises: bool) -> None:
        configure()
        prices = price_table(chains, unknown_price)
        providers = {
            tier: [
                LiteLLMProvider(target, priced.price, self.may_repeat)
                for target, priced in zip(chains[tier], prices.tiers[tier], strict=True)
            ]
            for tier in prices.tiers
        }
        by_name = {provider.target: provider for provider in providers.get(Tier.OPUS, ())}
        asked = [by_name[target.name] for target in advisors(chains) if advises and target.name in by_name]
        super().__init__(providers, prices.model_copy(update={"advises": bool(asked)}), policy, advisors=asked)


def price_table(chains: Chains, unknown_price: Price) -> PriceTable:
    """Every target with its price; a tier with an unusable price is refused with the reason."""
    tiers: dict[Tier, tuple[PricedTarget, ...]] = {}
    refused: dict[Tier, str] = {}
    for tier, chain in chains.items():
        try:
            tiers[tier] = tuple(PricedTarget(target=t.name, price=_price(t, tier, unknown_price)) for t in chain)
        except UnusablePrice as error:
            refused[tier] = str(error)
            _log.warning("tier_refused", tier=str(tier), reason=str(error))
    return PriceTable(tiers=tiers, refused=refused)


class UnusablePrice(ValueError):
    """The list has a price that cannot be charged."""


def _price(target: Target, tier: Tier, unknown_price: Price) -> Price:
    if target.price is not None:
        return target.price
    if target.provider == REHEARSAL:
        return REHEARSAL_PRICES[tier]
    listed = listed_row(target.model)
    if "input_cost_per_token" not in listed or "output_cost_per_token" not in listed:
        _log.warning("unknown_price", tier=str(tier), target=target.name, charged_as=unknown_price.model_dump())
        return unknown_price
    return listed_price(listed, target.name)


def listed_price(listed: Mapping[str, object], name: str) -> Price:
    """A row of litellm's list as a price; where long contexts cost more, always what they cost.

    Raises:
        UnusablePrice: a price of zero or less, or no number.
    """
    input_micros, output_micros = _micros(listed, "input_cost_per_token"), _micros(listed, "output_cost_per_token")
    if input_micros is None or output_micros is None:
        raise UnusablePrice(f"{name} is listed with a price that is not above 0")
    return Price(
        input_micros_per_mtok=input_micros,
        output_micros_per_mtok=output_micros,
        cache_read_micros_per_mtok=_micros(listed, "cache_read_input_token_cost"),
        cache_creation_micros_per_mtok=_micros(listed, "cache_creation_input_token_cost"),
    )


def _micros(listed: Mapping[str, object], word: str) -> int | None:
    """Dollars per token as micro-dollars per million tokens, rounded up; None where that is not above 0."""
    costs = [listed.get(word), listed.get(word + _LONG_CONTEXT)]
    amounts = [Decimal(repr(cost)) * 10**12 for cost in costs if isinstance(cost, int | float)]
    if not amounts or not all(amount.is_finite() and amount > 0 for amount in amounts):
        return None
    return int(max(amounts).to_integral_value(ROUND_CEILING))
