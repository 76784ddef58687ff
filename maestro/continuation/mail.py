"""Mail: what is put into a mailbox, and may wake its owner.

Invariants:
- a mail wakes by its *wake key*, `kind` or `kind:correlation`; a wait is a set of such keys, so that the store can
  decide a wake without understanding either;
- start and control mail wakes always; control has a lane of its own that is read first.

Source: spec/01 section 5; spec/02 section 5 (envelope).
"""

from collections.abc import Collection
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from maestro.ids import ContinuationId, MailId, TimeMs


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


class Control(StrEnum):
    """Orders that are carried out before any mail is read; in `Mail.subject`."""

    KILL = "kill"
    CANCEL = "cancel"
    GRANTED = "granted"
    WAKE = "wake"
    THAW = "thaw"


ALWAYS_WAKE = frozenset({Kind.START, Kind.CONTROL})
MAILBOX_LIMIT = 10_000
BODY_LIMIT_BYTES = 256 * 1024


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
    hops: Annotated[int, Field(ge=0, le=16)] = 0

    @property
    def wake_key(self) -> str:
        return f"{self.kind}:{self.correlation}" if self.correlation else self.kind.value

    @property
    def lane(self) -> Literal["control", "mail"]:
        return "control" if self.kind is Kind.CONTROL else "mail"

    @property
    def child(self) -> ContinuationId:
        """The child that a mail of kind `child` is about."""
        return ContinuationId(self.correlation or "")


def wakes(keys: Collection[str], wake_key: str) -> bool:
    """True when a wait for `keys` ends at a mail with `wake_key`."""
    kind = wake_key.partition(":")[0]
    return kind in ALWAYS_WAKE or kind in keys or wake_key in keys
