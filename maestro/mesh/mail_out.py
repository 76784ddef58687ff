"""A letter to a person by e-mail: what may be in it, and the name under which it is the same letter.

Invariants: header values are one line, without control characters; addresses are bare and in ASCII; the Message-ID is a
function of the key, so that a letter which is sent twice under one key is shown once by whoever knows it (`keyed`).

What is not here: sending (adapters/mail).
"""

import hashlib
import re
from dataclasses import dataclass

from maestro.errors import InvalidInput

MAX_SUBJECT_CHARS = 250
MAX_BODY_CHARS = 100_000
MAX_RECEIVERS = 20
_ADDRESS = re.compile(
    r"[A-Za-z0-9!#$&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$&'*+/=?^_`{|}~-]+)*"
    r"@[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Letter:
    """One e-mail in plain text; checked when it is made."""

    key: str
    to: tuple[str, ...]
    subject: str
    body: str

    def __post_init__(self) -> None:
        if not 1 <= len(self.to) <= MAX_RECEIVERS:
            raise _wrong("to", f"give 1 to {MAX_RECEIVERS} addresses")
        for address in self.to:
            check_address(address)
        if not self.subject.isprintable() or not 1 <= len(self.subject) <= MAX_SUBJECT_CHARS:
            raise _wrong("subject", f"write one line of at most {MAX_SUBJECT_CHARS} printable characters")
        if len(self.body) > MAX_BODY_CHARS or _CONTROL.search(self.body):
            raise _wrong("body", f"write at most {MAX_BODY_CHARS} characters of plain text")
        if not self.key:
            raise _wrong("key", "name the letter, so that it is sent once")

    def message_id(self, domain: str) -> str:
        """The same for the same key: whoever has seen it knows the letter again."""
        return f"<{hashlib.sha256(self.key.encode()).hexdigest()[:40]}@{domain}>"


def check_address(address: str, field: str = "to") -> str:
    """`address`, which is one bare address.

    Raises:
        InvalidInput: it is not, or could be read as more than one, or as a header.
    """
    if len(address) > 254 or not _ADDRESS.fullmatch(address):
        raise _wrong(field, "write one address such as someone@example.org, without name or brackets")
    return address


def _wrong(field: str, hint: str) -> InvalidInput:
    return InvalidInput(f"the letter's {field} is not as it can be sent", field=field, hint=hint)
