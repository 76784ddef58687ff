"""Near-duplicates: two texts that say the same in nearly the same words, found by a small sketch of each.

A sketch is a MinHash of the text's word triples: the share of equal slots estimates the share of triples that both
have. Invariants: a pure function of the text, the same in every process; a text too short to tell has no sketch, and is
like no other. What is not here: texts that say the same in other words.

Source: Broder 1997 (min-wise independent permutations); spec/03 section 5 "near-duplicates are merged".
"""

import operator
import random
import zlib
from collections.abc import Sequence

from maestro.field.text import term, words
from maestro.ids import EntryId

SLOTS = 24  # an estimate of 0.9 errs by 0.06: told from unrelated abstracts, which share next to nothing
ALIKE = 0.7  # the second version of an abstract shares about nine triples of ten, another paper of its group one of ten
BAND = 3  # slots; see Met
FEWEST = 8  # triples; below that a common phrase alone would make two texts alike
_PRIME = (1 << 31) - 1
_DICE = random.Random(20)  # noqa: S311 - fixed for ever: sketches are kept
_STEPS = tuple((_DICE.randrange(1, _PRIME), _DICE.randrange(_PRIME)) for _ in range(SLOTS))

Sketch = tuple[int, ...]


def sketch(title: str, body: str) -> Sketch:
    """The sketch of a text; empty where it is too short to tell."""
    stems = [stem for stem in map(term, words(f"{title} {body}")) if stem]
    triples = {zlib.crc32(" ".join(triple).encode()) for triple in zip(stems, stems[1:], stems[2:], strict=False)}
    if len(triples) < FEWEST:
        return ()
    return tuple(min((factor * triple + shift) % _PRIME for triple in triples) for factor, shift in _STEPS)


def alike(one: Sketch, other: Sketch) -> bool:
    """True for near-duplicates."""
    return likeness(one, other) >= ALIKE


class Met:
    """Sketches that were met, and who has them: a look costs the same however many they are.

    Two sketches are compared where a band of slots is the same in both: of two texts that share 0.7 of their triples
    that misses one pair of thirty, of nearer ones next to none.
    """

    def __init__(self) -> None:
        self._bands: dict[tuple[int, Sketch], list[tuple[EntryId, Sketch]]] = {}

    def add(self, name: EntryId, of: Sketch) -> None:
        for place in _bands(of):
            self._bands.setdefault(place, []).append((name, of))

    def like(self, to: Sketch) -> EntryId | None:
        """One whose sketch is like this one."""
        compared: set[EntryId] = set()
        for place in _bands(to):
            for name, other in self._bands.get(place, ()):
                if name not in compared and alike(to, other):
                    return name
                compared.add(name)
        return None


def _bands(of: Sketch) -> list[tuple[int, Sketch]]:
    return [(at, of[at : at + BAND]) for at in range(0, len(of), BAND)]


def likeness(one: Sequence[int], other: Sequence[int]) -> float:
    """About what share of their word triples two texts have in common; 0 where one has no sketch."""
    if not one or len(one) != len(other):
        return 0.0
    shared: int = sum(map(operator.eq, one, other))
    return shared / len(one)
