"""What is kept of the rows: stretches of each partition's feed, each written once and whole.

A stretch says by its name what it covers, so that the rows and the place up to which the feed was read cannot differ:
whoever dies between two steps has written a stretch or has not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from maestro.ids import Partition
from maestro.warehouse.rows import Row

BEGINNING = "0-0"
"""Before the first fact of a feed."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """The facts of one partition behind `after`, up to and with `last`."""

    partition: Partition
    after: str
    last: str

    def covers(self, other: "Stretch") -> bool:
        """True when every fact of `other` is one of this."""
        same = self.partition == other.partition
        return same and place_of(self.after) <= place_of(other.after) and place_of(other.last) <= place_of(self.last)


class Stock(Protocol):
    """Where stretches lie; one process writes."""

    def reached(self, partition: Partition) -> str:
        """Up to which fact the feed is kept; `BEGINNING` where nothing is."""
        ...

    def store(self, stretch: Stretch, rows: Sequence[Row]) -> None:
        """The stretch is kept, whole or not at all."""
        ...

    def compact(self, partition: Partition) -> bool:
        """Many small stretches have become one; False where there were few."""
        ...

    def clear(self) -> None:
        """Nothing is kept: the next look at the feed begins at its beginning."""
        ...


def place_of(position: str) -> tuple[int, int]:
    """A position of a feed as something that can be compared."""
    time, _, number = position.partition("-")
    return int(time), int(number)
