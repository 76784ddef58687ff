"""What was found, in the memory of the API's process: read from the store once, and again where the feed says so.

A cache like the directory, and beside it: a family's findings are read when it is first asked for, all of them
AT_ONCE together, and after each fact that may have changed them. Invariant: what the tail has told of is told of here.
What is not here: what people hold of a finding (`maestro.gateway.notebook`).
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from maestro.gateway.directory import Directory
from maestro.ids import ContinuationId
from maestro.pane import views
from maestro.runtime.verbs import Installation

AT_ONCE = 256  # families that are read together
Found = Mapping[str, Any]


@dataclass(slots=True)
class Discoveries:
    """The findings of one tenant, by family."""

    at: Installation
    directory: Directory
    families: dict[ContinuationId, Sequence[Found]] = field(default_factory=dict)
    """Root -> its findings; those that have none, too."""
    _stale: set[ContinuationId] = field(default_factory=set)
    """Families that a fact was told of since they were read, or while they were."""
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    def heard(self, fact: Mapping[str, Any]) -> None:
        """What that fact may have changed is read again when it is next asked for."""
        if fact.get("type") == "committed" and "report" not in (fact.get("directives") or ()):
            return
        cid = ContinuationId(str(fact.get("cid")))
        line = self.directory.lines.get(cid)
        self._stale |= {ContinuationId(str(fact.get("root"))), cid if line is None else line.root}

    async def fill(self) -> None:
        """Every family that the directory knows is read."""
        async with self._reading:
            roots = dict.fromkeys(line.root for line in self.directory.lines.values())
            for gone in self.families.keys() - roots:
                del self.families[gone]
            self._stale.intersection_update(roots)
            missing = [root for root in roots if root not in self.families or root in self._stale]
            for first in range(0, len(missing), AT_ONCE):
                await self._read(missing[first : first + AT_ONCE])

    async def _read(self, roots: Sequence[ContinuationId]) -> None:
        for root in roots:
            self.families.pop(root, None)  # where the store does not answer, it is asked again
        self._stale.difference_update(roots)  # first: what is told from now on may be missing in the answer
        told = await asyncio.gather(*map(self.at.backend.records.findings, roots))
        self.families |= {root: views.findings(lines) for root, lines in zip(roots, told, strict=True)}
        await asyncio.sleep(0)

    async def of(self, root: ContinuationId) -> Sequence[Found]:
        """The findings of one family, as the store has them now."""
        return views.findings(await self.at.backend.records.findings(root))

    async def all(self) -> Iterator[Found]:
        """Those of every family, in no order."""
        await self.fill()
        return (found for family in list(self.families.values()) for found in family)
