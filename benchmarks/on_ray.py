"""Through the real tree on Ray: wakes pulled by ContinuationActors, and processes for sleepers."""

import asyncio
import random
from collections.abc import Sequence

from benchmarks import wakes
from benchmarks.behaviours import Sleeper
from benchmarks.ray_tree import Tree, planted, ticked
from benchmarks.report import Goal, Outcome, Row, Scale, spread_ms
from benchmarks.stage import AT_ONCE, checkpoint_of, seen_by
from maestro.ids import ContinuationId
from maestro.runtime.publisher import MeshPublisher

POOLS = ("swarm", "default")


async def measure(scale: Scale) -> Outcome:
    asleep, events = (400, 200) if scale is Scale.QUICK else (wakes.ASLEEP, 2_000)
    chosen = random.Random(9).sample(range(asleep), events)
    raw_wakes = await wakes.bare_wakes(asleep, chosen)
    async with planted() as tree:
        before = tree.processes()
        woken = await _wakes(tree, asleep, chosen)
        processes = tree.processes() - before
    rows = [row for pool in POOLS for row in wakes.rows(f"Ray pool {pool}", asleep, woken[pool], raw_wakes)]
    rows.append(Row(f"processes of Ray for {asleep:,} sleepers", "", processes, None, Goal("none", 0, absolute=True)))
    return Outcome(
        "ray",
        tuple(rows),
        {
            **{f"wake_{pool}": spread_ms(woken[pool]) for pool in POOLS},
            "bare_wake": spread_ms(raw_wakes),
            "processes": before,
        },
    )


async def _wakes(tree: Tree, asleep: int, chosen: Sequence[int]) -> dict[str, list[float]]:
    """How long each woken one waited, by pool: even numbers sleep in one, odd ones in the other."""
    cids: list[ContinuationId] = []
    for first in range(0, asleep, AT_ONCE):
        part = range(first, min(asleep, first + AT_ONCE))
        starts = (tree.start(Sleeper.name, POOLS[n % 2], {"subject": f"wake.s{n}"}) for n in part)
        cids += await asyncio.gather(*starts)
    await ticked(tree, cids, 1)
    publisher = MeshPublisher(tree.at.backend.router, tree.at.backend.partitions)
    await wakes.paced(list(chosen), lambda number: wakes.publish(publisher, number))
    await ticked(tree, [cids[number] for number in chosen], 2)
    waited: dict[str, list[float]] = {pool: [] for pool in POOLS}
    for number in chosen:
        waited[POOLS[number % 2]] += seen_by(await checkpoint_of(tree.at, cids[number])).seconds
    return waited
