"""Mail: what is put into a mailbox, and may wake its owner.

Invariants:
- a mail wakes by its *wake key*, `kind` or `kind:correlation`; a wait is a set of such keys, so that the store can
  decide a wake without understanding either;
- start and control mail and exits wake always;
- what a tick reads stands in lanes, each in order of arrival; one sender's word never comes after its own end.

Source: spec/01 section 5; spec/02 section 5 (envelope).
"""

from collections.abc import Collection, Iterable, Sequence
from enum import IntEnum, StrEnum
from typing import Annotated, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from maestro.errors import InvalidInput, MailboxFull
from maestro.ids import ContinuationId, MailId, TimeMs, derived_token


class Kind(StrEnum):
    """What can wake a tick."""

    START = "start"
    EVENT = "event"
    MESSAGE = "message"
    TIMER = "timer"
    REPLY = "reply"
    APPROVAL = "approval"
    RESULT = "result"
    CHILD = "child"
    CONTROL = "control"
    MERGE = "merge"
    """What a merged one leaves."""
    DOWN = "down"
    """One that it monitors has ended."""
    EXIT = "exit"
    """One that it is linked with has ended: it ends too, unless it traps exits."""


class Control(StrEnum):
    """Orders that are carried out before any mail is read; in `Mail.subject`."""

    KILL = "kill"
    CANCEL = "cancel"
    GRANTED = "granted"
    WAKE = "wake"
    THAW = "thaw"
    MERGE = "merge"
    """End, and leave all that you have to another."""
    NOTIFIED = "notified"
    """How telling people of an approval went; interrupts nobody, and runs no code."""
    ADOPTED = "adopted"
    """Somebody's child is yours now."""
    CRASHED = "crashed"
    """A child has ended that is to be restarted; interrupts nobody, and runs no code."""
    EDITED = "edited"
    """A person has decided how its context is shown; interrupts nobody, and runs no code."""


ENDING = (Control.KILL, Control.MERGE, Control.CANCEL)
"""Orders to end, of which the first goes first. No other order interrupts a tick: it is there for the next one."""


class Lane(IntEnum):
    """In which order a tick sees what lies in its mailbox."""

    KILL = 0
    STOP = 1
    EXIT = 2
    """Ends of others, each after all that the one that ended had written before."""
    CONTROL = 3
    MAIL = 4


ALWAYS_WAKE = frozenset({Kind.START, Kind.CONTROL, Kind.EXIT})
BOUNDED = frozenset({Kind.EVENT, Kind.MESSAGE})
"""What is refused where there is no room; the rest answers something asked for, and is bounded by the asking."""
MAILBOX_LIMIT = 10_000  # unread mails, beyond which what is bounded is refused
MAILBOX_LIMIT_BYTES = 64 * 1024 * 1024
MAIL_READ_AT_ONCE = 1_000  # of one tick: a prompt, and a commit, have an end
BODY_LIMIT_BYTES = 256 * 1024
MAX_HOPS = 16  # messages answering messages; PROMISES B79
DEDUPE_MS = 7 * 24 * 3_600_000  # ids are remembered so long: longer than any relay or source goes on trying
SENDERS_REMEMBERED = 500  # whose last number one receiver keeps, to know a repetition that is older than that
DEAD_LETTERS_KEPT = 10_000  # the newest of a partition; all are counted
MAX_EXPIRY_MS = 10 * 366 * 24 * 3_600_000
_ORDINALS = 100_000  # of one tick, at most: a sender's number is rev * this + ordinal


class Mail(BaseModel):
    """One inbound message."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: MailId
    kind: Kind
    sender: str
    subject: str = ""
    body: JsonValue = None
    correlation: str | None = None
    """Approval id, operation id, child id, timer id, subscription id: whatever `kind` is about."""
    sent_ms: TimeMs
    cause: str | None = None
    trust: Literal["trusted", "untrusted"] = "trusted"
    hops: Annotated[int, Field(ge=0, le=MAX_HOPS)] = 0
    """Messages between it and the world outside."""
    supersedes: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """Names what it is about: an unread mail of the same sender with the same name gives way to it."""
    expires_ms: TimeMs | None = None
    """Unread by then, it is shown to nobody and wakes nobody: it is a dead letter."""

    @property
    def wake_key(self) -> str:
        if self.kind is Kind.CONTROL and self.subject.isalpha():
            return f"{self.kind}:{self.subject}"
        return f"{self.kind}:{self.correlation}" if self.correlation else self.kind.value

    @property
    def lane(self) -> Lane:
        match self.kind:
            case Kind.CONTROL if self.subject == Control.KILL:
                return Lane.KILL
            case Kind.CONTROL if self.subject == Control.CANCEL:
                return Lane.STOP
            case Kind.CHILD | Kind.DOWN | Kind.EXIT:
                return Lane.EXIT
            case Kind.CONTROL | Kind.APPROVAL:
                return Lane.CONTROL
            case _:
                return Lane.MAIL

    @property
    def is_order(self) -> bool:
        """True when it lies in the list of orders, which is read before any tick begins."""
        return self.kind is Kind.CONTROL

    @property
    def sequence(self) -> int | None:
        """The number that a sending continuation gave it: of two mails to one receiver the later has the higher."""
        if self.kind is Kind.EVENT or not self.id.startswith(f"{self.sender}:"):
            return None
        rev, _, ordinal = self.id.removeprefix(f"{self.sender}:").partition(":")
        return int(rev) * _ORDINALS + int(ordinal) if rev.isdecimal() and ordinal.isdecimal() else None

    @property
    def tag(self) -> str | None:
        """What mails that supersede one another have in common."""
        return None if self.supersedes is None else derived_token("tag", self.sender, self.supersedes)

    def has_expired(self, now_ms: TimeMs) -> bool:
        return self.expires_ms is not None and self.expires_ms <= now_ms

    @property
    def child(self) -> ContinuationId:
        """The child that a mail of kind `child` is about."""
        return ContinuationId(self.correlation or "")


def wakes(keys: Collection[str], wake_key: str) -> bool:
    """True when a wait for `keys` ends at a mail with `wake_key`."""
    kind = wake_key.partition(":")[0]
    return kind in ALWAYS_WAKE or kind in keys or wake_key in keys


def in_lanes(orders: Iterable[Mail]) -> tuple[Mail, ...]:
    """By lane, and in each as they came."""
    return tuple(sorted(orders, key=lambda mail: mail.lane))


def reading_order(mail: Sequence[Mail]) -> list[int]:
    """The positions in `mail` in the order in which a tick reads them.

    By lane, and in each as they came; but what a child wrote before its end is read before its end.
    """
    ends = {letter.sender: place for place, letter in enumerate(mail) if letter.lane is Lane.EXIT}

    def rank(place: int) -> tuple[Lane, int]:
        before_an_end = place < ends.get(mail[place].sender, -1)
        return min(mail[place].lane, Lane.EXIT) if before_an_end else mail[place].lane, place

    return sorted(range(len(mail)), key=rank)


def check_body(body: JsonValue) -> JsonValue:
    """`body`, which fits into a mail.

    Raises:
        InvalidInput: larger than BODY_LIMIT_BYTES as JSON, or not writable as JSON at all.
    """
    try:
        size = len(orjson.dumps(body))
    except orjson.JSONEncodeError as error:
        raise InvalidInput(
            f"the message is not writable as JSON: {error}", field="body", hint="send plain values"
        ) from None
    if size > BODY_LIMIT_BYTES:
        raise InvalidInput(
            f"the message has {size} bytes, at most {BODY_LIMIT_BYTES} are taken",
            field="body",
            hint="store large material and send a reference to it",
        )
    return body


def expiry(now_ms: TimeMs, in_ms: int | None) -> TimeMs | None:
    """The moment `in_ms` from now; None for never.

    Raises:
        InvalidInput: a time that is over, or beyond ten years.
    """
    if in_ms is None:
        return None
    if not 0 < in_ms <= MAX_EXPIRY_MS:
        raise InvalidInput(
            f"a message cannot expire in {in_ms} ms", field="expires", hint="give a time from now, at most ten years"
        )
    return TimeMs(now_ms + in_ms)


def mailbox_full(to: ContinuationId, unread: int, size_bytes: int) -> MailboxFull:
    """The refusal of a mail for which there is no room: whose mailbox, how full, and what helps."""
    return MailboxFull(
        f"the mailbox of {to} has no room: {unread} unread mails of {MAILBOX_LIMIT}, "
        f"{size_bytes} bytes of {MAILBOX_LIMIT_BYTES}",
        field="id",
        hint=f"see `maestro why {to}`, let it read, then send again",
        unread=unread,
        size_bytes=size_bytes,
    )
