"""Cursors of pages: where the page before ended, opaque and signed, so that nobody makes one up.

Source: PROMISES B31.
"""

import base64
import binascii
import hmac

import orjson
from pydantic import JsonValue

from maestro.continuation.envelope import Seal
from maestro.errors import InvalidInput

_MAC_CHARS = 24
MAX_CHARS = 2_000


def cursor_of(seal: Seal, what: str, place: JsonValue) -> str:
    """The cursor of `place` in the list `what`."""
    body = orjson.dumps([what, place])
    return base64.urlsafe_b64encode(body).decode().rstrip("=") + "." + _mac(seal, body)


def place_of(seal: Seal, what: str, cursor: str) -> JsonValue:
    """The place that a cursor of the list `what` names.

    Raises:
        InvalidInput: it is none of ours, or of another list.
    """
    text, _, mac = cursor[:MAX_CHARS].partition(".")
    try:
        body = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _forged() from None
    if not hmac.compare_digest(mac.encode(), _mac(seal, body).encode()):
        raise _forged()
    of, place = orjson.loads(body)
    if of != what:
        raise _forged()
    return place  # type: ignore[no-any-return]


def _mac(seal: Seal, body: bytes) -> str:
    return seal.sign(b"cursor\0" + body)[:_MAC_CHARS]


def _forged() -> InvalidInput:
    return InvalidInput("this cursor is none of this list", field="cursor", hint="give back a `next_cursor`, or none")
