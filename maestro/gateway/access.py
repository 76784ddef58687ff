"""Who may ask for what: tokens, log-ins by a one-time code, sessions of browsers, and four roles.

Invariants: the store keeps the SHA-256 of a secret and never the secret; whoever asks is looked up at each request, so
that a revoked token is over at once; a code is good once; nobody is told whether a token was unknown, wrong or over.
What is not here: which path wants which right (the routes), cookies and headers (`maestro.gateway.door`).

Source: PROMISES 5.4.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict

from maestro.clock import Clock
from maestro.errors import InvalidInput, NotFound
from maestro.gateway.problems import NotWelcome
from maestro.gateway.shapes import Role
from maestro.ids import ContinuationId, TenantId, TimeMs, check_continuation_id, check_label, new_token
from maestro.runtime.register import Register

Right = Literal["look", "answer", "steer", "administer"]
RIGHTS: dict[Role, frozenset[Right]] = {
    "viewer": frozenset({"look"}),
    "approver": frozenset({"look", "answer"}),
    "operator": frozenset({"look", "steer"}),
    "admin": frozenset({"look", "answer", "steer", "administer"}),
}
TOKENS, CODES, SESSIONS = "token", "code", "session"
"""Kinds of notes in the register."""
CODE_MS, SESSION_MS = 10 * 60_000, 12 * 3_600_000
REVOKED_KEPT_MS = 30 * 86_400_000
_TOKEN = re.compile(r"maestro_(?P<id>token-[0-9a-z]{10})_(?P<secret>[A-Za-z0-9_-]{43})")


class TokenNote(BaseModel):
    """What the store keeps of a token, or of a browser's session: its `id`, and the hash of its secret."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str
    role: Role
    hash: str
    subtree: ContinuationId | None = None
    created_at_ms: TimeMs
    expires_at_ms: TimeMs | None = None
    revoked_at_ms: TimeMs | None = None
    csrf: str | None = None
    """Of a session: what its browser sends back with everything that changes something."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Whoever asks, known by a token or a session."""

    id: str
    name: str
    role: Role
    tenant: TenantId
    subtree: ContinuationId | None = None
    expires_at_ms: TimeMs | None = None
    csrf: str | None = None
    secret: str = field(default="", repr=False)
    """What it showed; whoever wants to know later whether it is still welcome shows it again."""

    def may(self, right: Right) -> bool:
        return right in RIGHTS[self.role]


@dataclass(frozen=True, slots=True)
class Doorkeeper:
    """Knows who is welcome in one tenant."""

    register: Register
    clock: Clock
    tenant: TenantId

    async def create(
        self, name: str, role: Role, expires_in_s: int | None = None, subtree: str | None = None
    ) -> tuple[TokenNote, str]:
        """A token exists; its note, and the token itself, which nobody can tell again.

        Raises:
            InvalidInput: a name, role or time that is none.
        """
        if role not in RIGHTS:
            raise InvalidInput(f"{role!r} is no role", field="role", hint=f"use one of {', '.join(RIGHTS)}")
        if expires_in_s is not None and expires_in_s < 1:
            raise InvalidInput("a token lives for a second at least", field="expires_s", hint="say how long")
        now_ms, secret, id_ = await self.clock.now_ms(), secrets.token_urlsafe(32), new_token("token")
        note = TokenNote(
            id=id_,
            name=check_label(name, "name"),
            role=role,
            hash=_hash(secret),
            subtree=None if subtree is None else check_continuation_id(subtree, "subtree"),
            created_at_ms=now_ms,
            expires_at_ms=None if expires_in_s is None else TimeMs(now_ms + 1000 * expires_in_s),
        )
        await self.register.put(TOKENS, id_, note.model_dump_json().encode())
        return note, f"maestro_{id_}_{secret}"

    async def tokens(self) -> list[TokenNote]:
        """All that were made, the oldest first; a revoked one is told of for thirty days."""
        notes = [TokenNote.model_validate_json(body) for body in (await self.register.all(TOKENS)).values()]
        return sorted(notes, key=lambda note: (note.created_at_ms, note.id))

    async def revoke(self, id_: str) -> TokenNote:
        """The token is over, for whoever has it.

        Raises:
            NotFound: there is no such token.
        """
        body = await self.register.get(TOKENS, id_)
        if body is None:
            raise NotFound(f"no token {id_[:40]!r}", field="token", hint="see `maestro token list`")
        note, now_ms = TokenNote.model_validate_json(body), await self.clock.now_ms()
        if note.revoked_at_ms is None:
            note = note.model_copy(update={"revoked_at_ms": now_ms})
            forgotten_ms = TimeMs(now_ms + REVOKED_KEPT_MS)
            await self.register.put(TOKENS, id_, note.model_dump_json().encode(), forgotten_ms)
        return note

    async def code(self, name: str = "you", role: Role = "admin") -> str:
        """A one-time code for a log-in, good for ten minutes."""
        code, until_ms = secrets.token_urlsafe(24), TimeMs(await self.clock.now_ms() + CODE_MS)
        await self.register.put(CODES, _hash(code), f"{role} {name}".encode(), until_ms)
        return code

    async def log_in(self, code: str) -> tuple[Asker, str]:
        """The session that the code stands for, and its secret, for a cookie; the code is used up.

        Raises:
            NotWelcome: it is none, is over, or was used.
        """
        note = await self.register.take(CODES, _hash(code))
        if note is None:
            raise NotWelcome("this code is no good any more", field="code", hint="`maestro login` prints a fresh link")
        role, _, name = note.decode().partition(" ")
        now_ms, secret, id_ = await self.clock.now_ms(), secrets.token_urlsafe(32), new_token("session")
        until_ms = TimeMs(now_ms + SESSION_MS)
        told = {"id": id_, "name": name, "role": role, "hash": _hash(secret), "csrf": secrets.token_urlsafe(24)}
        session = TokenNote.model_validate({**told, "created_at_ms": now_ms, "expires_at_ms": until_ms})
        await self.register.put(SESSIONS, session.hash, session.model_dump_json().encode(), until_ms)
        return self._asker(session, secret), secret

    async def log_out(self, asker: Asker) -> None:
        """The session is over; a token stays."""
        await self.register.take(SESSIONS, _hash(asker.secret))

    async def by_token(self, text: str) -> Asker:
        """Who shows this bearer token.

        Raises:
            NotWelcome: nobody, or nobody any more.
        """
        form = _TOKEN.fullmatch(text)
        body = await self.register.get(TOKENS, form["id"]) if form else None
        if form is None or body is None:
            raise _unknown()
        note, now_ms = TokenNote.model_validate_json(body), await self.clock.now_ms()
        over = note.revoked_at_ms is not None or (note.expires_at_ms is not None and note.expires_at_ms <= now_ms)
        if not hmac.compare_digest(note.hash, _hash(form["secret"])) or over:
            raise _unknown()
        return self._asker(note, text)

    async def by_session(self, secret: str) -> Asker:
        """Whose browser shows this cookie.

        Raises:
            NotWelcome: nobody's, or nobody's any more.
        """
        body = await self.register.get(SESSIONS, _hash(secret))
        if body is None:
            raise _unknown()
        return self._asker(TokenNote.model_validate_json(body), secret)

    async def again(self, asker: Asker) -> bool:
        """True while whoever asked before is still welcome."""
        try:
            await (self.by_session if asker.csrf else self.by_token)(asker.secret)
        except NotWelcome:
            return False
        return True

    def _asker(self, note: TokenNote, secret: str) -> Asker:
        who = note.id, note.name, note.role, self.tenant, note.subtree, note.expires_at_ms
        return Asker(*who, csrf=note.csrf, secret=secret)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _unknown() -> NotWelcome:
    return NotWelcome("no token, or none that is good", hint="send `Authorization: Bearer TOKEN`, or log in again")
