"""The chains of a tenant's profile, read from settings."""

import pytest

from maestro.adapters.litellm.profiles import advisors, chains_of
from maestro.errors import InvalidInput
from maestro.policy.gradient import Tier

FOUNDRY = {
    "MAESTRO_FOUNDRY_ENDPOINT": "https://acme.services.ai.azure.com/anthropic",
    "MAESTRO_FOUNDRY_API_KEY": "key-f",
}
ANTHROPIC = {"MAESTRO_ANTHROPIC_API_KEY": "key-a"}
BEDROCK = {"MAESTRO_BEDROCK_REGION": "us-east-1", "MAESTRO_BEDROCK_API_KEY": "key-b"}
ALL = FOUNDRY | ANTHROPIC | BEDROCK


@pytest.mark.spec("05.7")
def test_two_tenants_resolve_the_same_tier_to_other_providers_in_their_order():
    azure = chains_of(ALL | {"MAESTRO_PROVIDER_CHAIN": "azure"})
    aws = chains_of(ALL | {"MAESTRO_PROVIDER_CHAIN": "aws"})
    assert [target.provider for target in azure[Tier.SONNET]] == ["azure_ai", "anthropic", "bedrock"]
    assert [target.provider for target in aws[Tier.SONNET]] == ["bedrock", "anthropic", "azure_ai"]
    assert set(azure) == set(aws) == set(Tier)


def test_each_place_has_its_address_its_key_and_its_models():
    foundry, direct, bedrock = chains_of(ALL | {"MAESTRO_PROVIDER_CHAIN": "azure"})[Tier.OPUS]
    assert (foundry.model, foundry.api_base, foundry.api_key) == (
        "azure_ai/claude-opus-4-6",
        FOUNDRY["MAESTRO_FOUNDRY_ENDPOINT"],
        "key-f",
    )
    assert (direct.model, direct.api_base, direct.api_key) == ("anthropic/claude-opus-4-6", None, "key-a")
    assert (bedrock.model, bedrock.api_base, bedrock.api_key) == (
        "bedrock/invoke/global.anthropic.claude-opus-4-6-v1",
        "https://bedrock-runtime.us-east-1.amazonaws.com",
        "key-b",
    )


def test_a_deployment_of_ones_own_takes_the_place_of_the_default():
    named = {"MAESTRO_PROVIDER_CHAIN": "azure", "MAESTRO_FOUNDRY_HAIKU": "my-claude-haiku"}
    (target,) = chains_of(FOUNDRY | named)[Tier.HAIKU]
    assert target.model == "azure_ai/my-claude-haiku"


def test_a_place_of_which_nothing_is_set_is_left_out_but_for_the_first():
    azure = chains_of(FOUNDRY | ANTHROPIC | {"MAESTRO_PROVIDER_CHAIN": "azure"})
    assert [target.provider for target in azure[Tier.HAIKU]] == ["azure_ai", "anthropic"]
    with pytest.raises(InvalidInput, match="begins with BEDROCK, of which nothing is set") as caught:
        chains_of(FOUNDRY | {"MAESTRO_PROVIDER_CHAIN": "aws"})
    assert caught.value.field == "MAESTRO_PROVIDER_CHAIN"


def test_a_tier_that_is_named_target_by_target_keeps_those_under_a_profile():
    named = {"MAESTRO_PROVIDER_CHAIN": "azure", "MAESTRO_TIER_HAIKU": "openai/small"}
    chains = chains_of(ALL | named)
    assert [target.model for target in chains[Tier.HAIKU]] == ["openai/small"]
    assert chains[Tier.OPUS][0].provider == "azure_ai"


def test_without_a_profile_the_targets_are_those_that_are_named():
    assert chains_of({"MAESTRO_TIER_HAIKU": "openai/small"})[Tier.HAIKU][0].model == "openai/small"
    assert chains_of({})[Tier.OPUS][0].provider == "rehearsal"


def test_a_key_may_stand_in_a_file():
    settings = {**FOUNDRY, "MAESTRO_PROVIDER_CHAIN": "azure", "MAESTRO_FOUNDRY_API_KEY_FILE": "/run/key"}
    del settings["MAESTRO_FOUNDRY_API_KEY"]
    (target,) = chains_of(settings, {"/run/key": "from-file\n"}.__getitem__)[Tier.OPUS]
    assert target.api_key == "from-file"


@pytest.mark.parametrize(
    ("settings", "field", "text"),
    [
        ({"MAESTRO_PROVIDER_CHAIN": "gcp"}, "MAESTRO_PROVIDER_CHAIN", "'gcp' is no profile"),
        (
            {"MAESTRO_PROVIDER_CHAIN": "azure", "MAESTRO_FOUNDRY_API_KEY": "k"},
            "MAESTRO_FOUNDRY_ENDPOINT",
            "Foundry has no endpoint",
        ),
        (
            {**FOUNDRY, "MAESTRO_PROVIDER_CHAIN": "azure", "MAESTRO_FOUNDRY_OPUS": "gpt"},
            "MAESTRO_FOUNDRY_OPUS",
            "does not say that it is a claude model",
        ),
        (
            {**FOUNDRY, "MAESTRO_PROVIDER_CHAIN": "azure", "MAESTRO_FOUNDRY_ENDPOINT": "acme"},
            "MAESTRO_FOUNDRY_ENDPOINT",
            "no http",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_setting(settings: dict[str, str], field: str, text: str):
    with pytest.raises(InvalidInput, match=text) as caught:
        chains_of(settings)
    assert caught.value.field == field


def test_advice_is_asked_of_bedrock_last_wherever_the_executor_is():
    chains = chains_of(ALL | {"MAESTRO_PROVIDER_CHAIN": "aws"})
    assert [target.provider for target in advisors(chains)] == ["anthropic", "azure_ai", "bedrock"]
