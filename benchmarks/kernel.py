"""How long an engine of the context kernel takes for 1, 32 and 256 entries, in a process of its own, without Serve.

`make bench` measures `local`; whoever has another engine: python -m benchmarks.kernel --engine vllm --model FOLDER
"""

import argparse
import asyncio
import json
import statistics
import time
from pathlib import Path

from pydantic import JsonValue

from benchmarks.field import entries
from benchmarks.report import Outcome, Row, Scale
from maestro.continuation.goal import GoalFrame
from maestro.field.kernel import KernelOptions
from maestro.field.ranker import Ranker
from serve_apps.context_kernel import open_engine

BATCHES = (1, 32, 256)
GOAL = GoalFrame(goal="Early warning of volcanic eruptions from seismic tremor and gas sensors.")


async def measure(scale: Scale) -> Outcome:
    rounds = 2 if scale is Scale.QUICK else 5
    took = await timed(open_engine(KernelOptions()), rounds)
    rows = tuple(Row(f"kernel `local`: {size} entries", "ms", ms) for size, ms in took.items())
    return Outcome("kernel", rows, {"engine": "local", "rounds": rounds})


async def timed(engine: Ranker, rounds: int) -> dict[int, float]:
    """Batch -> the median of so many, in ms; no text is scored twice."""
    found: dict[int, float] = {}
    await engine.score(GOAL, entries(1, seed=0))
    for size in BATCHES:
        taken = []
        for turn in range(rounds):
            batch = entries(size, seed=1_000 * size + turn)
            began = time.perf_counter()
            await engine.score(GOAL, batch)
            taken.append((time.perf_counter() - began) * 1e3)
        found[size] = round(statistics.median(taken), 2)
    return found


def main() -> None:
    from maestro.adapters.torch.encoder import digest_of  # noqa: PLC0415 - torch, where that is the engine

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=("torch", "vllm"), required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--gpus", type=float, default=0.0)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    options = KernelOptions(engine=asked.engine, model=asked.model, revision=digest_of(asked.model), gpus=asked.gpus)
    print(json.dumps(asyncio.run(_measured(options, asked.rounds))))


async def _measured(options: KernelOptions, rounds: int) -> dict[str, JsonValue]:
    began = time.perf_counter()
    engine = open_engine(options)
    opened_s = round(time.perf_counter() - began, 1)
    took: dict[str, JsonValue] = {str(size): ms for size, ms in (await timed(engine, rounds)).items()}
    return {"engine": options.engine, "gpus": options.gpus, "opened_s": opened_s, "batch_ms": took}


if __name__ == "__main__":
    main()
