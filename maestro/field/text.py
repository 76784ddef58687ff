"""Text as the `local` engine reads it: words, clauses, stems, acronyms.

Invariants: pure functions of the text, the same in every process (nothing depends on `hash()`); no corpus is consulted,
so that a score never moves because other documents came or went.
What is not here: how much a word says (`lexicon`), grammar, translation, a full Porter stemmer. Stems only have to
agree with each other.
"""

import re
from functools import lru_cache

from maestro.field import vocabulary

_WORD = re.compile(r"[^\W_]+")
_CLAUSE = re.compile(r"[.,;:!?()\[\]\"\n]+|\band\b|\bor\b|\bsuch as\b", re.IGNORECASE)

STOPWORDS = frozenset(vocabulary.STOPWORDS.split())
_SUFFIXES = sorted(vocabulary.SUFFIXES.split(), key=len, reverse=True)
_NEVER_STEMMED = frozenset(vocabulary.NEVER_STEMMED.split())
_MIN_STEM = 4  # shorter stems collide: "rating" would become "rat"


def words(text: str) -> list[str]:
    """The words of `text` in order, in their own case; hyphenated ones come apart."""
    return _WORD.findall(text)


def clauses(text: str) -> list[str]:
    """`text` cut where a phrase cannot go on: punctuation, brackets, 'and', 'or'."""
    return [part for part in _CLAUSE.split(text) if part.strip()]


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """What `word` has in common with its other forms: one suffix off, when at least four letters stay.

    >>> stem("recommender") == stem("recommendation") == stem("recommends")
    True
    >>> stem("general") == stem("generation")
    False
    """
    word = word.lower()
    if word in _NEVER_STEMMED:
        return word
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= _MIN_STEM:
            return word[: -len(suffix)]
    return word


@lru_cache(maxsize=65_536)
def term(word: str) -> str | None:
    """The stem that `word` is found by, or None for a word that says nothing."""
    lowered = word.lower()
    if lowered in STOPWORDS or (len(lowered) == 1 and lowered.isascii()):
        return None
    return stem(lowered)


def acronym(word: str) -> str | None:
    """`word` as an acronym without its plural s ("LLMs" gives "LLM"), or None for an ordinary word."""
    bare = word.removesuffix("s")
    return bare if 2 <= len(bare) <= 6 and bare.isupper() else None
