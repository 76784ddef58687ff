import json
from pathlib import Path

import pytest

from maestro.errors import InvalidInput
from maestro.policy.kernel import decide
from maestro.policy.policy import Policy, policy_of, policy_schema
from maestro.policy.question import PolicyConfig
from maestro.policy.recorded import question_of, record_of, terms_of
from tests.unit.policy.questions import configured

SCHEMA = Path(__file__).parents[3] / "docs" / "policy.schema.json"


def test_the_published_schema_is_that_of_the_code() -> None:
    """Write it anew: `json.dumps(policy_schema(), indent=2)`, when the policy has a new field."""
    assert json.loads(SCHEMA.read_text()) == policy_schema()


def test_a_decision_is_recorded_with_name_and_version_of_its_policy() -> None:
    named = configured(policy=policy_of('name = "thrifty"\nversion = 3').config.policy)
    assert terms_of(named)["config"]["policy"] == "thrifty@3"  # type: ignore[index, call-overload]
    assert question_of(record_of(named), terms_of(named)) == named
    assert decide(named) == decide(configured())


def test_terms_recorded_before_policies_had_names_can_still_be_read() -> None:
    terms = terms_of(configured())
    del terms["config"]["policy"]  # type: ignore[union-attr, arg-type]
    assert question_of(record_of(configured()), terms).config == PolicyConfig()


def test_every_number_of_the_text_reaches_the_kernel() -> None:
    text = """
    name = "mine"
    advisor_enabled = false
    allowed_tiers = ["haiku", "sonnet"]
    allow_override = true
    thresholds = { alert_used_permille = 1, downshift_remaining_permille = 3, floor_remaining_permille = 2 }
    advisor = { max_share_permille = 4, least_input_tokens = 5 }
    schedule = { urgent_ms = 6, deep_queue = 7, queue_retry_ms = 8, provider_retry_ms = 9, patience_ms = 10, \
spawn_from_tokens = 11 }
    """
    policy = policy_of(text)
    assert Policy.model_validate(policy.model_dump()) == policy
    config, shipped = policy.config, PolicyConfig()
    same = [name for name in PolicyConfig.__slots__ if getattr(config, name) == getattr(shipped, name)]
    assert same == []


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("schema_version = 2", "policy.schema_version"),
        ('name = "A policy"', "policy.name"),
        ("version = 0", "policy.version"),
        ("version = 1.0", "policy.version"),
        ('[thresholds]\nalert_used_permille = "80%"', "policy.thresholds.alert_used_permille"),
        ('allowed_tiers = ["gpt"]', "policy.allowed_tiers.0"),
    ],
)
def test_what_is_wrong_is_named_by_its_field(text: str, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        policy_of(text)
    assert refused.value.field == field
