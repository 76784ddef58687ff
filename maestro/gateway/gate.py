"""The gate: what every route stands on, and how it finds out who asks and whether that one may.

Invariants: each route names one right, or is on the short list of those that ask nobody (`OPEN`); what is unknown and
what may not be seen are answered alike; every verb is on record under the name of whoever asked.
What is not here: the shape of a request (`maestro.gateway.door`, `maestro.gateway.shapes`).
"""

import hmac
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Protocol, cast

from fastapi import Depends, Request
from pydantic import JsonValue

from maestro.errors import ContinuationNotFoundError
from maestro.gateway.access import Asker, Doorkeeper, Right
from maestro.gateway.directory import Directory
from maestro.gateway.found import Discoveries
from maestro.gateway.problems import NotAllowed, NotReady, NotWelcome
from maestro.gateway.tail import Tail
from maestro.ids import ContinuationId, partition_of
from maestro.runtime.audit import Door
from maestro.runtime.verbs import Installation

COOKIE = "maestro_session"
CSRF_HEADER, TENANT_HEADER = "x-maestro-csrf", "x-maestro-tenant"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
OPEN = frozenset({"/healthz", "/readyz", "/metrics", "/login", "/v1/login", "/openapi.json"})
"""Paths that ask nobody; none of them tells anything of a tenant."""


class Spending(Protocol):
    """What was spent, summed by names of columns; an adapter's."""

    async def by(self, keys: Sequence[str]) -> list[dict[str, JsonValue]]:
        """One row for each combination: the keys, `calls`, `tokens`, `usd_micros`; the dearest first."""
        ...


Plant = Callable[[], Awaitable[Mapping[str, JsonValue]]]
"""What only Ray knows: `supervisors`, `lateness_ms`."""


@dataclass(slots=True)
class Gate:
    """One API over one tenant's store."""

    at: Installation
    doorkeeper: Doorkeeper
    directory: Directory
    tail: Tail
    found: Discoveries
    spending: Spending | None = None
    plant: Plant | None = None
    present: Counter[str] = field(default_factory=Counter)
    """Names of those who hold a control channel open."""
    watched: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(continuation, name) of those who hold its stream open."""
    four_eyes: tuple[str, ...] = ()
    """Patterns of actions that somebody else has to approve than who set them going: `maestro.gateway.eyes`."""
    secure: bool = False
    """True behind TLS: cookies are for TLS alone."""

    def through(self, asker: Asker) -> Installation:
        """The installation as `asker` acts on it: what is done is on record under its name."""
        if self.at.audit is None:
            return self.at
        door: Door = "pane" if asker.csrf else "api"
        return replace(self.at, audit=self.at.audit.of(f"{asker.name} ({asker.id})", door))

    async def find(self, asker: Asker, text: str) -> ContinuationId:
        """The continuation of that id, which is there and may be seen.

        Raises:
            ContinuationNotFoundError: it is not, or may not.
        """
        cid = ContinuationId(text)
        known = int(partition_of(cid)) < self.at.backend.partitions
        if not known or not await self._is_there(cid) or not self.directory.within(cid, asker.subtree):
            raise ContinuationNotFoundError(f"no continuation {text!r}", field="id", hint="see `GET /v1/continuations`")
        return cid

    async def _is_there(self, cid: ContinuationId) -> bool:
        return cid in self.directory.lines or bool(await self.directory.refresh([cid]))

    def whole(self) -> None:
        """Returns when the directory is complete.

        Raises:
            NotReady: it is still being read.
        """
        if not self.directory.complete:
            raise NotReady("the API has just begun and still reads the store", hint="come back in a moment")


def gate_of(request: Request) -> Gate:
    """The gate that the application was built with."""
    return cast(Gate, request.app.state.gate)


async def asker_of(request: Request) -> Asker:
    """Who asks, by a bearer token or by the cookie of a browser.

    Raises:
        NotWelcome: nobody that is known.
        NotAllowed: another tenant is meant, or a browser does not say that it was our page that asked.
    """
    gate = gate_of(request)
    meant = request.headers.get(TENANT_HEADER)
    shown, cookie = request.headers.get("authorization"), request.cookies.get(COOKIE)
    if shown is not None:
        scheme, _, token = shown.partition(" ")
        asker = await gate.doorkeeper.by_token(token.strip() if scheme.lower() == "bearer" else "")
    elif cookie is not None:
        asker = await gate.doorkeeper.by_session(cookie)
        _check_csrf(request, asker)
    else:
        raise NotWelcome("nobody is known here without a token", hint="send `Authorization: Bearer TOKEN`, or log in")
    if meant is not None and meant != asker.tenant:
        raise NotAllowed("this token is of another tenant", field=TENANT_HEADER, hint="use a token of that tenant")
    return asker


def _check_csrf(request: Request, asker: Asker) -> None:
    if request.method in SAFE:
        return
    sent = request.headers.get(CSRF_HEADER, "")
    if not hmac.compare_digest(sent.encode(), (asker.csrf or "-").encode()):
        told = f"a browser says {CSRF_HEADER} with everything that changes something"
        raise NotAllowed(told, field=CSRF_HEADER, hint="send the `csrf` of `GET /v1/me`")


@dataclass(frozen=True, slots=True)
class May:
    """Lets in whoever has that right."""

    right: Right

    async def __call__(self, request: Request) -> Asker:
        asker = await asker_of(request)
        if not asker.may(self.right):
            told = f"a {asker.role} may not {self.right}"
            raise NotAllowed(told, field="role", hint="ask for a token with another role")
        return asker


Gated = Annotated[Gate, Depends(gate_of)]
Looker = Annotated[Asker, Depends(May("look"))]
Answerer = Annotated[Asker, Depends(May("answer"))]
Steerer = Annotated[Asker, Depends(May("steer"))]
Administrator = Annotated[Asker, Depends(May("administer"))]
