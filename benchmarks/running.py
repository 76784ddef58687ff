"""Running one benchmark by its name, in a process of its own: no heap, loop or Ray of another is in its figures."""

import asyncio
import importlib
from collections.abc import Callable, Coroutine
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import uvloop

from benchmarks.report import Outcome, Scale

ROOMS = {
    "ticks": "benchmarks.ticks",
    "wake": "benchmarks.wakes",
    "timers": "benchmarks.timers",
    "fanout": "benchmarks.fanout",
    "sleepers": "benchmarks.sleepers",
    "policy": "benchmarks.policy",
    "calls": "benchmarks.calls",
    "waiting": "benchmarks.waiting",
    "field": "benchmarks.field",
    "arrivals": "benchmarks.arrivals",
    "retrieval": "benchmarks.retrieval",
    "kernel": "benchmarks.kernel",
    "ray": "benchmarks.on_ray",
    "footprint": "benchmarks.footprint",
    "recovery": "benchmarks.recovery",
}


def run(name: str, scale: Scale) -> Outcome:
    """What the benchmark `name` found; one that failed says how."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
        try:
            return alone.submit(_measured, name, scale).result()
        except Exception as error:  # noqa: BLE001 - whatever failed, the other benchmarks go on, and the exit code tells
            return Outcome(name, failed=f"{type(error).__name__}: {error}")


def _measured(name: str, scale: Scale) -> Outcome:
    """On the kind of event loop that Ray's actors have."""
    measure: Callable[[Scale], Coroutine[Any, Any, Outcome]] = importlib.import_module(ROOMS[name]).measure
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(measure(scale))
