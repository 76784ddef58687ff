"""The pane in words: at which port it is served, what Serve says of it, and the link that lets a browser in."""

from collections.abc import Mapping
from pathlib import Path
from time import monotonic, sleep
from urllib.parse import urlsplit

from pydantic import JsonValue
from rich.text import Text

from maestro.cli.inert import inert
from maestro.cli.keepers import told_by
from maestro.home import keep_private, read_private
from maestro.loopback import free_port
from maestro.settings import Settings

KEEPER = "pane-keeper"
PLACE = Path("pane") / "url"
"""Below the home: where it was served last, so that it is found there again, and `maestro login` need not ask Ray."""
SETTLED = ("RUNNING", "DEPLOY_FAILED", "UNHEALTHY")
READY_S = 20.0  # on a busy machine the link is there before the pane
LOOK_S = 0.5


def served(settings: Settings, on: bool) -> Settings:
    """The settings that `maestro up` goes on with: the pane at a port of its own, unless it was said not to be.

    Args:
        on: False where the command line says `--no-pane`.
    """
    if not on or settings.pane == "off":
        return settings.having(pane="off")
    if "pane_port" in settings.model_fields_set and settings.pane_port:
        return settings.having(pane="serve")
    return settings.having(pane="serve", pane_port=_last_port(settings) or free_port(settings.pane_port))


def pane_ready(settings: Settings) -> dict[str, JsonValue] | None:
    """What its keeper says once it runs, or after READY_S; None where none is kept."""
    until = monotonic() + READY_S
    while True:
        told = pane_told(settings)
        if told is None or told["state"] in SETTLED or monotonic() > until:
            return told
        sleep(LOOK_S)


def pane_told(settings: Settings) -> dict[str, JsonValue] | None:
    """What its keeper knows; None where none is kept, or the cluster does not answer."""
    return None if settings.pane == "off" else told_by(settings, KEEPER)


def pane_line(told: Mapping[str, JsonValue]) -> Text:
    """Such as `http://127.0.0.1:8700, RUNNING: `maestro login` prints a link`."""
    well = told["state"] == "RUNNING"
    line = Text(f"{told['url']}, ").append(str(told["state"]), style="" if well else "bold red")
    rest = ": `maestro login` prints a link" if well else f"; {told['message']}" if told["message"] else ""
    return line.append(inert(rest), style="not bold")


def keep_place(settings: Settings, url: str) -> None:
    """The next `maestro up` and `maestro login` find it there."""
    keep_private(settings.home / PLACE, url)


def place_of(settings: Settings) -> str:
    """Where a browser of this machine finds it: where it was served last, else where it would be."""
    kept = settings.home / PLACE
    return read_private(kept) if kept.exists() else settings.pane_url


def _last_port(settings: Settings) -> int | None:
    return urlsplit(place_of(settings)).port if (settings.home / PLACE).exists() else None
