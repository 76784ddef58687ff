"""Webhooks: whether what came in is from whom it says, and the event that it becomes.

Signed as Standard Webhooks says: `webhook-id`, `webhook-timestamp` (seconds), `webhook-signature` (`v1,<base64>` of
HMAC-SHA256 over `id.timestamp.body`; several, a space between two, while a secret is changed).

Invariants:
- pure; the body is believed only after the signature, and compared in constant time;
- the window is five minutes to both sides of our clock; the same signature within it is a replay and refused, and the
  same id under a new signature is the sender's second try: the same event, told once;
- what it becomes is untrusted: a signature says who speaks, not that it is good.

What is not here: HTTP (adapters/webhook/inbox.py), and who remembers signatures.

Source: Standard Webhooks 1.0; PROMISES B81, B77.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import orjson
from pydantic import JsonValue

from maestro.errors import InvalidInput, WebhookRefused
from maestro.ids import DEFAULT_TENANT, TenantId, TimeMs
from maestro.mesh.event import MAX_PAYLOAD_BYTES, Event, new_event
from maestro.mesh.subject import check_subject

WINDOW_MS = 5 * 60 * 1000
MIN_SECRET_BYTES = 16
MAX_SIGNATURES = 8
REMEMBERED = 100_000  # of signatures within the window; beyond it the oldest go, and the id still makes it one event
SECRET_PREFIX = "whsec_"  # noqa: S105 - the mark of a secret, not one
WEBHOOK_EVENT = "webhook.received"

_ID = re.compile(r"[\x21-\x7e]{1,256}")
_SECONDS = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True, slots=True)
class Hook:
    """One address that takes webhooks, and what becomes of them."""

    name: str
    subject: str
    secrets: tuple[bytes, ...]
    """Any of them signs; two while one is being replaced."""
    tenant: TenantId = DEFAULT_TENANT
    max_bytes: int = MAX_PAYLOAD_BYTES

    def __post_init__(self) -> None:
        check_subject(self.subject)
        if not self.secrets or any(len(secret) < MIN_SECRET_BYTES for secret in self.secrets):
            raise InvalidInput(
                f"the webhook {self.name} has no secret of {MIN_SECRET_BYTES} bytes or more",
                field="secrets",
                hint="make one with: openssl rand -base64 32",
            )


@dataclass(slots=True)
class Replays:
    """The signatures that were taken within the window."""

    _taken: dict[str, TimeMs] = field(default_factory=dict)

    def take(self, signature: str, now_ms: TimeMs) -> bool:
        """False when `signature` was taken before; from now on it was."""
        if signature in self._taken:
            return False
        while self._taken:
            oldest = next(iter(self._taken))
            if self._taken[oldest] >= now_ms - 2 * WINDOW_MS and len(self._taken) < REMEMBERED:
                break
            del self._taken[oldest]
        self._taken[signature] = now_ms
        return True

    def forget(self, signature: str) -> None:
        """What came under `signature` was not taken after all."""
        self._taken.pop(signature, None)


def secret_bytes(text: str) -> bytes:
    """The secret that a setting holds: `whsec_` and base64, or any other text as it is."""
    if not text.startswith(SECRET_PREFIX):
        return text.encode()
    try:
        return base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise InvalidInput("the secret after whsec_ is not base64", field="secrets", hint="copy it whole") from None


def sign(secret: bytes, id_: str, seconds: int, body: bytes) -> str:
    """The signature that a sender puts into `webhook-signature`."""
    digest = hmac.new(secret, f"{id_}.{seconds}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def verify(hook: Hook, headers: Mapping[str, str], body: bytes, now_ms: TimeMs) -> str:
    """The signature that `body` was sent under; it holds, and was made within the window.

    Args:
        headers: by name in lower case.

    Raises:
        WebhookRefused: a header is missing, the time is too far away, or no signature is one of the hook's.
    """
    id_, seconds = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    given = headers.get("webhook-signature", "").split()
    if not _ID.fullmatch(id_) or not _SECONDS.fullmatch(seconds) or not 1 <= len(given) <= MAX_SIGNATURES:
        raise _refused("webhook-id, webhook-timestamp or webhook-signature is missing or malformed")
    if abs(int(seconds) * 1000 - now_ms) > WINDOW_MS:
        raise _refused("its time is more than five minutes away from ours")
    if (match := _matching(hook.secrets, id_, int(seconds), body, given)) is None:
        raise _refused("no signature is one of ours")
    return match


def received(hook: Hook, headers: Mapping[str, str], body: bytes, now_ms: TimeMs) -> Event:
    """The event that a verified webhook becomes: who says it and under which subject is the hook's, not the sender's.

    Raises:
        InvalidInput: the body is no JSON, or does not fit into an event.
    """
    try:
        payload: JsonValue = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"the body is no JSON: {error}", field="body", hint="send application/json") from None
    key = headers["webhook-id"]
    return new_event(hook.subject, WEBHOOK_EVENT, f"webhook.{hook.name}", key, payload, now_ms, tenant=hook.tenant)


def _matching(secrets: Sequence[bytes], id_: str, seconds: int, body: bytes, given: Sequence[str]) -> str | None:
    """The signature that holds; as long for a wrong one as for a right one."""
    found = None
    for secret in secrets:
        right = sign(secret, id_, seconds, body)
        for signature in given:
            if hmac.compare_digest(right.encode(), signature.encode(errors="replace")):
                found = right
    return found


def _refused(why: str) -> WebhookRefused:
    return WebhookRefused(f"the webhook is refused: {why}", hint="sign as Standard Webhooks says, with our secret")
