"""The three shapes of order that a partition keeps: by time, by arrival, and what was seen already."""

import heapq
from collections.abc import Iterator
from itertools import islice
from typing import Generic, TypeVar

from maestro.continuation.mail import DEDUPE_MS
from maestro.ids import TimeMs

Key = TypeVar("Key", bound=str | tuple[str, ...])
Item = TypeVar("Item")


class Agenda(Generic[Key]):
    """Keys in the order of their times, those of one time in their own order; each key is in it once."""

    def __init__(self) -> None:
        self._times: dict[Key, TimeMs] = {}
        self._heap: list[tuple[TimeMs, Key]] = []  # may hold places that a key has left

    def __len__(self) -> int:
        return len(self._times)

    def __contains__(self, key: Key) -> bool:
        return key in self._times

    def __iter__(self) -> Iterator[Key]:
        return iter(tuple(self._times))

    def time_of(self, key: Key) -> TimeMs | None:
        return self._times.get(key)

    def put(self, key: Key, at_ms: TimeMs) -> None:
        """The key is at `at_ms`, wherever it was before."""
        self._times[key] = at_ms
        heapq.heappush(self._heap, (at_ms, key))

    def drop(self, key: Key) -> None:
        self._times.pop(key, None)

    def first(self) -> tuple[TimeMs, Key] | None:
        """The earliest, which stays."""
        while self._heap:
            at_ms, key = self._heap[0]
            if self._times.get(key) == at_ms:
                return at_ms, key
            heapq.heappop(self._heap)
        return None


class Line(Generic[Item]):
    """Items in order of arrival, each at a position that no other ever has."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}
        self._next = 1

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: Item) -> str:
        position = f"{self._next}-0"
        self._next += 1
        self._items[position] = item
        return position

    def take(self, position: str) -> Item | None:
        """The item, which is gone; None when it was before."""
        return self._items.pop(position, None)

    def oldest(self, limit: int) -> Iterator[tuple[str, Item]]:
        return islice(self._items.items(), limit)


class Seen:
    """What was seen within the last week: the window in which a repetition is known as one."""

    def __init__(self) -> None:
        self._times: dict[tuple[str, str], TimeMs] = {}

    def __contains__(self, key: tuple[str, str]) -> bool:
        return key in self._times

    def of(self, cid: str) -> list[tuple[str, str, TimeMs]]:
        """What was seen of one continuation."""
        return sorted((*key, at_ms) for key, at_ms in self._times.items() if key[0] == cid or _changed(key, cid))

    def add(self, key: tuple[str, str], now_ms: TimeMs) -> None:
        while self._times and self._times[oldest := next(iter(self._times))] < now_ms - DEDUPE_MS:
            del self._times[oldest]
        self._times[key] = now_ms


def _changed(key: tuple[str, str], cid: str) -> bool:
    """True for the memory of a changed budget."""
    return key[0] == "rebudget" and key[1].startswith(f"{cid} ")
