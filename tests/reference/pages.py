"""The pages of docs/reference that are made of the code, by name.

Invariant: a page is a function of the code alone: no time, no machine and no environment is in it.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.reference import api, cli, facts, metrics, settings

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
PAGES: Mapping[str, Callable[[], str]] = {
    "cli.md": cli.page,
    "settings.md": settings.page,
    "http-endpoints.md": api.page,
    "events.md": facts.page,
    "metrics.md": metrics.page,
}


def outdated() -> Sequence[str]:
    """Pages that say something else than the code."""
    return [
        name for name, make in PAGES.items() if not (FOLDER / name).exists() or (FOLDER / name).read_text() != make()
    ]
