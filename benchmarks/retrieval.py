"""How well the engines rank a judged collection: Cranfield, 1,400 abstracts and 225 queries, beside BM25 and vectors.

`local` is measured twice: with the lexicon counted in the collection, as whoever searches one ranks, and with the
shipped one, as a field ranks, which has no collection. No constant was chosen here: those of the engine were, on other
goals and on every fourth query; so the figures of the other three of four stand apart.
`torch` runs where torch and MiniLM's weights are (`tests.models`). Run: make bench-field
"""

import importlib
import importlib.util
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from benchmarks.report import Goal, Outcome, Row, Scale
from maestro.continuation.goal import GoalFrame
from maestro.field.lexicon import SHIPPED, Lexicon, counted
from maestro.field.local import relevance, vector
from maestro.field.text import term, words
from tests.judged import Document, cranfield, ndcg, recall
from tests.models import minilm

TUNED_ON = 4  # queries 1, 5, 9, ... were seen when the constants of `local` were chosen
DEPTH = 100
K1, B = 1.2, 0.75  # BM25 as textbooks have it

Queries = Mapping[int, str]
Ranking = Callable[[Queries], Mapping[int, Mapping[int, float]]]
"""Queries -> for each, the score of each document."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What one engine reached over some queries."""

    ndcg_10: float
    recall_100: float


def bm25(documents: Mapping[int, Document]) -> Ranking:
    """Plain BM25 over stems, with the inverse document frequency of the collection."""
    counts = {name: Counter(_terms(f"{document.title} {document.body}")) for name, document in documents.items()}
    frequency = Counter(stem for found in counts.values() for stem in found)
    lengths = {name: found.total() for name, found in counts.items()}
    usual = sum(lengths.values()) / len(lengths)
    idf = {stem: math.log(1 + (len(counts) - number + 0.5) / (number + 0.5)) for stem, number in frequency.items()}

    def rank(query: str) -> dict[int, float]:
        asked = set(_terms(query))
        floors = {name: K1 * (1 - B + B * length / usual) for name, length in lengths.items()}
        return {
            name: sum(
                idf[stem] * found[stem] * (K1 + 1) / (found[stem] + floors[name]) for stem in asked if stem in found
            )
            for name, found in counts.items()
        }

    return lambda queries: {number: rank(query) for number, query in queries.items()}


def vectors(documents: Mapping[int, Document], lexicon: Lexicon) -> Ranking:
    """The cosine of `local`'s own vectors, and nothing else."""
    made = {name: vector(f"{document.title} {document.body}", lexicon) for name, document in documents.items()}

    def rank(query: str) -> dict[int, float]:
        asked = vector(query, lexicon)
        return {
            name: sum(share * found.get(bucket, 0.0) for bucket, share in asked.items()) for name, found in made.items()
        }

    return lambda queries: {number: rank(query) for number, query in queries.items()}


def local(documents: Mapping[int, Document], lexicon: Lexicon) -> Ranking:
    """The engine `local`, whole; each document is read once for all queries."""

    def rank(queries: Queries) -> dict[int, dict[int, float]]:
        goals = {number: GoalFrame(goal=query) for number, query in queries.items()}
        scores: dict[int, dict[int, float]] = {number: {} for number in queries}
        for name, document in documents.items():
            for number, goal in goals.items():
                scores[number][name] = relevance(goal, document, lexicon)
        return scores

    return rank


def judged(rank: Ranking, queries: Queries, gains: Mapping[int, Mapping[int, int]]) -> Judged:
    """Mean nDCG@10 and recall@100 over `queries`."""
    found: list[tuple[float, float]] = []
    for number, scores in rank(queries).items():
        ranked = sorted(scores, key=lambda name: (-scores[name], name))
        found.append((ndcg(ranked, gains[number]), recall(ranked, gains[number], DEPTH)))
    return Judged(*(sum(column) / len(found) for column in zip(*found, strict=True)))


def engines(documents: Mapping[int, Document]) -> dict[str, Ranking]:
    """Name -> engine, those that can run here."""
    lexicon = counted(documents.values())
    folder = None if TORCH in absent() else minilm()
    return {
        "BM25 alone": bm25(documents),
        "vectors alone": vectors(documents, lexicon),
        "`local`": local(documents, lexicon),
        "`local`, shipped lexicon": local(documents, SHIPPED),
        **({} if folder is None else {TORCH: encoder(documents, folder)}),
    }


def halves(queries: Queries, gains: Mapping[int, Mapping[int, int]]) -> dict[str, dict[int, str]]:
    """The queries that the constants were chosen on, and those that nothing was chosen on."""
    answered = {number: text for number, text in queries.items() if gains.get(number)}
    tuned = {number: text for number, text in answered.items() if number % TUNED_ON == 1}
    return {"held out": {n: text for n, text in answered.items() if n not in tuned}, "seen": tuned}


TORCH, CROSS = "`torch`, MiniLM bi-encoder", "`torch`, cross-encoder"


def encoder(documents: Mapping[int, Document], folder: Path) -> Ranking:
    """The cosine of a sentence encoder's embeddings, of which the engine `torch` makes its scores."""
    made = importlib.import_module("maestro.adapters.torch.encoder").Encoder(folder)
    rows = {name: made.embedded(f"{document.title}. {document.body}") for name, document in documents.items()}

    def rank(query: str) -> dict[int, float]:
        asked = made.embedded(query)
        return {name: float(asked @ row) for name, row in rows.items()}

    return lambda queries: {number: rank(query) for number, query in queries.items()}


def absent() -> dict[str, str]:
    """The engines that cannot run here, each with what it lacks."""
    lacking = [need for need in ("torch", "transformers") if importlib.util.find_spec(need) is None]
    here = f"not here: {', '.join(lacking)} cannot be imported" if lacking else "not here: no weights of one"
    return {CROSS: here} if not lacking and minilm() else {TORCH: here, CROSS: here}


async def measure(_: Scale) -> Outcome:
    documents, queries, gains = cranfield()
    parts = halves(queries, gains)
    found = {
        name: {part: judged(rank, asked, gains) for part, asked in parts.items()}
        for name, rank in engines(documents).items()
    }
    rivals = ("BM25 alone", "vectors alone")
    rows = [
        Row(f"Cranfield, {measured}: `local` beside {rival}", "", ours, theirs, Goal(f">= {rival}", at_least=1.0))
        for rival in rivals
        for measured, ours, theirs in (
            ("nDCG@10", found["`local`"]["held out"].ndcg_10, found[rival]["held out"].ndcg_10),
            ("recall@100", found["`local`"]["held out"].recall_100, found[rival]["held out"].recall_100),
        )
    ]
    return Outcome("retrieval", tuple(rows), _detail(found, {part: len(asked) for part, asked in parts.items()}))


def _detail(found: Mapping[str, Mapping[str, Judged]], asked: Mapping[str, int]) -> dict[str, JsonValue]:
    figures: dict[str, JsonValue] = {
        name: {
            part: {"ndcg_10": round(reached.ndcg_10, 4), "recall_100": round(reached.recall_100, 4)}
            for part, reached in parts.items()
        }
        for name, parts in found.items()
    }
    return {"queries": dict(asked), "engines": figures, "absent": dict(absent())}


def table(detail: Mapping[str, JsonValue]) -> tuple[Sequence[str], list[Sequence[str]]]:
    """Headings and rows, one per engine, as the page shows them."""
    asked, figures, missing = (detail[name] for name in ("queries", "engines", "absent"))
    assert isinstance(asked, dict)
    assert isinstance(figures, dict)
    assert isinstance(missing, dict)
    headings = ["engine", *(f"{measured}, {n} {part}" for part, n in asked.items() for measured in MEASURED.values())]
    rows: list[Sequence[str]] = [
        [name, *(f"{_figure(parts, part, key):.3f}" for part in asked for key in MEASURED)]
        for name, parts in figures.items()
    ]
    blank = ["-"] * (len(headings) - 2)
    return headings, rows + [[name, str(why), *blank] for name, why in missing.items()]


MEASURED = {"ndcg_10": "nDCG@10", "recall_100": "recall@100"}


def _figure(parts: JsonValue, part: str, key: str) -> float:
    assert isinstance(parts, dict)
    reached = parts[part]
    assert isinstance(reached, dict)
    return float(str(reached[key]))


def _terms(text: str) -> list[str]:
    return [stem for stem in map(term, words(text)) if stem]
