"""A context field as a value, and the one function that changes it: project(field, delta, scores) -> field.

Invariants:
- `project` is pure; the same deltas in the same order give the same field;
- an entry is in exactly one ordered set, that of its half-life, unless it is pinned or hidden: then in none;
- reading the top touches the tops of these few sets, never all entries, and computes no score;
- an entry without a score keeps the one it came with, and its id stands in `unscored`: stale, never lost.

What is not here: who scores (`ranker`), where a field is kept (the stores), what of it a model sees (`compose`).

Source: DESIGN sections 3 and 8; spec/03 sections 4, 5, 7.
"""

import math
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from itertools import islice
from types import MappingProxyType

from maestro.errors import InvalidInput
from maestro.field.decay import (
    BETA,
    EVICT_FLOOR,
    HALF_LIFE_MS,
    Ranked,
    floor_key,
    half_life_ms,
    merge_top,
    rank_key,
    weight,
)
from maestro.field.entry import Entry, EntryState, SourceKind
from maestro.field.views import View
from maestro.ids import EntryId, TimeMs


@dataclass(frozen=True, slots=True)
class Fading:
    """How a field forgets; settings, the same for all its life."""

    beta: float = BETA
    evict_floor: float = EVICT_FLOOR
    half_lives: Mapping[SourceKind, int] = field(default_factory=lambda: HALF_LIFE_MS)

    def half_life_of(self, entry: Entry) -> int:
        return half_life_ms(entry.kind, self.half_lives)

    def key_of(self, entry: Entry) -> float:
        return rank_key(
            entry.score, entry.reinforcements, entry.last_reinforced_at_ms, self.half_life_of(entry), self.beta
        )


@dataclass(frozen=True, slots=True)
class Delta:
    """What happened to a field at one moment."""

    at_ms: TimeMs
    entries: tuple[Entry, ...] = ()
    """New ones, and those that a source brought again: found again is reinforced."""
    reinforced: tuple[EntryId, ...] = ()
    """Cited, pulled, expanded or confirmed; merely being shown is not among these."""
    states: Mapping[EntryId, EntryState] = field(default_factory=lambda: MappingProxyType({}))
    """Overrides by a person or the model: pinned, hidden, shown again, evicted."""


@dataclass(frozen=True, slots=True)
class Field:
    """All that one continuation may know, in order."""

    fading: Fading = field(default_factory=Fading)
    entries: Mapping[EntryId, Entry] = field(default_factory=lambda: MappingProxyType({}))
    ranks: Mapping[int, tuple[Ranked, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """half-life -> (rank key, entry), ascending."""
    pinned: tuple[EntryId, ...] = ()
    """Oldest first: an order that does not change between ticks."""
    unscored: frozenset[EntryId] = frozenset()
    version: int = 0

    @property
    def stale(self) -> bool:
        """True while some entry ranks by an old score, or by none."""
        return bool(self.unscored)


@dataclass(frozen=True, slots=True)
class Weighed:
    """An entry and what it weighs now; pinned ones do not fade and weigh infinitely."""

    entry: Entry
    weight: float
    stands_for: tuple[EntryId, ...] = ()
    """Near-duplicates that it was merged with and entries that it supersedes (`arrange`)."""
    view: View = View.FULL
    """The most of it that is shown; less where there is no room."""
    levels: int = 6
    """Of headings, where the view is an outline."""
    inside: Mapping[EntryId, View | None] = field(default_factory=lambda: MappingProxyType({}))
    """Section -> its view, where it has one of its own; None for one that is not shown."""


def project(current: Field, delta: Delta, scores: Mapping[EntryId, float]) -> Field:
    """The field after `delta`, ranked by `scores`; what faded out by then is gone.

    Args:
        scores: of new entries, or of all when the goal changed; entries of the delta without one become `unscored`.
    Raises:
        InvalidInput: a reinforcement, a state or a score for an entry that the field does not hold.
    """
    touched = _arrived(current, delta)
    known = current.entries.keys() | touched.keys()
    _require_known(known, delta.reinforced, "reinforce")
    _require_known(known, delta.states, "set the state of")
    _require_known(known, scores, "score")
    for entry in delta.reinforced:
        touched[entry] = _reinforced(touched.get(entry) or current.entries[entry], delta.at_ms)
    for entry, state in delta.states.items():
        touched[entry] = (touched.get(entry) or current.entries[entry]).model_copy(update={"state": state})
    for entry, score in scores.items():
        touched[entry] = (touched.get(entry) or current.entries[entry]).model_copy(update={"score": _checked(score)})
    if not touched:
        return _evicted(current, delta.at_ms)
    fresh = frozenset(entry.id for entry in delta.entries)
    unscored = (current.unscored | fresh) - scores.keys()
    return _evicted(_placed(current, touched, unscored), delta.at_ms)


def top(current: Field, n: int, now_ms: TimeMs) -> list[Weighed]:
    """What counts most at `now_ms`: all pinned entries in their fixed order, then the heaviest, up to `n` in all.

    Pinned entries are shown even where they are more than `n`; what has faded below the floor is not.
    """
    pinned = [Weighed(current.entries[name], math.inf) for name in current.pinned]
    wanted = max(0, n - len(pinned))
    tops = {half_life: islice(reversed(rows), wanted) for half_life, rows in current.ranks.items()}
    heaviest = merge_top(tops, wanted, now_ms)
    floor = current.fading.evict_floor
    return pinned + [Weighed(current.entries[name], heavy) for heavy, name in heaviest if heavy >= floor]


def weigh(current: Field, entry: Entry, now_ms: TimeMs) -> float:
    """What a ranked entry weighs at `now_ms`."""
    return weight(current.fading.key_of(entry), current.fading.half_life_of(entry), now_ms)


def _arrived(current: Field, delta: Delta) -> dict[EntryId, Entry]:
    arrived: dict[EntryId, Entry] = {}
    for entry in delta.entries:
        before = arrived.get(entry.id) or current.entries.get(entry.id)
        arrived[entry.id] = _found_again(before, entry, delta.at_ms) if before else entry
    return arrived


def _found_again(before: Entry, again: Entry, at_ms: TimeMs) -> Entry:
    """Today's text, with the past, the rank and the overrides of the one that was there."""
    kept = before.model_copy(update={"title": again.title, "body": again.body, "links": again.links})
    return _reinforced(kept, at_ms)


def _reinforced(entry: Entry, at_ms: TimeMs) -> Entry:
    latest = max(entry.last_reinforced_at_ms, at_ms)
    return entry.model_copy(update={"reinforcements": entry.reinforcements + 1, "last_reinforced_at_ms": latest})


def _placed(current: Field, touched: Mapping[EntryId, Entry], unscored: frozenset[EntryId]) -> Field:
    """`touched` entries are at the places that their values now give them."""
    entries = dict(current.entries)
    ranks = {half_life: list(rows) for half_life, rows in current.ranks.items()}
    for name, entry in touched.items():
        if (before := entries.pop(name, None)) and before.state is EntryState.SHOWN:
            rows = ranks[current.fading.half_life_of(before)]
            del rows[bisect_left(rows, (current.fading.key_of(before), name))]
        if entry.state is not EntryState.EVICTED:
            entries[name] = entry
        if entry.state is EntryState.SHOWN:
            insort(ranks.setdefault(current.fading.half_life_of(entry), []), (current.fading.key_of(entry), name))
    return replace(
        current,
        entries=MappingProxyType(entries),
        ranks=MappingProxyType({half_life: tuple(rows) for half_life, rows in ranks.items()}),
        pinned=_pinned(current, touched, entries),
        unscored=unscored & entries.keys(),
        version=current.version + 1,
    )


def _pinned(current: Field, touched: Mapping[EntryId, Entry], entries: Mapping[EntryId, Entry]) -> tuple[EntryId, ...]:
    pins = {
        name for name in (*current.pinned, *touched) if name in entries and entries[name].state is EntryState.PINNED
    }
    return tuple(sorted(pins, key=lambda name: (entries[name].created_at_ms, name)))


def _evicted(current: Field, now_ms: TimeMs) -> Field:
    """Without the entries that are below the floor: a cut at the low end of each set."""
    faded = set(_below_floor(current, now_ms))
    if not faded:
        return current
    kept = {name: entry for name, entry in current.entries.items() if name not in faded}
    ranks = {half_life: tuple(row for row in rows if row[1] not in faded) for half_life, rows in current.ranks.items()}
    return replace(
        current,
        entries=MappingProxyType(kept),
        ranks=MappingProxyType(ranks),
        unscored=current.unscored - faded,
        version=current.version + 1,
    )


def _below_floor(current: Field, now_ms: TimeMs) -> Iterator[EntryId]:
    for half_life, rows in current.ranks.items():
        cut = bisect_left(rows, (floor_key(half_life, now_ms, current.fading.evict_floor), ""))
        yield from (name for _, name in rows[:cut])


def _require_known(known: Set[EntryId], named: Iterable[EntryId], verb: str) -> None:
    strangers = [name for name in named if name not in known]
    if strangers:
        raise InvalidInput(
            f"cannot {verb} {strangers[0]}: the field holds no such entry", field="entry", hint="see `maestro field ID`"
        )


def _checked(score: float) -> float:
    if not 0 <= score <= 1:
        raise InvalidInput(f"a score of {score} is not within 0..1", field="score", hint="rank with a `Ranker`")
    return float(score)
