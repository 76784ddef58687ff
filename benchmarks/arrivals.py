"""How long from a published event until it stands in the top of the field of who asked for it, among a thousand.

Publish -> route -> queue -> projector scores and shelves -> the top 20 has it. Bare: the engine's score alone. All in
one process, on a store that syncs each write.
"""

import asyncio
import time
from collections.abc import Sequence

from benchmarks.report import Goal, Outcome, Row, Scale, quantile, spread_ms
from benchmarks.stage import TENANT, stage
from maestro.adapters.redis.backend import open_backend
from maestro.behaviours.counter import Counter
from maestro.continuation.goal import GoalFrame
from maestro.field.local import relevance
from maestro.ids import ContinuationId, TimeMs
from maestro.runtime.loops import keep
from tests.judged import Document
from tests.stage import Stage

READERS = 1_000
TOP = 20
GOAL = "Warn of volcanic eruptions by seismic tremor"
BODY = "Tremor rises for hours before the lava comes, and cheap sensors hear it. " * 12


async def measure(scale: Scale) -> Outcome:
    readers, events = (100, 50) if scale is Scale.QUICK else (READERS, 400)
    one = await _arrivals(readers, events)
    scores = [_score_s(number) for number in range(events)]
    limit = Goal("<= 1 s", at_most=1_000, absolute=True)
    rows = (
        Row(
            f"event -> top of the one field of {readers:,} that asked, p99", "ms",
            quantile(one, 0.99) * 1e3, quantile(scores, 0.99) * 1e3, limit,
        ),
    )  # fmt: skip
    return Outcome("arrivals", rows, {"maestro": spread_ms(one), "bare": spread_ms(scores)})


def _score_s(number: int) -> float:
    began = time.perf_counter()
    relevance(GoalFrame(goal=GOAL), Document(f"Seismic tremor {number}", f"{number} {BODY}"))
    return time.perf_counter() - began


async def _arrivals(readers: int, events: int) -> list[float]:
    with stage() as server:
        backend = await open_backend(server.url, TENANT)
        there = Stage(backend, Counter)
        cids = [
            await there.start(Counter, goal=GOAL, input={"subscribe": f"news.{number}", "relevance": 1.0})
            for number in range(readers)
        ]
        await there.settle()
        loop = asyncio.create_task(keep("projector", there.projector.step, there.projector.wait))
        try:
            one = [await _arrived(there, cids, number, f"news.{number % readers}") for number in range(events)]
        finally:
            loop.cancel()
            await asyncio.gather(loop, return_exceptions=True)
            await backend.close()
    return one


async def _arrived(there: Stage, cids: Sequence[ContinuationId], number: int, subject: str) -> float:
    """Seconds until the event stands in the field of who asked for it."""
    cid, title = cids[number % len(cids)], f"Seismic tremor {number}"
    began = time.perf_counter()
    await there.publish(subject, str(number), {"title": title, "abstract": f"{number} {BODY}"})
    while True:
        top = await there.backend.shelf.top(cid, TOP, await _now(there))
        if title in [it.entry.title for it in top]:
            return time.perf_counter() - began
        await asyncio.sleep(0.001)


async def _now(there: Stage) -> TimeMs:
    return await there.backend.clock.now_ms()
