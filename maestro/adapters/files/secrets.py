"""Secrets of tools, from where their references lead: `file:PATH`, a private file, or `env:NAME`.

Invariants: neither Maestro's own variables nor Ray's are revealed to any tool; a reference that leads nowhere is told
without what is there.
"""

import os
from pathlib import Path

from maestro.errors import InvalidInput, ToolDeclined
from maestro.home import read_private

OURS = ("MAESTRO_", "RAY_")


def revealed(reference: str) -> str:
    """The secret itself.

    Raises:
        ToolDeclined: there is none; nothing was done.
    """
    kind, _, place = reference.partition(":")
    match kind:
        case "file":
            try:
                secret = read_private(Path(place))
            except (InvalidInput, OSError) as error:
                raise ToolDeclined(f"no secret at {reference}: {error}", hint="put it into a private file") from None
        case "env" if not place.startswith(OURS) and os.environ.get(place):
            secret = os.environ[place]
        case _:
            raise ToolDeclined(f"no secret at {reference}", hint="write file:PATH or env:NAME, of one that is set")
    return secret
