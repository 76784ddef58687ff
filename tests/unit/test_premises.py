"""A node on the premises: who may come in, what `ray` means there, and who is stopped with whom."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from actors import premises
from maestro.errors import ClusterError, InvalidInput
from maestro.home import keep_private


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("XDG_STATE_HOME", "MAESTRO_HOME", "MAESTRO_MAC_KEY_FILE", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def state(home: Path) -> Path:
    return home / ".local" / "state" / "maestro"


def test_enrolled_twice_is_enrolled_once(home: Path) -> None:
    premises.enrol()
    premises.enrol()
    assert (home / ".bashrc").read_text().count("# Maestro") == 1
    assert state(home).stat().st_mode & 0o777 == 0o700
    assert (state(home) / "bin" / "ray").stat().st_mode & 0o777 == 0o700


def test_who_comes_by_ssh_finds_our_ray_before_any_other(home: Path) -> None:
    premises.enrol()
    found = subprocess.run(
        ["bash", "-c", "source ~/.bashrc; command -v ray; echo $RAY_AUTH_MODE"],
        env={"HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == [str(state(home) / "bin" / "ray"), "token"]


def test_without_a_token_or_a_key_no_node_starts(home: Path) -> None:
    with pytest.raises(InvalidInput, match="auth_token"):
        premises.start(["--head"])
    keep_private(home / ".ray" / "auth_token", "t" * 32)
    with pytest.raises(InvalidInput, match=r"mac\.key"):
        premises.start(["--head"])


def test_a_key_that_others_may_read_starts_no_node(home: Path) -> None:
    keep_private(home / ".ray" / "auth_token", "t" * 32)
    keep_private(state(home) / "mac.key", "k" * 64).chmod(0o644)
    with pytest.raises(InvalidInput, match="open to others"):
        premises.start(["--head"])


def test_a_node_is_not_started_by_hand(home: Path) -> None:
    """The address that others reach it by is known to whoever came in by it."""
    keep_private(home / ".ray" / "auth_token", "t" * 32)
    keep_private(state(home) / "mac.key", "k" * 64)
    with pytest.raises(ClusterError, match="over ssh"):
        premises.start(["--head"])


def test_what_it_does_not_know_it_explains(capsys: pytest.CaptureFixture[str]) -> None:
    assert premises.main(["dance"]) == 2
    assert "enrol" in capsys.readouterr().err


@pytest.mark.parametrize(("provider", "others"), [("local", ["192.0.2.11", "192.0.2.12"]), ("aws", [])])
def test_only_on_the_premises_the_head_stops_the_others(home: Path, provider: str, others: list[str]) -> None:
    """A cloud takes its machines back."""
    bootstrap = f"""
provider: {{type: {provider}, worker_ips: [192.0.2.11, 192.0.2.12]}}
auth: {{ssh_user: maestro, ssh_private_key: ~/ray_bootstrap_key.pem}}
"""
    (home / premises.BOOTSTRAP).write_text(bootstrap)
    told = premises.stopping_others()
    assert list(told) == others
    assert all(f"{home}/ray_bootstrap_key.pem" in command for command in told.values())
    assert all("maestro@192.0.2.1" in command[-2] for command in told.values())


def test_of_a_machine_that_was_not_stopped_it_says_what_to_do_there(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bootstrap = "provider: {type: local, worker_ips: [192.0.2.11]}\nauth: {ssh_user: maestro}\n"
    (home / premises.BOOTSTRAP).write_text(bootstrap)
    ssh = home / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text("#!/bin/sh\nexit 255\n")
    ssh.chmod(0o700)
    monkeypatch.setenv("PATH", f"{ssh.parent}:{os.environ['PATH']}")
    assert premises.main(["stop"]) == 0
    told = "maestro@192.0.2.11: not stopped (ssh: 255); log in there and run `ray stop`\n"
    assert capsys.readouterr().err == told
