"""How long the engines of the context kernel take for 1, 32 and 256 entries, in one process, without Serve.

Texts are as long as abstracts, or as headlines. `make bench` measures `local`; `make bench-kernel` all three, and
writes the page's part on them. By hand: python -m benchmarks.kernel --engine vllm --model FOLDER
"""

import argparse
import asyncio
import importlib
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from benchmarks import documents, machine
from benchmarks.field import ABSTRACT_WORDS, entries
from benchmarks.report import Outcome, Row, Scale, shown
from maestro.continuation.goal import GoalFrame
from maestro.field.kernel import Engine, KernelOptions
from maestro.field.ranker import Ranker
from serve_apps.context_kernel import open_engine
from tests.models import minilm

BATCHES = (1, 32, 256)
BODIES = {"headlines": 12, "abstracts": ABSTRACT_WORDS}
"""Words of a body; a title has ten."""
GOAL = GoalFrame(goal="Early warning of volcanic eruptions from seismic tremor and gas sensors.")


async def measure(scale: Scale) -> Outcome:
    rounds = 2 if scale is Scale.QUICK else 5
    took = await timed(open_engine(KernelOptions()), rounds)
    rows = tuple(Row(f"kernel `local`: {size} entries", "ms", ms) for size, ms in took.items())
    return Outcome("kernel", rows, {"engine": "local", "rounds": rounds})


async def timed(engine: Ranker, rounds: int, words: int = ABSTRACT_WORDS) -> dict[int, float]:
    """Batch -> the median of so many, in ms; no text is scored twice."""
    found: dict[int, float] = {}
    await engine.score(GOAL, entries(1, seed=0, words=words))
    for size in BATCHES:
        taken = []
        for turn in range(rounds):
            batch = entries(size, seed=1_000 * size + turn, words=words)
            began = time.perf_counter()
            await engine.score(GOAL, batch)
            taken.append((time.perf_counter() - began) * 1e3)
        found[size] = round(statistics.median(taken), 2)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=("local", "torch", "vllm"), nargs="+", required=True)
    parser.add_argument("--model", type=Path, default=minilm(), help="the folder with the weights")
    parser.add_argument("--gpus", type=float, default=0.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write-docs", action="store_true", help="docs/benchmarks.md tells of it")
    asked = parser.parse_args()
    found = []
    for engine in asked.engine:
        found.append(asyncio.run(_measured(_options(engine, asked.model, asked.gpus), asked.rounds)))
        print(json.dumps(found[-1]), flush=True)
    if asked.write_docs:
        documents.write_engines(_table(found), machine.facts())


def _options(engine: Engine, model: Path | None, gpus: float) -> KernelOptions:
    if engine == "local" or model is None:
        return KernelOptions(engine=engine)
    encoder = importlib.import_module("maestro.adapters.torch.encoder")  # torch, where that is the engine
    return KernelOptions(engine=engine, model=model, revision=encoder.digest_of(model), gpus=gpus)


async def _measured(options: KernelOptions, rounds: int) -> dict[str, JsonValue]:
    began = time.perf_counter()
    engine: Any = open_engine(options)
    opened_s = round(time.perf_counter() - began, 1)
    took: dict[str, JsonValue] = {}
    for length, words in BODIES.items():
        took[length] = {str(size): ms for size, ms in (await timed(engine, rounds, words)).items()}
    if options.engine == "vllm":  # no other has processes of its own
        engine.close()
    model = "" if options.model is None else options.model.name
    return {"engine": options.engine, "model": model, "gpus": options.gpus, "opened_s": opened_s, "batch_ms": took}


def _table(found: Sequence[Mapping[str, JsonValue]]) -> tuple[Sequence[str], list[Sequence[str]]]:
    """Headings and rows, one per engine and length of text."""
    rows: list[Sequence[str]] = []
    for told in found:
        took = told["batch_ms"]
        assert isinstance(took, dict)
        for length, by_size in took.items():
            assert isinstance(by_size, dict)
            figures = [f"{shown(float(str(ms)))} ms" for ms in by_size.values()]
            rows.append([f"`{told['engine']}`", length, f"{told['gpus']}", f"{told['opened_s']} s", *figures])
    return ["engine", "texts", "GPUs", "opened in", *(f"{size} entries" for size in BATCHES)], rows


if __name__ == "__main__":
    main()
