"""Tiers without a target, told before anything is held for their sake."""

from collections.abc import Mapping, Sequence

from maestro.adapters.litellm.profiles import chains_of
from maestro.errors import MaestroError
from maestro.pager.targets import Target
from maestro.policy.gradient import Tier
from maestro.settings import Settings

WANTED = "a target for every tier"


def without_target(chains: Mapping[Tier, Sequence[Target]]) -> list[tuple[Tier, str]]:
    """The tiers that nobody serves, each with its fix; none where nothing is set at all, and all are rehearsed."""
    there = next((chain[0].name for chain in chains.values() if chain), "provider/model")
    return [
        (tier, f"set MAESTRO_TIER_{tier.upper()}, to {there.partition(' at ')[0]} too if you have no other")
        for tier in Tier
        if not chains.get(tier)
    ]


def warnings(settings: Settings) -> list[str]:
    """What `maestro up` says of the tiers; what cannot be read at all, the pager says."""
    try:
        missing = without_target(chains_of(settings.tier_settings()))
    except MaestroError:
        return []
    what = "the kernel weighs all three, and whoever thinks is held without them"
    return [f"Tier {tier} has no target: {fix}; {what}." for tier, fix in missing]
