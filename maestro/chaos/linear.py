"""Whether what concurrent callers were told of one claim could have happened in some order (Wing and Gong's search).

The register is a number that only rises: `take` answers with the number after it, one higher than before; `renew` of a
number is granted exactly when that number still stands. A caller who never heard may have taken it at any later
moment, or never. A search remembers every set of operations that it tried: keep the registers small (`client.A_CLAIM`).

Source: Wing and Gong 1993; Lowe 2017 for remembering what was tried.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from maestro.chaos.annals import Deed


@dataclass(frozen=True, slots=True)
class Move:
    """One operation as the search sees it."""

    began: float
    ended: float
    known: bool
    take: bool
    epoch: int
    """The number taken, or the one to be renewed."""
    granted: bool = True


def moves(deeds: Sequence[Deed]) -> list[Move]:
    """The operations of one register, those left out that certainly did not happen."""
    found = []
    for deed in deeds:
        if deed.outcome == "fail" or deed.what not in ("take", "renew"):
            continue
        known = deed.outcome == "ok"
        take = deed.what == "take"
        epoch = deed.told.get("epoch", 0) if take else deed.asked.get("epoch", 0)
        ended = float(deed.ended_ms) if known and deed.ended_ms is not None else inf
        granted = bool(deed.told.get("granted", True))
        found.append(Move(float(deed.began_ms), ended, known, take, int(str(epoch)), granted))
    return found


def is_linearizable(history: Sequence[Move]) -> bool:
    """True when the operations fit into some order in which each takes effect between its begin and its end."""
    ordered = sorted(history, key=lambda move: move.began)
    everybody = frozenset(range(len(ordered)))
    tried: set[tuple[frozenset[int], int]] = set()
    stack: list[tuple[frozenset[int], int]] = [(everybody, 0)]
    while stack:
        left, epoch = stack.pop()
        if not any(ordered[n].known for n in left):
            return True
        if (left, epoch) in tried:
            continue
        tried.add((left, epoch))
        first_end = min(ordered[n].ended for n in left)
        for n in left:
            move = ordered[n]
            if move.began <= first_end and (after := _after(move, epoch)) is not None:
                stack.append((left - {n}, after))
    return False


def _after(move: Move, epoch: int) -> int | None:
    """The number after `move`; None where what its caller was told contradicts the number before."""
    if move.take:
        return epoch + 1 if not move.known or move.epoch == epoch + 1 else None
    if not move.known:
        return epoch
    return epoch if move.granted == (move.epoch == epoch) else None
