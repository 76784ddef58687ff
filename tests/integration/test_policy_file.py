"""A policy in a file: what changes in it holds at the next look; what is bad in it changes nothing, and is said."""

from pathlib import Path

import pytest
import structlog

from maestro.adapters.files.policies import PolicyFile
from maestro.errors import InvalidInput
from maestro.policy.question import PolicyConfig

GOOD = 'name = "thrifty"\nversion = {}\n[thresholds]\ndownshift_remaining_permille = {}\n'
BAD = {
    "no TOML": ("name = ", "the policy is no TOML"),
    "unknown key": ("nmae = 'x'", "policy.nmae"),
    "out of range": ("[thresholds]\nalert_used_permille = 1001", "policy.thresholds.alert_used_permille"),
    "wrong order": (GOOD.format(1, 200), "the floor comes last"),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(GOOD.format(1, 700))
    return path


def test_a_change_of_the_file_holds_at_the_next_look_and_carries_its_version(file: Path) -> None:
    policy = PolicyFile(file)
    assert (policy.now().policy, policy.now().thresholds.downshift_remaining_permille) == ("thrifty@1", 700)
    file.write_text(GOOD.format(22, 800))
    assert (policy.now().policy, policy.now().thresholds.downshift_remaining_permille) == ("thrifty@22", 800)


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_file_changes_nothing_and_is_said_once_until_it_is_good_again(file: Path, bad: str) -> None:
    text, told = BAD[bad]
    policy = PolicyFile(file)
    before = policy.now()
    file.write_text(text)
    with structlog.testing.capture_logs() as logs:
        assert policy.now() is before
        assert policy.now() is before
    assert [entry["event"] for entry in logs] == ["policy_refused"]
    assert told in str(policy.trouble)
    file.write_text(GOOD.format(3, 650))
    assert policy.now().policy == "thrifty@3"
    assert policy.trouble is None


def test_a_file_that_is_gone_changes_nothing(file: Path) -> None:
    policy = PolicyFile(file)
    file.unlink()
    assert policy.now().policy == "thrifty@1"
    assert "cannot be read" in str(policy.trouble)


@pytest.mark.parametrize("bad", BAD)
def test_nothing_begins_under_a_bad_file(file: Path, bad: str) -> None:
    file.write_text(BAD[bad][0])
    with pytest.raises(InvalidInput, match="policy"):
        PolicyFile(file)
    with pytest.raises(InvalidInput, match="cannot be read"):
        PolicyFile(file.parent / "nowhere.toml")


def test_without_a_file_it_is_as_shipped_and_a_setting_outweighs_the_file(file: Path) -> None:
    assert PolicyFile(None).now() == PolicyConfig()
    assert not PolicyFile(None, advisor_enabled=False).now().advisor_enabled
    assert PolicyFile(file).now().advisor_enabled
    assert not PolicyFile(file, advisor_enabled=False).now().advisor_enabled
