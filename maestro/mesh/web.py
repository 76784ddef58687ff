"""The web as the mesh knows it: one bounded GET, and what came of it.

Invariants: an answer is whole or it is a WebError whose facts say `reason` (one word), and `status` where the server
told; nothing is fetched from an address that `egress` refuses, first or by a redirect.
Reasons: egress_refused, bad_url, timeout, dns, tls, connection, redirects, bad_encoding, truncated, too_large, headers.

What is not here: how it is fetched (adapters/web), and what the body means.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from maestro.errors import WebError


@dataclass(frozen=True, slots=True)
class WebLimits:
    """What one call may cost."""

    deadline_ms: int = 30_000
    """For all of it: redirects, and a server that trickles a byte a second."""
    max_bytes: int = 10 * 1024 * 1024
    """Of the unpacked body."""
    max_redirects: int = 5


DEFAULT_WEB_LIMITS = WebLimits()


@dataclass(frozen=True, slots=True)
class Answer:
    """A server's last word on one GET; of a status other than 200 the body is not read."""

    url: str
    """Where the redirects led."""
    status: int
    reason_phrase: str
    headers: Mapping[str, str]
    """By name in lower case."""
    body: bytes


class Web(Protocol):
    async def get(self, url: str, headers: Mapping[str, str], limits: WebLimits, *, named: bool = False) -> Answer:
        """The answer to one GET of `url`, redirects followed and each judged.

        Args:
            named: an operator wrote `url` down: an address in it is meant (see `Egress.with_origin`).

        Raises:
            WebError: there is no whole answer within the limits; EgressRefused: it was not even asked for.
        """
        ...


def web_error(reason: str, message: str, *, status: int | None = None) -> WebError:
    """The one shape of what can go wrong with a call."""
    return WebError(message, reason=reason, status=status)
