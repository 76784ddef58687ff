"""Where `maestro up` serves the pane: on unless it is said to be off, at a port of its own, found again."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from maestro.cli.pane import keep_place, place_of, served
from maestro.settings import Settings


@pytest.fixture(autouse=True)
def _no_word_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAESTRO_PANE", "MAESTRO_PANE_PORT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody else has."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield int(other.getsockname()[1])


def test_it_is_on_where_nothing_is_said_and_only_for_up(tmp_path: Path) -> None:
    settings = Settings.load(home=tmp_path)
    assert settings.pane is None
    assert served(settings, on=True).pane == "serve"


def test_it_is_off_by_the_flag_and_by_the_setting(tmp_path: Path) -> None:
    assert served(Settings.load(home=tmp_path), on=False).pane == "off"
    assert served(Settings.load(home=tmp_path, pane="off"), on=True).pane == "off"


def test_a_port_that_somebody_else_has_is_left_to_them(
    tmp_path: Path, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Settings.model_fields["pane_port"], "default", taken)
    Settings.model_rebuild(force=True)
    try:
        assert Settings.load(home=tmp_path).pane_port == taken
        assert served(Settings.load(home=tmp_path), on=True).pane_port != taken
    finally:
        monkeypatch.undo()
        Settings.model_rebuild(force=True)


def test_a_port_that_was_named_is_kept(tmp_path: Path, taken: int) -> None:
    assert served(Settings.load(home=tmp_path, pane_port=taken), on=True).pane_port == taken


def test_zero_is_any_free_port(tmp_path: Path) -> None:
    assert served(Settings.load(home=tmp_path, pane_port=0), on=True).pane_port != 0


def test_it_is_found_where_it_was_served_last(tmp_path: Path, taken: int) -> None:
    tmp_path.chmod(0o755)  # a home may be open, what lies in it is not
    settings = Settings.load(home=tmp_path)
    assert place_of(settings) == "http://127.0.0.1:8700"
    keep_place(settings, f"http://127.0.0.1:{taken}")
    assert place_of(settings) == f"http://127.0.0.1:{taken}"
    assert served(settings, on=True).pane_port == taken, "in use, by itself"
