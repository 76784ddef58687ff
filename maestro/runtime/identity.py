"""The port by which a store says which one it is and how far it has come, and is told what to make of that.

Invariant: an epoch of one incarnation is larger than every epoch of those before, whatever of them the store remembers.
Not here: what is remembered outside the store, and who decides (`maestro.runtime.landmarks`).
"""

from dataclasses import dataclass
from typing import Protocol

from maestro.errors import StoreRefused
from maestro.ids import TimeMs

WRITES = ("created", "committed", "adopted", "mail_delivered", "published", "timers_fired")
"""What is counted of everything that somebody was told had happened."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Which store this is, and how far it has come; every part of it only grows."""

    store: str | None
    """None where nothing says so: it is empty."""
    incarnation: int
    committed: int
    writes: int
    """How often any of `WRITES` happened."""
    told_ms: TimeMs
    """What its clock last told to somebody who wrote, to a tenth of a second."""
    server: str
    """Changes whenever the server of it is started."""
    shut: bool = False
    """Nobody may write until an incarnation begins."""


class Identity(Protocol):
    async def read(self) -> Standing: ...

    async def shut(self) -> None:
        """Every write is refused, with StoreRefused, until an incarnation begins."""
        ...

    async def incarnate(self, store: str, incarnation: int, note: str, fact: bytes) -> int:
        """The store is `store` in this incarnation; who held something is fenced for good, and it is ready again.

        Args:
            note: what the next holder of each of them is told as the last error.

        Returns:
            How many were in somebody's hands; 0 too where this incarnation, or a later one, had begun already.
        """
        ...


WHAT_TO_DO = (
    "see docs/how-to/restore-a-store.md: restore it, or go on with what there is: `maestro up --accept-older-store`"
)


def shut_store() -> StoreRefused:
    """The refusal of a store that was shut."""
    return StoreRefused("the store has lost what it had acknowledged; nobody may write to it", hint=WHAT_TO_DO)


def empty_store() -> StoreRefused:
    """The refusal of a store that has become empty under those who use it."""
    return StoreRefused("the store is empty; what it held is gone", hint=WHAT_TO_DO)
