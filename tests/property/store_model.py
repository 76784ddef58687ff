"""What a store should be, by a dictionary: who is ready, who holds what, what is unread, where the money is.

The model knows nothing of checkpoints and logs.
"""

from dataclasses import dataclass, field

from maestro.continuation.lifecycle import Hold
from maestro.continuation.mail import Control, Mail
from maestro.ids import CallId, ContinuationId, HolderId
from maestro.tick.store import JournalEntry
from tests.contract.support import (
    control,
)


@dataclass
class Row:
    """What the model knows of one continuation."""

    cid: ContinuationId
    parent: "Row | None"
    granted: int
    reserved: dict[CallId, int] = field(default_factory=dict)
    spent: int = 0
    lent: int = 0
    epoch: int = 0
    commit_epoch: int = 0
    rev: int = 0
    tries: int = 0
    holder: HolderId | None = None
    ready: bool = True
    frozen: bool = False
    owed: bool = False
    waits: bool = False
    hold: Hold | None = None
    done: bool = False
    subscribed: bool = False
    controls: list[Mail] = field(default_factory=list)
    controls_seen: int = 0
    unread: list[str] = field(default_factory=list)
    mail_seen: int = 0
    batch: bool = False
    """The mail of the open tick is fixed: a repeated try sees the same."""
    tags: dict[str, str] = field(default_factory=dict)
    over_ms: dict[str, int] = field(default_factory=dict)
    """Mail -> what it supersedes by; when it expires."""
    journal: dict[int, JournalEntry] = field(default_factory=dict)
    unknown: dict[CallId, int] = field(default_factory=dict)
    """What was charged in full, and may be refunded."""
    timers: dict[str, int] = field(default_factory=dict)
    retry_ms: int | None = None

    @property
    def free(self) -> int:
        return self.granted - sum(self.reserved.values()) - self.spent - self.lent

    def make_ready(self) -> None:
        if not self.done and self.holder is None:
            self.owed, self.ready = (True, self.ready) if self.frozen else (self.owed, True)

    def put(self, mail: Mail | None, name: str = "") -> None:
        """Control mail, or (None) other mail called `name`, came."""
        if mail is not None:
            self.controls.append(mail)
            self.make_ready()
        else:
            self.unread.append(name)
            if self.waits and self.hold is None:
                self.make_ready()

    def waiting(self) -> list[str]:
        """The unread mail that no tick has in hand."""
        return self.unread[self.mail_seen if self.holder is not None or self.batch else 0 :]

    def supersede(self, tag: str) -> None:
        """The newest unread mail of that tag gives way."""
        old = next((name for name in reversed(self.waiting()) if self.tags.get(name) == tag), None)
        if old is not None:
            self.unread.remove(old)

    def sweep(self, now_ms: int) -> None:
        """What has expired is gone."""
        for name in self.waiting():
            if name in self.over_ms and self.over_ms[name] <= now_ms:
                self.unread.remove(name)

    def settle(self, call: CallId, charge: int | None = None) -> None:
        if call in self.reserved:
            price = self.reserved.pop(call)
            self.spent += price if charge is None else charge
            if charge is None:
                self.unknown[call] = price

    def refund(self, call: CallId, actual: int) -> bool:
        if call not in self.unknown:
            return False
        self.spent += actual - self.unknown.pop(call)
        if self.holder is not None and not self.done:
            self.controls.append(granted(f"refund:{call}"))
        return True


def line_of(row: Row) -> list[Row]:
    """It, its parent, and so on to its root."""
    return [row] if row.parent is None else [row, *line_of(row.parent)]


def granted(key: str) -> Mail:
    mail = control(Control.GRANTED)
    return mail.model_copy(update={"id": f"granted:{key}"})
