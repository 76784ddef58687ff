"""The pane in words: where it is, and what Serve says of it."""

from collections.abc import Mapping

from pydantic import JsonValue
from rich.text import Text

from maestro.cli.inert import inert
from maestro.cli.keepers import told_by
from maestro.settings import Settings

KEEPER = "pane-keeper"


def pane_told(settings: Settings) -> dict[str, JsonValue] | None:
    """What its keeper knows; None where none is kept, or the cluster does not answer."""
    return None if settings.pane == "off" else told_by(settings, KEEPER)


def pane_line(told: Mapping[str, JsonValue]) -> Text:
    """Such as `http://127.0.0.1:8700, RUNNING: `maestro login` prints a link`."""
    well = told["state"] == "RUNNING"
    line = Text(f"{told['url']}, ").append(str(told["state"]), style="" if well else "bold red")
    rest = ": `maestro login` prints a link" if well else f"; {told['message']}" if told["message"] else ""
    return line.append(inert(rest), style="not bold")
