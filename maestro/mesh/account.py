"""The mesh's account: what became of each match of an event with somebody who asked for it.

    matched = applied + fielded + pending + dead + expired

applied: part of a tick that was committed; fielded: in its field, and no wake; pending: unread, or waiting for its
score; dead: a dead letter, with its cause; expired: unread when its time was over. An event that a store forwards to
its other partitions is published once in each.

`pending` is what is left of the others; that it is what lies in mailboxes and waits for scores is shown by a test that
counts both. What moved to another store with its family is pending in the one that it left.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Account:
    published: int
    matched: int
    applied: int
    fielded: int
    dead: int
    expired: int

    @property
    def pending(self) -> int:
        return self.matched - self.applied - self.fielded - self.dead - self.expired

    def told(self) -> dict[str, int]:
        """All of it by name."""
        return {**asdict(self), "pending": self.pending}

    def __str__(self) -> str:
        return (
            f"{self.published} published, {self.matched} matched = {self.applied} applied + {self.fielded} in fields"
            f" + {self.pending} pending + {self.dead} dead + {self.expired} expired"
        )


def account_of(counts: Mapping[str, int]) -> Account:
    """The account by the counts of a store, of one partition or of all together."""
    return Account(
        counts.get("published", 0), counts.get("matched", 0), counts.get("event_applied", 0),
        counts.get("event_fielded", 0), counts.get("event_dead", 0), counts.get("event_expired", 0),
    )  # fmt: skip
