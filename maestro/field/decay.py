"""The algebra of fading: ranks that are right at every moment without anybody recomputing them.

The weight of an entry is score x (1 + BETA x log1p(reinforcements)) x 2 ** -(age / half_life). Its log2 is

    log2(score x (1 + BETA x log1p(reinforcements))) + t_last / half_life   -   now / half_life
    `------------------------- rank_key -------------------------------'        same for the whole set

Invariants: among entries of one half-life, order of keys = order of weights, at any time; so one ordered set per
half-life stays in order by itself, what fades is a range from below, and the top of the field is a merge of few tops.

Source: DESIGN section 8 "field"; spec/03 section 5.
"""

import heapq
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from types import MappingProxyType

from maestro.errors import InvalidInput
from maestro.field.entry import SourceKind
from maestro.ids import EntryId, TimeMs

BETA = 0.5  # one reinforcement counts 1.35 times, ten 2.2 times: use lifts an entry, it does not drown the goal
EVICT_FLOOR = 0.02  # a perfect entry is evicted after 5.6 half-lives, one that just earned a wake (0.35) after 4.1

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS

HALF_LIFE_MS: Mapping[SourceKind, int] = MappingProxyType(
    {
        SourceKind.FEED: 14 * _DAY_MS,  # a paper is news for about a fortnight
        SourceKind.EVENT: 2 * _DAY_MS,  # facts of the day: what mattered has become a finding by then
        SourceKind.FINDING: 60 * _DAY_MS,  # paid for and distilled: holds while the work on its goal lasts
        SourceKind.MAIL: 7 * _DAY_MS,  # a week: unread mail is in the digest anyway
        SourceKind.CONVERSATION: 2 * _DAY_MS,  # what was said in passing; what was decided is a finding or a pin
        SourceKind.TOOL: 1 * _DAY_MS,  # can be had again by calling the tool, and is stale soon
        SourceKind.FILE: 30 * _DAY_MS,  # documents change slowly, and a re-read reinforces
        SourceKind.MEMORY: 180 * _DAY_MS,  # was judged worth keeping beyond one task
        SourceKind.ROLLING: 1 * _DAY_MS,  # a value that nobody brought up to date for days says nothing of today
    }
)
"""How long until the same score counts half, by source kind; DESIGN 8: one ordered set per half-life."""

Ranked = tuple[float, EntryId]
"""(rank key or weight, entry), whichever the function says."""


def rank_key(
    score: float, reinforcements: int, last_reinforced_at_ms: TimeMs, half_life_ms: int, beta: float = BETA
) -> float:
    """The place of an entry in the ordered set of its half-life; minus infinity for a score of 0.

    >>> rank_key(0.5, 0, 0, 1000) == rank_key(1.0, 0, -1000, 1000)
    True
    """
    _check_half_life(half_life_ms)
    if score <= 0:
        return -math.inf
    return math.log2(score * (1 + beta * math.log1p(reinforcements))) + last_reinforced_at_ms / half_life_ms


def weight(key: float, half_life_ms: int, now_ms: TimeMs) -> float:
    """What a rank key is worth at `now_ms`: 1 for a perfect, fresh, never reinforced entry.

    >>> weight(rank_key(1.0, 0, 0, 1000), 1000, 2000)
    0.25
    """
    _check_half_life(half_life_ms)
    return _power(key - now_ms / half_life_ms)


def floor_key(half_life_ms: int, now_ms: TimeMs, evict_floor: float = EVICT_FLOOR) -> float:
    """The key below which entries of that half-life have faded out at `now_ms`: one range delete evicts them."""
    _check_half_life(half_life_ms)
    return -math.inf if evict_floor <= 0 else math.log2(evict_floor) + now_ms / half_life_ms


def merge_top(tops: Mapping[int, Iterable[Ranked]], n: int, now_ms: TimeMs) -> list[Ranked]:
    """The `n` heaviest entries of several sets as (weight, entry), heaviest first.

    Equal weights keep the order of `tops`.

    Args:
        tops: half-life -> (rank key, entry) of its set, highest key first; the first `n` of each set are enough.
    """
    merged = heapq.merge(*(_relative(rows, half_life, now_ms) for half_life, rows in tops.items()), key=itemgetter(0))
    return [(_power(-lightness), entry) for lightness, entry in islice(merged, n)]


def half_life_ms(kind: SourceKind, settings: Mapping[SourceKind, int] = HALF_LIFE_MS) -> int:
    """The half-life of entries of that kind: from `settings` where it says, else as shipped."""
    return settings.get(kind, HALF_LIFE_MS[kind])


def half_lives(settings: Mapping[SourceKind, int] = HALF_LIFE_MS) -> Sequence[int]:
    """Each half-life in use once, ascending: one ordered set each."""
    return sorted({half_life_ms(kind, settings) for kind in SourceKind})


def _relative(rows: Iterable[Ranked], half_life_ms: int, now_ms: TimeMs) -> Iterator[Ranked]:
    """Ascending by minus log2 of the weight, the one scale that sets of all half-lives share."""
    aged = now_ms / half_life_ms
    return ((aged - key, entry) for key, entry in rows)


def _power(log2_weight: float) -> float:
    """2 to that power; a date far in the future is just very heavy, never an overflow."""
    return math.exp2(min(log2_weight, 1023.0))


def _check_half_life(half_life_ms: int) -> None:
    if half_life_ms <= 0:
        raise InvalidInput(
            f"a half-life of {half_life_ms} ms is not positive",
            field="half_life_ms",
            hint="give milliseconds, 1 or more",
        )
