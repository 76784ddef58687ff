"""Tier settings: every wrong form has its own error, and no key ever shows."""

import pytest

from maestro.errors import InvalidInput
from maestro.pager.targets import Target, tier_chains
from maestro.policy.gradient import Tier

S = "MAESTRO_TIER_SONNET"
TWO = {S: "anthropic/claude-sonnet-4-6, openai/gpt-x"}


def test_without_settings_every_tier_is_the_rehearsal_model():
    assert {tier: [t.model for t in chain] for tier, chain in tier_chains({"PATH": "/bin"}).items()} == {
        Tier.OPUS: ["rehearsal/opus"],
        Tier.SONNET: ["rehearsal/sonnet"],
        Tier.HAIKU: ["rehearsal/haiku"],
    }


def test_a_list_is_the_failover_order_and_tiers_without_one_are_left_out():
    chains = tier_chains(TWO)
    assert list(chains) == [Tier.SONNET]
    assert [target.model for target in chains[Tier.SONNET]] == ["anthropic/claude-sonnet-4-6", "openai/gpt-x"]


def test_one_base_and_one_key_serve_all_targets_or_each_has_its_own():
    one = tier_chains(TWO | {f"{S}_API_BASE": "http://h:1/v1", f"{S}_API_KEY": "k"})[Tier.SONNET]
    assert {(target.api_base, target.api_key) for target in one} == {("http://h:1/v1", "k")}
    each = tier_chains(TWO | {f"{S}_API_BASE": ",http://h:1", f"{S}_API_KEY": "k1,k2"})[Tier.SONNET]
    assert [(target.api_base, target.api_key) for target in each] == [(None, "k1"), ("http://h:1", "k2")]


def test_a_key_comes_from_a_file_and_never_shows():
    files = {"/run/secret": "sk-42\n"}
    (target,) = tier_chains({S: "openai/x", f"{S}_API_KEY_FILE": "/run/secret"}, files.__getitem__)[Tier.SONNET]
    assert target.api_key == "sk-42"
    assert "sk-42" not in f"{target!r} {target.name}"


def test_a_name_shows_the_host_but_no_password_of_the_base():
    assert Target("openai/x", "http://user:pw@host:8/v1").name == "openai/x at host:8"


def test_a_price_overrides_the_list():
    (target,) = tier_chains({S: "openai/x", f"{S}_PRICE": "0.10/0.4"})[Tier.SONNET]
    assert target.price is not None
    assert (target.price.input_micros_per_mtok, target.price.output_micros_per_mtok) == (100_000, 400_000)
    assert target.price.source == "override"


@pytest.mark.parametrize(
    ("settings", "field", "text"),
    [
        ({S: ""}, S, "has an empty target"),
        ({S: "openai/x,,openai/y"}, S, "has an empty target"),
        ({S: "openai/x,openai/y,openai/x"}, S, "goes round in a circle: openai/x"),
        ({S: "gpt-x"}, S, "'gpt-x' is no target"),
        ({S: "OpenAI /x"}, S, "is no target"),
        (TWO | {f"{S}_API_KEY": "a,b,c"}, f"{S}_API_KEY", "has 3 values for 2 targets"),
        (TWO | {f"{S}_API_BASE": "file:///etc/passwd"}, f"{S}_API_BASE", "no http"),
        (TWO | {f"{S}_API_KEY": "a", f"{S}_API_KEY_FILE": "b"}, f"{S}_API_KEY_FILE", "are both set"),
        (TWO | {f"{S}_API_KEY_FILE": "/no/such/file"}, f"{S}_API_KEY_FILE", "cannot read"),
        (TWO | {f"{S}_PRICE": "0/1"}, f"{S}_PRICE", "is not a price"),
        (TWO | {f"{S}_PRICE": "-1/1"}, f"{S}_PRICE", "is not a price"),
        (TWO | {f"{S}_PRICE": "3"}, f"{S}_PRICE", "is not a price"),
        (TWO | {f"{S}_PRICE": "3 EUR/4"}, f"{S}_PRICE", "is not a price"),
        (TWO | {f"{S}_PRICE": "0.0000001/1"}, f"{S}_PRICE", "is not a price"),
        (TWO | {f"{S}_PRICE": "NaN/1"}, f"{S}_PRICE", "is not a price"),
        (TWO | {f"{S}_PRICE": "Infinity/1"}, f"{S}_PRICE", "is not a price"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(settings: dict[str, str], field: str, text: str):
    with pytest.raises(InvalidInput, match=text) as caught:
        tier_chains(settings)
    assert caught.value.field == field
