"""Whoever watches the demo in the pane: the story waits a while for them, twice, and else goes on alone.

Invariant: what the narrator says of them was seen: that they look, by the API's own list of who does; that they
approved, because nobody here did.
"""

from collections.abc import Callable
from dataclasses import dataclass

import httpx

from maestro.cli.demo.narrator import within
from maestro.cli.tokens import doorkeeper, link_of
from maestro.client import run_sync
from maestro.runtime.verbs import Installation
from maestro.settings import Settings

SERVED_S = 150.0
"""For Serve to begin; seen: 70 s behind the tree, on a machine with ten times the work it has cores for."""
INVITED_S = 60.0
"""For somebody to open the link."""
ASKED_S = 60.0
"""For them to answer what a reader asks."""


@dataclass(frozen=True, slots=True)
class Onlooker:
    """A person before the pane of that installation, if there is one."""

    settings: Settings
    token: str
    """It may look, and that is all."""
    link: str

    def can_come(self) -> bool:
        """The pane answers within SERVED_S."""
        return within(SERVED_S, lambda: self._asked("/readyz") is not None)

    def has_come(self) -> bool:
        """Somebody looks within INVITED_S."""
        return within(INVITED_S, self._looks)

    def has_done(self, condition: Callable[[], bool]) -> bool:
        """What they are asked for has happened within ASKED_S."""
        return within(ASKED_S, condition)

    def _looks(self) -> bool:
        seen = self._asked("/v1/system")
        return seen is not None and bool(seen.json()["presence"])

    def _asked(self, path: str) -> httpx.Response | None:
        try:
            told = httpx.get(
                self.settings.pane_url + path, headers={"Authorization": f"Bearer {self.token}"}, timeout=5
            )
        except httpx.TransportError:
            return None
        return told if told.is_success else None


def invited(at: Installation, settings: Settings) -> Onlooker:
    """Whoever opens the link."""
    _, token = run_sync(doorkeeper(at).create("the-demo", "viewer"))
    return Onlooker(settings, token, run_sync(link_of(at, settings)))
