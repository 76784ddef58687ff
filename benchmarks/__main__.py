"""Runs the benchmarks, each in a process of its own, and prints a table of ratios and one JSON line for each."""

import argparse
import asyncio
import importlib
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import uvloop

from benchmarks import documents, machine
from benchmarks.report import Outcome, table

Measure = Callable[[bool, bool], Coroutine[Any, Any, Outcome]]
NAMES = ("ticks", "wake", "timers", "fanout", "sleepers", "policy", "field", "ray")
ROOMS = {name: f"benchmarks.{name}" for name in NAMES} | {"wake": "benchmarks.wakes", "ray": "benchmarks.on_ray"}


def measured(name: str, quick: bool, full: bool) -> Outcome:
    """What the benchmark `name` found, on the event loop that Ray's actors run on."""
    measure: Measure = importlib.import_module(ROOMS[name]).measure
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(measure(quick, full))


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(arguments)
    facts = machine.facts()
    outcomes = []
    for name in asked.only or NAMES:
        begun = time.monotonic()
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
            outcome = alone.submit(measured, name, asked.quick, asked.full).result()
        outcomes.append(outcome)
        print(outcome.line(), flush=True)
        print(f"{name}: {outcome.skipped or 'done'} in {time.monotonic() - begun:.0f} s", file=sys.stderr)
    print(table(outcomes))
    if asked.out:
        asked.out.write_text("".join(f"{outcome.line()}\n" for outcome in outcomes))
    if asked.write_docs:
        documents.write(outcomes, facts)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small and short: shows that all works, figures are rough")
    parser.add_argument("--full", action="store_true", help="100,000 sleepers instead of 10,000")
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--out", type=Path, help="where the JSON lines go too")
    parser.add_argument("--write-docs", action="store_true", help="docs/benchmarks.md tells of this run")
    return parser


if __name__ == "__main__":
    sys.exit(main())
