"""Names of things, as types; the only place where an identifier is made or taken apart.

Invariants:
- a continuation id is sortable by birth, unguessable, and safe in URLs and Redis keys;
- the partition is written into the id, so that no look-up stands between an id and its keys;
- a child's id is a function of (parent, rev, ordinal) and of a time that the tick fixes: the same tick run twice names
  the same child.

Source: Crockford base32; spec/01 section 2.
"""

import hashlib
import re
import secrets
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NewType

from maestro.errors import InvalidInput

ContinuationId = NewType("ContinuationId", str)
TenantId = NewType("TenantId", str)
HolderId = NewType("HolderId", str)
"""One actor incarnation that may hold continuations; never reused."""
EventId = NewType("EventId", str)
MailId = NewType("MailId", str)
CallId = NewType("CallId", str)
EntryId = NewType("EntryId", str)
Partition = NewType("Partition", int)
Epoch = NewType("Epoch", int)
Rev = NewType("Rev", int)
TimeMs = NewType("TimeMs", int)

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
TIME_CHARS = 10  # 50 bits of milliseconds: until the year 37648
ENTROPY_CHARS = 12  # 60 bits; an id is a name, not a credential
DEFAULT_TENANT = TenantId("default")

Bits = Callable[[int], int]
"""So many random bits, as a number."""
_bits: ContextVar[Bits] = ContextVar("bits", default=secrets.randbits)

_ID = re.compile(rf"[{ALPHABET}]{{{TIME_CHARS + ENTROPY_CHARS}}}-[0-9a-z]{{1,4}}")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@contextmanager
def drawn_from(bits: Bits) -> Iterator[None]:
    """Names made inside, and in the tasks begun inside, are drawn from `bits`: for simulations, which must repeat."""
    token = _bits.set(bits)
    try:
        yield
    finally:
        _bits.reset(token)


def new_continuation_id(now_ms: TimeMs, partition: Partition) -> ContinuationId:
    """A fresh id in `partition`, ordered after every id made at an earlier millisecond."""
    return _assemble(now_ms, _bits.get()(5 * ENTROPY_CHARS), partition)


def child_id(parent: ContinuationId, rev: Rev, ordinal: int, born_ms: TimeMs) -> ContinuationId:
    """The id of the `ordinal`-th child of the tick that ends in `rev`; the same for every try of that tick.

    Args:
        born_ms: a time that every try of the tick shares (its batch's), not the time of this try.
    """
    digest = hashlib.sha256(f"{parent}:{rev}:{ordinal}".encode()).digest()
    return _assemble(born_ms, int.from_bytes(digest[:8], "big"), partition_of(parent))


def derived_continuation_id(seed: str, born_ms: TimeMs, partition: Partition) -> ContinuationId:
    """The id of a root that a call named `seed` makes; the same for every try of that call."""
    return _assemble(born_ms, int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big"), partition)


def partition_of(cid: ContinuationId) -> Partition:
    """The partition that `cid` lives in: a family shares one."""
    return Partition(int(cid.rsplit("-", 1)[1], 36))


def home_partition(key: str, partitions: int) -> Partition:
    """The partition that a root, or an event, named `key` calls home."""
    return Partition(zlib.crc32(key.encode()) % partitions)


def check_continuation_id(text: str, field: str = "id") -> ContinuationId:
    """`text` as an id.

    Raises:
        InvalidInput: it does not have the form of an id; nothing outside that form ever reaches a key.
    """
    if not _ID.fullmatch(text):
        raise InvalidInput(f"{text[:40]!r} is not a continuation id", field=field, hint="see `maestro list` for ids")
    return ContinuationId(text)


def check_label(text: str, field: str) -> str:
    """`text` as a name that people give: tenant, behaviour, pool or alias.

    Raises:
        InvalidInput: other than 1 to 64 letters, digits, '_', '.', '-', beginning with a letter or digit.
    """
    if not _LABEL.fullmatch(text):
        raise InvalidInput(
            f"{text[:40]!r} is no valid {field}",
            field=field,
            hint="use 1 to 64 of letters, digits, '_', '.', '-', beginning with a letter or digit",
        )
    return text


def new_token(prefix: str) -> str:
    """A short unguessable name such as `approval-7h2k...` for things that live inside one continuation."""
    return f"{prefix}-{_base32(_bits.get()(50), 10)}"


def derived_token(prefix: str, *parts: object) -> str:
    """Like `new_token`, but the same for the same parts: what a repeated tick must name alike."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return f"{prefix}-{_base32(int.from_bytes(digest[:8], 'big'), 10)}"


def new_holder_id(actor_name: str) -> HolderId:
    """A fresh incarnation of the actor `actor_name`, such as `pool/default/2#k3j9...`."""
    return HolderId(f"{actor_name}#{_base32(_bits.get()(50), 10)}")


def event_id(tenant: TenantId, source: str, subject: str, key: str) -> EventId:
    """The id of the fact `key` that `source` tells under `subject`; the same for every try of publishing it."""
    digest = hashlib.sha256(f"{tenant}\x1f{source}\x1f{subject}\x1f{key}".encode()).digest()
    return EventId(f"event-{_base32(int.from_bytes(digest[:15], 'big'), 24)}")  # 120 bits: events are many


def _assemble(now_ms: int, entropy: int, partition: int) -> ContinuationId:
    return ContinuationId(f"{_base32(now_ms, TIME_CHARS)}{_base32(entropy, ENTROPY_CHARS)}-{_base36(partition)}")


def _base32(number: int, width: int) -> str:
    return "".join(ALPHABET[(number >> 5 * place) & 31] for place in reversed(range(width)))


def _base36(number: int) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    text = digits[number % 36]
    while number := number // 36:
        text = digits[number % 36] + text
    return text
