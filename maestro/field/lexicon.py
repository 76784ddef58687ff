"""How much each word narrows a topic down: the shipped lexicon, and one counted in a collection.

A field ranks with the shipped one: it is fixed, so that a score never moves because other documents came or went, and
`RELEVANT` means the same everywhere. Whoever searches a collection as a whole counts its own once and ranks all of it
with that: there a word that is in every document says nothing, whatever it says elsewhere.

Invariants: a lexicon never changes; its name tells which one it is (of a counted one, the hash of its counts), and two
of the same name weigh alike. A word that it has never seen weighs 1, the most.

Source: Robertson and Sparck Jones (inverse document frequency); docs/decisions/0021-a-lexicon-is-part-of-the-engine.md.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import orjson

from maestro.field import vocabulary
from maestro.field.ranker import Rankable
from maestro.field.text import stem, term, words

USUAL_TERMS = 100.0  # telling words of an abstract; stands in for the mean of a collection that nobody counted
LEAST = 0.04  # the weight of a word that is everywhere: never 0, two such words are more than one
_COMMON_PAIRS = frozenset(tuple(map(stem, pair.split())) for pair in vocabulary.COMMON_PAIRS.split(","))
_COMMON_PAIR_WEIGHT = 0.09  # as much as one more common word


@dataclass(frozen=True, slots=True, eq=False)
class Lexicon:
    """Stem -> weight, LEAST to 1, and how long its texts usually are."""

    name: str
    weights: Mapping[str, float]
    usual_terms: float = USUAL_TERMS

    def weight(self, stemmed: str) -> float:
        return self.weights.get(stemmed, 1.0)

    def phrase_weight(self, stems: Sequence[str]) -> float:
        """How much a run of stems narrows down: their number times their geometric mean; a common one dampens all."""
        if all(pair in _COMMON_PAIRS for pair in pairwise(stems)):
            return _COMMON_PAIR_WEIGHT
        return len(stems) * math.prod(map(self.weight, stems)) ** (1 / len(stems))


def counted(documents: Iterable[Rankable]) -> Lexicon:
    """The lexicon of a collection: inverse document frequency, as a share of that of a word seen once.

    >>> counted([]).weight("volcan")
    1.0
    """
    frequency: Counter[str] = Counter()
    number = terms = 0
    for document in documents:
        found = [name for text in (document.title, document.body) for name in map(term, words(text)) if name]
        frequency.update(set(found))
        number += 1
        terms += len(found)
    most = _idf(number, 1)
    weights = {name: max(LEAST, _idf(number, count) / most) for name, count in frequency.items()}
    written = orjson.dumps([number, terms, sorted(frequency.items())])
    return Lexicon(f"counted-{hashlib.sha256(written).hexdigest()[:12]}", weights, max(1.0, terms / max(1, number)))


def _idf(documents: int, count: int) -> float:
    return math.log(1 + (documents - count + 0.5) / (count + 0.5)) if documents else 1.0


SHIPPED = Lexicon(
    "shipped-1",
    {
        stem(word): worth
        for worth, table in (  # a stem in two tables gets the lower weight
            (0.4, vocabulary.HALF_TELLING),
            (0.2, vocabulary.SOME_TELLING),
            (0.09, vocabulary.LITTLE_TELLING),
            (0.04, vocabulary.HARDLY_TELLING),
        )
        for word in table.split()
    },
)
"""Written from what abstracts of any field have in common: a fixed stand-in for inverse document frequency."""
