"""What people are shown of a context field: the rows that a model would be shown, and why each stands where it does."""

from collections.abc import Mapping

from pydantic import JsonValue

from maestro.continuation.edits import Edits
from maestro.field.arrange import OFFERED, arranged
from maestro.field.editing import overridden
from maestro.field.entry import EntryState
from maestro.field.layout import reason_of
from maestro.field.project import Weighed
from maestro.field.shelf import Shelf
from maestro.ids import ContinuationId, TimeMs


async def field_rows(
    shelf: Shelf, cid: ContinuationId, edits: Edits, n: int, now_ms: TimeMs
) -> list[dict[str, JsonValue]]:
    """The top of the field as its edits show it: pinned ones first, then the heaviest, up to `n` in all."""
    offered = await shelf.top(cid, OFFERED * n + len(edits), now_ms)
    return [_row(weighed, now_ms) for weighed in arranged(overridden(offered, edits, now_ms).shown, n)]


def _row(weighed: Weighed, now_ms: TimeMs) -> dict[str, JsonValue]:
    entry = weighed.entry
    return {
        **entry.model_dump(mode="json", exclude={"sketch"}),
        "weight": None if entry.state is EntryState.PINNED else weighed.weight,
        "view": weighed.view.value,
        "age_ms": now_ms - entry.last_reinforced_at_ms,
        "reason": reason_of(weighed),
        "stands_for": list(weighed.stands_for),
    }


def freshness_words(told: Mapping[str, JsonValue]) -> str:
    """How far a field has come, in a sentence."""
    words = f"Complete up to event {told['complete']} of {told['told']}"
    if told["waited_ms"]:
        words += f"; the oldest of the rest has waited {told['waited_ms']} ms for its score"
    if told["looked"] is not None:
        words += f"; looked through for what is near up to event {told['looked']}"
    return f"{words}{', stale' if told['stale'] else ''}."
