"""The `local` engine on a judged collection of another field and time: 1,400 abstracts on aerodynamics.

Of the 225 queries every fourth was used when the engine's constants were chosen; those are left out here.
"""

import pytest

from benchmarks.retrieval import Judged, Ranking, engines, halves, judged
from maestro.field.text import STOPWORDS, words
from tests.judged import Document, cranfield


@pytest.fixture(scope="module")
def figures() -> dict[str, Judged]:
    """What each engine reaches on the queries that nothing was chosen on."""
    documents, queries, gains = cranfield()
    asked = halves(queries, gains)["held out"]
    rankings = {**engines(documents), "term overlap": term_overlap(documents)}
    found = {name: judged(rank, asked, gains) for name, rank in rankings.items()}
    print(f"\nover {len(asked)} queries: {found}")
    return found


def term_overlap(documents: dict[int, Document]) -> Ranking:
    """The plainest of all: how many words both have."""
    has = {name: _words(f"{document.title} {document.body}") for name, document in documents.items()}

    def rank(query: str) -> dict[int, float]:
        asked = _words(query)
        return {name: len(asked & found) for name, found in has.items()}

    return lambda queries: {number: rank(query) for number, query in queries.items()}


def _words(text: str) -> set[str]:
    return {word.lower() for word in words(text)} - STOPWORDS


def test_local_finds_more_than_plain_term_overlap(figures: dict[str, Judged]) -> None:
    assert figures["`local`, shipped lexicon"].ndcg_10 > figures["term overlap"].ndcg_10


@pytest.mark.spec("03.3")
@pytest.mark.shows("7.2")
@pytest.mark.parametrize("rival", ["BM25 alone", "vectors alone"])
def test_local_with_the_words_of_the_collection_is_at_least_as_good_as_each_of_its_halves(
    rival: str, figures: dict[str, Judged]
) -> None:
    assert figures["`local`"].ndcg_10 >= figures[rival].ndcg_10
    assert figures["`local`"].recall_100 >= figures[rival].recall_100
