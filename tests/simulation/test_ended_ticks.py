"""What a tick held is free when the tick has ended: nothing of it waits for the garbage collector.

A checkpoint may have megabytes, and the collector looks at old objects seldom: a process of a pool kept the last
hundred ticks in its memory, and grew by what they had read.
"""

import gc
from collections.abc import Iterator

import pytest

from maestro.budget.vector import Budget
from maestro.continuation.checkpoint import Checkpoint
from maestro.continuation.mail import Mail
from maestro.testing.harness import Harness
from maestro.testing.world import World
from maestro.tick.context import Tick
from maestro.tick.mind import ThinkingMind
from tests.simulation.test_own_verbs import DECIDED, Chief, Scribe, deciding, says

HEAVY = (Checkpoint, Mail, Tick, ThinkingMind)


@pytest.fixture
def uncollected() -> Iterator[list[object]]:
    """What nobody reaches any more, and reference counts alone have not freed; filled by `gc.collect()`."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def heavy(found: list[object]) -> set[str]:
    gc.collect()
    return {type(each).__name__ for each in found if isinstance(each, HEAVY)}


def test_a_tick_that_reads_its_field_and_asks_a_model_leaves_nothing_to_the_collector(
    uncollected: list[object],
) -> None:
    with World(7) as world:
        world.run(world.start("literature", "sparse rewards", Budget(usd="2"), input={"subject": "papers"}))
        assert world.run(world.quiet())
        paper = {"title": "Sparse rewards", "abstract": "Sparse rewards in robots.", "link": "https://example.org/1"}
        world.run(world.publish("papers", "1", dict(paper)))
        assert world.run(world.quiet())
        assert world.provider.bills, "nobody was asked"
        assert heavy(uncollected) == set()


def test_a_tick_whose_model_uses_tools_and_decides_for_it_leaves_nothing_to_the_collector(
    uncollected: list[object],
) -> None:
    with Harness(Chief, Scribe, answer=says) as harness:
        assert deciding(harness) == DECIDED
        assert heavy(uncollected) == set()
