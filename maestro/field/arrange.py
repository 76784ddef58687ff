"""What of a field's top is worth reading: nothing faded, nothing twice, nothing that was overtaken.

Invariants: pure; heaviest first as it came; each entry of the top is read, is stood for by one that is, or has faded
below the floor; pinned ones always stay. What is not here: weights and order (`decay`, `project`), views (`compose`).

Source: spec/03 section 5: near-duplicates are merged, superseded entries collapse under their successor.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from maestro.field.decay import EVICT_FLOOR
from maestro.field.entry import EntryState
from maestro.field.likeness import Met
from maestro.field.project import Weighed
from maestro.ids import EntryId

OFFERED = 2  # so many times the wanted number are looked at: room for what is twice or overtaken


def arranged(top: Sequence[Weighed], n: int, floor: float = EVICT_FLOOR) -> list[Weighed]:
    """The first `n` of `top` that are worth reading, and all pinned ones, each with the entries that it stands for."""
    present = [it for it in top if it.weight >= floor]
    latest = _latest(present)
    kept: list[Weighed] = []
    met = Met()
    stood_for: dict[EntryId, list[EntryId]] = {}
    for weighed in present:
        entry = weighed.entry
        successor = latest.get(entry.id)
        if successor is None and entry.state is not EntryState.PINNED:
            successor = met.like(entry.sketch)
        if successor is None:
            kept.append(weighed)
            met.add(entry.id, entry.sketch)
        else:
            stood_for.setdefault(successor, []).append(entry.id)
    pins = sum(it.entry.state is EntryState.PINNED for it in kept)
    return [replace(it, stands_for=tuple(stood_for.get(it.entry.id, ()))) for it in kept[: max(n, pins)]]


def _latest(present: Sequence[Weighed]) -> dict[EntryId, EntryId]:
    """Superseded entry -> the last of its successors; pinned ones are superseded by nobody."""
    pinned = {it.entry.id for it in present if it.entry.state is EntryState.PINNED}
    successors = {
        it.entry.supersedes: it.entry.id
        for it in present
        if it.entry.supersedes is not None and it.entry.supersedes not in pinned
    }
    ends = {name: _end(name, successors) for name in successors}
    return {name: end for name, end in ends.items() if end is not None}


def _end(name: EntryId, successors: Mapping[EntryId, EntryId]) -> EntryId | None:
    """The last of the chain; None for one that runs in a circle, in which nothing is superseded."""
    seen = {name}
    while (following := successors.get(name)) is not None:
        if following in seen:
            return None
        seen.add(following)
        name = following
    return name
