"""The `local` engine on a judged collection of another field and time: 1,400 abstracts on aerodynamics.

Every fourth query, from the second on: the first, fifth, ... were used when the engine's constants were chosen.
"""

from maestro.continuation.goal import GoalFrame
from maestro.field.local import relevance
from maestro.field.text import STOPWORDS, words
from tests.judged import Document, cranfield, ndcg

EVERY = 4
QUERIES = 15  # as many as keep this under ten seconds on one core; `python -m benchmarks.field --cranfield` takes all


def overlap(query: str, document: Document) -> float:
    """The plain baseline: how many of the query's words the document has."""
    asked = {word.lower() for word in words(query)} - STOPWORDS
    return len(asked & {word.lower() for word in words(f"{document.title} {document.body}")})


def test_local_finds_more_than_plain_term_overlap() -> None:
    documents, queries, gains = cranfield()
    chosen = [number for number in queries if number % EVERY == 2 and gains[number]][:QUERIES]
    ours, plain = 0.0, 0.0
    for number in chosen:
        goal = GoalFrame(goal=queries[number])
        by_local = {name: relevance(goal, document) for name, document in documents.items()}
        by_overlap = {name: overlap(queries[number], document) for name, document in documents.items()}
        ours += ndcg(sorted(documents, key=lambda name: (-by_local[name], name)), gains[number])
        plain += ndcg(sorted(documents, key=lambda name: (-by_overlap[name], name)), gains[number])
    print(
        f"\nnDCG@10 over {len(chosen)} queries: local {ours / len(chosen):.3f}, term overlap {plain / len(chosen):.3f}"
    )
    assert ours >= plain
