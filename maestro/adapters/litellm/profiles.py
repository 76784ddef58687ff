"""Where the models of a tenant are: a profile of three places in their order, or targets named one by one.

    MAESTRO_PROVIDER_CHAIN       azure: Foundry, Anthropic, Bedrock | aws: Bedrock, Anthropic, Foundry | direct
    MAESTRO_FOUNDRY_ENDPOINT     https://RESOURCE.services.ai.azure.com/anthropic
    MAESTRO_BEDROCK_REGION       such as us-east-1; or MAESTRO_BEDROCK_ENDPOINT, a URL
    MAESTRO_<PLACE>_API_KEY      or _API_KEY_FILE; for FOUNDRY, ANTHROPIC, BEDROCK
    MAESTRO_<PLACE>_<TIER>       the deployment or model there, where it is not the default

A place of which nothing is set is left out, but for the first. A tier that MAESTRO_TIER_* names has those targets
under any profile. One installation is one tenant, so two tenants are two sets of these settings.
Without a key Bedrock is signed for with the AWS credentials of the pager's process.

Source: spec/05 sections 7 and 10.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from maestro.errors import InvalidInput
from maestro.pager.targets import Chains, Target, checked_base, tier_chains, with_key_from_file
from maestro.policy.gradient import Tier

PROFILE = "MAESTRO_PROVIDER_CHAIN"


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere that has a model for each tier."""

    name: str
    prefix: str
    """Before the model's name, as LiteLLM spells it."""
    models: Mapping[Tier, str]


FOUNDRY = Place(
    "FOUNDRY",
    "azure_ai/",
    {Tier.OPUS: "claude-opus-4-6", Tier.SONNET: "claude-sonnet-4-6", Tier.HAIKU: "claude-haiku-4-5"},
)
ANTHROPIC = Place("ANTHROPIC", "anthropic/", FOUNDRY.models)
BEDROCK = Place(
    "BEDROCK",
    "bedrock/invoke/",
    {
        Tier.OPUS: "global.anthropic.claude-opus-4-6-v1",
        Tier.SONNET: "global.anthropic.claude-sonnet-4-6",
        Tier.HAIKU: "global.anthropic.claude-haiku-4-5-20251001-v1:0",
    },
)
PROFILES: Mapping[str, tuple[Place, ...]] = {
    "azure": (FOUNDRY, ANTHROPIC, BEDROCK),
    "aws": (BEDROCK, ANTHROPIC, FOUNDRY),
    "direct": (),
}


def chains_of(settings: Mapping[str, str], read: Callable[[str], str] = lambda path: Path(path).read_text()) -> Chains:
    """The chain of each tier, as the tenant's settings say.

    Raises:
        InvalidInput: an unknown profile, a first place without its settings, a wrong URL; the field is the setting.
    """
    profile = settings.get(PROFILE, "direct")
    if profile not in PROFILES:
        raise InvalidInput(f"{profile!r:.60} is no profile", field=PROFILE, hint=f"use one of {', '.join(PROFILES)}")
    places = PROFILES[profile]
    if not places:
        return tier_chains(settings, read)
    used = [place for place in places if _is_set(place, settings)]
    if used[:1] != [places[0]]:
        raise InvalidInput(
            f"profile {profile} begins with {places[0].name}, of which nothing is set",
            field=PROFILE,
            hint=f"set MAESTRO_{places[0].name}_{'REGION' if places[0] is BEDROCK else 'ENDPOINT'} and its key",
        )
    named = {name: text for name, text in settings.items() if name.startswith("MAESTRO_TIER_")}
    own = tier_chains(named, read) if named else {}
    return {tier: own.get(tier) or tuple(_target(place, tier, settings, read) for place in used) for tier in Tier}


def advisors(chains: Chains) -> tuple[Target, ...]:
    """Who is asked for advice, wherever the executor is: the targets of opus, those of Bedrock last."""
    return tuple(sorted(chains.get(Tier.OPUS, ()), key=lambda target: target.provider == "bedrock"))


def _is_set(place: Place, settings: Mapping[str, str]) -> bool:
    return any(name.startswith(f"MAESTRO_{place.name}_") and text for name, text in settings.items())


def _target(place: Place, tier: Tier, settings: Mapping[str, str], read: Callable[[str], str]) -> Target:
    variable = f"MAESTRO_{place.name}"
    model = settings.get(f"{variable}_{tier.upper()}") or place.models[tier]
    if "claude" not in model:
        raise InvalidInput(
            f"{model!r:.80} does not say that it is a claude model",
            field=f"{variable}_{tier.upper()}",
            hint="name the deployment so that `claude` stands in it: the wire format is chosen by that",
        )
    key = with_key_from_file(variable, settings, read).get(f"{variable}_API_KEY")
    return Target(f"{place.prefix}{model}", _base(place, settings), key or None)


def _base(place: Place, settings: Mapping[str, str]) -> str | None:
    variable = f"MAESTRO_{place.name}_ENDPOINT"
    base = settings.get(variable, "")
    region = settings.get("MAESTRO_BEDROCK_REGION")
    if place is BEDROCK and not base and region:
        base = f"https://bedrock-runtime.{region}.amazonaws.com"
    if place is FOUNDRY and not base:
        raise InvalidInput("Foundry has no endpoint", field=variable, hint="write https://RESOURCE.../anthropic")
    return checked_base(base, variable)
