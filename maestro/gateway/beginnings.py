"""Where the feeds began: so that a cursor from before the first fact is told of what was dropped behind it.

Such a cursor (`0-0`) is no fact's, and the feed alone does not say whether the oldest fact it has is the first it ever
had. So the first one that was seen is noted in the store. Invariant: nothing that was dropped goes untold; in doubt it
is told that something was.
"""

from dataclasses import dataclass, field

from maestro.gateway.events import START, order_of
from maestro.ids import Partition
from maestro.runtime.verbs import Installation, partitions

KIND = "feed"
KEPT = 100_000  # facts that a feed keeps at least before it drops the oldest: the scripts of the store trim to this
PAGE = 10_000
GONE = "gone"
"""In place of a position: there were facts before any that was seen."""


@dataclass(slots=True)
class Beginnings:
    """The first fact of each partition."""

    at: Installation
    _first: dict[Partition, str] = field(default_factory=dict)
    """Its position; `0-0` while there is none."""

    async def begin(self) -> None:
        """What is known of the beginnings is read; what can be known of the others is noted."""
        for part in partitions(self.at):
            oldest, _ = await self.at.backend.records.span(part)
            noted = await self.at.backend.register.get(KIND, str(part))
            if noted is None:
                first = GONE if await self._is_full(part) else oldest
            elif noted.decode() == START and oldest != START:
                first = GONE  # nobody looked when the first came
            else:
                self._first[part] = noted.decode()
                continue
            await self._note(part, first)

    async def heard(self, part: Partition, position: str) -> None:
        """The first fact behind nothing is the first of all."""
        if self._first.get(part) == START:
            await self._note(part, position)

    def is_gone(self, part: Partition, oldest: str) -> bool:
        """True when facts before the oldest that is kept were dropped.

        While none was heard of, what is there is the first.
        """
        first = self._first.get(part, GONE)
        return first == GONE or (first != START and order_of(first) < order_of(oldest))

    async def _note(self, part: Partition, first: str) -> None:
        await self.at.backend.register.put(KIND, str(part), first.encode())
        self._first[part] = first

    async def _is_full(self, part: Partition) -> bool:
        """True when it has as many facts as are kept: then there may have been others."""
        after, count = START, 0
        while count < KEPT and (facts := await self.at.backend.records.feed(part, after, PAGE)):
            after, count = facts[-1].position, count + len(facts)
        return count >= KEPT
