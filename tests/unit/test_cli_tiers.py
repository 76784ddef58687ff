"""Who sets some tiers is told which are missing, before anybody is held for it."""

from pathlib import Path

import pytest

from maestro.adapters.litellm.profiles import chains_of
from maestro.cli.doctor import _tiers
from maestro.cli.tiers import warnings, without_target
from maestro.settings import Settings


def settings(home: Path, **tiers: str) -> Settings:
    return Settings.load(home=home, tiers={f"MAESTRO_TIER_{name}": value for name, value in tiers.items()})


def test_what_is_missing_is_told_by_doctor_and_by_up_with_the_fix(tmp_path: Path) -> None:
    some = settings(tmp_path, HAIKU="anthropic/claude-haiku-4-5")
    found = {finding.check: finding for finding in _tiers(some) if not finding.ok}
    assert set(found) == {"tier opus", "tier sonnet"}
    assert found["tier opus"].fix == "set MAESTRO_TIER_OPUS, to anthropic/claude-haiku-4-5 too if you have no other"
    opus, sonnet = warnings(some)
    assert opus.startswith("Tier opus has no target: set MAESTRO_TIER_OPUS, to anthropic/claude-haiku-4-5 too")
    assert "MAESTRO_TIER_SONNET" in sonnet


@pytest.mark.parametrize(
    "tiers", [{}, {"HAIKU": "a/x", "SONNET": "a/y", "OPUS": "a/z"}, {"HAIKU": "nonsense"}], ids=["none", "all", "bad"]
)
def test_who_sets_all_or_nothing_or_what_cannot_be_read_hears_nothing_of_it(
    tmp_path: Path, tiers: dict[str, str]
) -> None:
    assert warnings(settings(tmp_path, **tiers)) == []


def test_a_profile_serves_every_tier(tmp_path: Path) -> None:
    named = {"MAESTRO_PROVIDER_CHAIN": "azure", "MAESTRO_FOUNDRY_ENDPOINT": "https://x.services.ai.azure.com/anthropic"}
    try:
        assert without_target(chains_of(named)) == []
    except KeyError:
        raise AssertionError("a profile names every tier") from None
