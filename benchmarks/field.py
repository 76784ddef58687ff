"""How long reading the top 20 of a field of 1,000 takes, beside a bare sort of the same; and what a score costs.

Once in memory, and once from the store, as ticks read: there with 1, 40 and 1,000 sources, of which the read must not
depend. `main` prints one JSON line of the first.
Run: python -m benchmarks.field [--entries 1000] [--top 20] [--rounds 300]
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable, Sequence

from pydantic import JsonValue

from benchmarks.report import Goal, Outcome, Row, Scale, quantile
from benchmarks.stage import TENANT, stage
from maestro.adapters.redis.backend import open_backend
from maestro.behaviours.counter import Counter
from maestro.continuation.goal import GoalFrame
from maestro.field.decay import HALF_LIFE_MS, rank_key, weight
from maestro.field.entry import Entry, SourceKind, entry_id
from maestro.field.local import relevance
from maestro.field.project import Delta, Field, project, top
from maestro.ids import TimeMs
from maestro.runtime.ports import Asked, Shelve
from tests.stage import Stage

NOW = TimeMs(1_721_001_600_000)
WINDOW_MS = 86_400_000
SOURCES = (1, 40, 1_000)
ABSTRACT_WORDS = 180
WORDS = ("volcano", "tremor", "sensor", "lava", "ash", "gas", "dome", "warning", "signal", "model", "river", "bread")


def entries(count: int, seed: int = 7, *, sources: int = 40, words: int = ABSTRACT_WORDS) -> list[Entry]:
    """`count` entries of all kinds, with titles and bodies of the length that abstracts have, or of so many words."""
    dice = random.Random(seed)
    kinds = list(SourceKind)
    made = []
    for number in range(count):
        at = TimeMs(NOW - dice.randrange(WINDOW_MS))
        made.append(
            Entry(
                id=entry_id("bench", str(number)),
                source=f"source-{number % sources}",
                kind=kinds[number % len(kinds)],
                title=" ".join(dice.choices(WORDS, k=10)),
                body=" ".join(f"{word}{dice.randrange(50)}" for word in dice.choices(WORDS, k=words)),
                created_at_ms=at,
                last_reinforced_at_ms=at,
                reinforcements=dice.randrange(5),
                score=dice.uniform(0.1, 1),
            )
        )
    return made


def bare_top(made: Sequence[Entry], n: int, now_ms: TimeMs) -> list[Entry]:
    """What one would write without the algebra: every weight, a sort, a slice."""

    def weigh(entry: Entry) -> float:
        half_life = HALF_LIFE_MS[entry.kind]
        key = rank_key(entry.score, entry.reinforcements, entry.last_reinforced_at_ms, half_life)
        return weight(key, half_life, now_ms)

    return sorted(made, key=weigh, reverse=True)[:n]


def timed_us(read: Callable[[], object], rounds: int) -> dict[str, JsonValue]:
    """Median and 99th percentile of `rounds` runs, in microseconds."""
    taken = []
    for _ in range(rounds):
        start = time.perf_counter_ns()
        read()
        taken.append((time.perf_counter_ns() - start) / 1_000)
    return {"p50_us": round(statistics.median(taken), 1), "p99_us": round(statistics.quantiles(taken, n=100)[98], 1)}


def compared(count: int, n: int, rounds: int) -> dict[str, JsonValue]:
    """Both reads of one field, and what a score costs."""
    made = entries(count)
    field = project(Field(), Delta(NOW, tuple(made)), {entry.id: entry.score for entry in made})
    assert [it.entry.id for it in top(field, n, NOW)] == [entry.id for entry in bare_top(made, n, NOW)]
    ours = timed_us(lambda: top(field, n, NOW), rounds)
    bare = timed_us(lambda: bare_top(made, n, NOW), rounds)
    goal = GoalFrame(goal="Early warning of volcanic eruptions from seismic tremor and gas sensors.")
    unread = iter(made)
    return {
        "benchmark": "field",
        "entries": count,
        "top": n,
        "sets": len(field.ranks),
        "field": ours,
        "bare_sorted": bare,
        "local_score_new_entry": timed_us(lambda: relevance(goal, next(unread)), min(rounds, count)),
    }


async def measure(scale: Scale) -> Outcome:
    rounds = 50 if scale is Scale.QUICK else 300
    found, limit = compared(1_000, 20, rounds), Goal("<= 1 ms", at_most=1, absolute=True)
    bare = _p50_ms(found["bare_sorted"])
    rows = [Row("field: top 20 of 1,000 entries, p50", "ms", _p50_ms(found["field"]), bare, limit)]
    kept = await _kept(1_000, 20, rounds)
    for sources, took in kept.items():
        what = f"field: top 20 of 1,000 entries of {sources} sources, from the store, p50"
        rows.append(Row(what, "ms", _p50_ms(took), goal=limit))
    return Outcome("field", tuple(rows), {**found, "from_the_store": kept})


async def _kept(count: int, n: int, rounds: int) -> dict[str, JsonValue]:
    """Sources -> how long a tick takes to read the top of its field, on a store that other ticks leave alone."""
    with stage() as server:
        backend = await open_backend(server.url, TENANT)
        there = Stage(backend, Counter)
        await backend.gatherings.open("an embedder")
        try:
            return {
                f"{sources:,}": await _read_us(there, entries(count, sources=sources), n, rounds) for sources in SOURCES
            }
        finally:
            await backend.close()


async def _read_us(there: Stage, made: Sequence[Entry], n: int, rounds: int) -> dict[str, JsonValue]:
    cid = await there.start(Counter)
    await there.settle()
    await there.backend.shelf.ask(cid)
    await there.backend.gatherings.gathered(Asked(cid, 1, ""), "1 1", [_shelved(entry) for entry in made])
    read = await there.backend.shelf.top(cid, n, NOW)
    assert [it.entry.id for it in read] == [entry.id for entry in bare_top(made, n, NOW)]
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        await there.backend.shelf.top(cid, n, NOW)
        taken.append(time.perf_counter() - began)
    return {"p50_us": round(quantile(taken, 0.5) * 1e6, 1), "p99_us": round(quantile(taken, 0.99) * 1e6, 1)}


def _shelved(entry: Entry) -> Shelve:
    half_life = HALF_LIFE_MS[entry.kind]
    key = rank_key(entry.score, entry.reinforcements, entry.last_reinforced_at_ms, half_life)
    return Shelve(half_life, key, entry.id, entry.model_dump_json().encode())


def _p50_ms(spread: JsonValue) -> float:
    assert isinstance(spread, dict)
    return float(str(spread["p50_us"])) / 1_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000)
    parser.add_argument("--top", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=300)
    asked = parser.parse_args()
    print(json.dumps(compared(asked.entries, asked.top, asked.rounds)))


if __name__ == "__main__":
    main()
