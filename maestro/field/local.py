"""The engine `local`: relevance from words alone, with no model.

A score is lexical evidence (BM25's saturation over stems, the title before the body, phrases and their acronyms on
top) plus a cosine of hashed character n-grams that forgives word forms, bent into 0..1 by 1 - exp(-x).

Invariants: the score of a pair depends on that pair and the engine's lexicon only; it is the same in every process
(crc32, never `hash()`).
What is not here: meaning. "Cardiac" and "heart" are strangers to this engine; the model engines know better.

Source: Robertson and Zaragoza 2009 (BM25); Weinberger et al. 2009 (feature hashing). The constants were chosen on three
judged goals and a quarter of the Cranfield queries; tests/integration measure on others too.
"""

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TypeVar

from maestro.continuation.goal import GoalFrame
from maestro.field.lexicon import SHIPPED, Lexicon
from maestro.field.ranker import Rankable
from maestro.field.text import acronym, clauses, term, words

K1 = 1.5  # BM25: how soon one more occurrence says nothing new
B = 0.6  # BM25: how much length is held against a text
SHORT = 0.5  # a text shorter than half of what is usual gets no more credit for being short
TITLE = 3.0  # a word in a title says as much as three in the body
PHRASE = 0.7  # two words of the goal side by side, on top of the words themselves
ACRONYM = 0.8  # the acronym of a phrase is nearly the phrase
NGRAMS = 1.5  # the n-gram cosine: tells word forms apart from strangers, never outweighs a phrase
SOFTNESS = 1.8  # evidence at which the score reaches 1 - 1/e; sets what `RELEVANT` means: 0.78 of evidence

GOAL_WEIGHT, KEYWORD_WEIGHT, QUESTION_WEIGHT, CONSTRAINT_WEIGHT = 1.0, 1.5, 0.7, 0.5
MAX_CHARS = 20_000  # of a body that are read: beyond a long page, more text does not change what it is about
DIMS = 8_192
_GRAM = 4
_LONGEST_ACRONYM = 4

Phrase = tuple[str, str]
Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class _Goal:
    """A goal as the engine looks for it: what, and how much each find is worth."""

    terms: Mapping[str, float]
    phrases: Mapping[Phrase, float]
    acronyms: Mapping[str, float]
    grams: Mapping[int, float]
    demand: float
    """Square root of the summed weights: a goal twice as long offers twice the words to hit by chance."""


@dataclass(frozen=True, slots=True)
class _Document:
    """An entry as the engine reads it."""

    counts: Mapping[str, float]
    phrases: frozenset[Phrase]
    acronyms: frozenset[str]
    grams: Mapping[int, float]
    length: int


@dataclass(frozen=True, slots=True)
class LocalRanker:
    """A ranker that always answers, in well under a millisecond per entry."""

    lexicon: Lexicon = SHIPPED

    async def score(self, goal: GoalFrame, entries: Sequence[Rankable]) -> list[float]:
        return [relevance(goal, entry, self.lexicon) for entry in entries]


def relevance(goal: GoalFrame, entry: Rankable, lexicon: Lexicon = SHIPPED) -> float:
    """How well `entry` serves `goal`, 0 (nothing in common) to below 1."""
    wanted = _read_goal(goal, lexicon)
    if not wanted.terms:
        return 0.0
    found = _read_document(entry.title, entry.body[:MAX_CHARS], lexicon)
    lexical = _lexical(wanted, found, lexicon.usual_terms)
    evidence = lexical / wanted.demand + NGRAMS * _cosine(wanted.grams, found.grams)
    return 1.0 - math.exp(-evidence / SOFTNESS)


def vector(text: str, lexicon: Lexicon = SHIPPED) -> dict[int, float]:
    """`text` as this engine embeds it: bucket (below DIMS) -> share, L2-normalised; empty when it says nothing."""
    counts: dict[str, float] = {}
    for name in map(term, words(text[:MAX_CHARS])):
        if name:
            counts[name] = counts.get(name, 0.0) + 1.0
    return _grams(counts, lexicon)


def _lexical(wanted: _Goal, found: _Document, usual_terms: float) -> float:
    floor = K1 * (1 - B + B * max(found.length / usual_terms, SHORT))
    evidence = 0.0
    for name, worth in wanted.terms.items():
        count = found.counts.get(name, 0.0)
        evidence += worth * count * (K1 + 1) / (count + floor)
    evidence += PHRASE * sum(worth for phrase, worth in wanted.phrases.items() if phrase in found.phrases)
    return evidence + ACRONYM * sum(worth for name, worth in wanted.acronyms.items() if name in found.acronyms)


@lru_cache(maxsize=1_024)
def _read_goal(goal: GoalFrame, lexicon: Lexicon) -> _Goal:
    terms: dict[str, float] = {}
    phrases: dict[Phrase, float] = {}
    acronyms: dict[str, float] = {}
    for text, share in _parts(goal):
        for clause in clauses(text):
            named = words(clause)
            stems = [term(word) for word in named]
            _keep_best(terms, {name: share * lexicon.weight(name) for name in stems if name})
            _keep_best(phrases, {pair: share * lexicon.phrase_weight(pair) for pair in _pairs(stems)})
            _keep_best(acronyms, {short: share for short in map(acronym, named) if short})
            _keep_best(acronyms, {short: share * worth for short, worth in _initials(named, stems, lexicon).items()})
    demand = math.sqrt(max(1.0, sum(terms.values())))
    return _Goal(terms, phrases, acronyms, _grams(terms, lexicon), demand)


def _parts(goal: GoalFrame) -> list[tuple[str, float]]:
    parts = [(goal.goal, GOAL_WEIGHT)]
    parts += [(text, KEYWORD_WEIGHT) for text in goal.keywords]
    parts += [(text, QUESTION_WEIGHT) for text in goal.questions]
    return parts + [(text, CONSTRAINT_WEIGHT) for text in goal.constraints]


def _keep_best(into: dict[Key, float], more: Mapping[Key, float]) -> None:
    for key, worth in more.items():
        into[key] = max(worth, into.get(key, 0.0))


def _pairs(stems: Sequence[str | None]) -> list[Phrase]:
    return [(a, b) for a, b in pairwise(stems) if a and b]


def _initials(named: Sequence[str], stems: Sequence[str | None], lexicon: Lexicon) -> dict[str, float]:
    """The acronyms that the phrases of one clause could go by, such as RL for "reinforcement learning"."""
    found: dict[str, float] = {}
    for size in range(2, _LONGEST_ACRONYM + 1):
        for start in range(len(named) - size + 1):
            telling = [name for name in stems[start : start + size] if name]
            if len(telling) == size:
                found["".join(word[0] for word in named[start : start + size]).upper()] = lexicon.phrase_weight(telling)
    return found


@lru_cache(maxsize=256)
def _read_document(title: str, body: str, lexicon: Lexicon) -> _Document:
    counts: dict[str, float] = {}
    phrases: set[Phrase] = set()
    acronyms: set[str] = set()
    length = 0
    for text, worth in ((title, TITLE), (body, 1.0)):
        named = words(text)
        stems = [term(word) for word in named]
        for name in stems:
            if name:
                counts[name] = counts.get(name, 0.0) + worth
                length += 1
        phrases.update(_pairs(stems))
        acronyms.update(short for short in map(acronym, named) if short)
    return _Document(counts, frozenset(phrases), frozenset(acronyms), _grams(counts, lexicon), length)


def _grams(counts: Mapping[str, float], lexicon: Lexicon) -> dict[int, float]:
    """Hashed character n-grams of the stems, each stem weighted by what it tells; L2-normalised."""
    vector: dict[int, float] = {}
    for name, count in counts.items():
        buckets = _buckets(name)
        share = lexicon.weight(name) * math.log1p(count) / math.sqrt(len(buckets))
        for bucket in buckets:
            vector[bucket] = vector.get(bucket, 0.0) + share
    norm = math.sqrt(sum(value * value for value in vector.values()))
    return {bucket: value / norm for bucket, value in vector.items()} if norm else {}


@lru_cache(maxsize=65_536)
def _buckets(name: str) -> tuple[int, ...]:
    framed = f"^{name}$"
    return tuple(zlib.crc32(framed[at : at + _GRAM].encode()) % DIMS for at in range(max(1, len(framed) - _GRAM + 1)))


def _cosine(a: Mapping[int, float], b: Mapping[int, float]) -> float:
    return sum(value * b.get(bucket, 0.0) for bucket, value in a.items())
