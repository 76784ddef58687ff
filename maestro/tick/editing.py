"""Editing the context in a tick: the verbs that a behaviour, or the model that it asks, has for it.

The edits take part in the commit, as the directive that holds the commands; what this tick thinks from then on is
composed with them. A continuation that never edits loses nothing: its field shows what ranks.
"""

from collections.abc import Sequence
from typing import Protocol

from maestro.continuation.checkpoint import Checkpoint
from maestro.continuation.directive import Act, EditField
from maestro.continuation.edits import Edits, changed, changes
from maestro.field.editing import Found, edited, found
from maestro.field.grammar import Verb, parse
from maestro.field.project import Weighed
from maestro.ids import TimeMs

MOST_ENTRIES = 1_000  # what a store keeps of one half-life


class Looking(Protocol):
    """Reads the field of one continuation."""

    async def top(self, n: int, edits: Edits | None = None) -> Sequence[Weighed]:
        """The top of the field, heaviest first: as `edits` show it, or without, all that is kept."""
        ...


class Editing:
    """What a tick can do about its context; mixed into Tick."""

    now_ms: TimeMs
    _before: Checkpoint
    _mind: Looking
    _acts: list[Act]

    @property
    def edits(self) -> Edits:
        """What was decided about how entries are shown, by this tick too."""
        edits: Edits = self._before.edits
        for act in self._acts:
            if isinstance(act, EditField):
                edits = changed(edits, act.changes)
        return edits

    async def field(self, n: int = 20) -> Sequence[Weighed]:
        """The top of the context field, heaviest first; ranked when the data came, not now."""
        return await self._mind.top(n, self.edits)

    async def edit(self, commands: str) -> Sequence[Found]:
        """The context is shown as `commands` say, such as "pin #a; collapse #b"; returns what was searched for.

        Raises:
            InvalidInput: a command is none; none was carried out.
            UnknownEntryError: a command names what the field does not hold; none was carried out.
        """
        parsed = parse(commands)
        kept = await self._mind.top(MOST_ENTRIES)
        after = edited(self.edits, parsed, kept, self.now_ms)
        if after != self.edits:
            self._acts.append(EditField(commands=commands, changes=changes(self.edits, after)))
        return [hit for it in parsed if it.verb is Verb.FIND for hit in found(it.text, kept, after)]
