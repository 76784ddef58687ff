"""Durable ticks per second in a closed loop, and one continuation alone.

A tick of ours begins with a message in the mailbox: deliver, adopt with the previous commit, run, fold, commit. A bare
tick is a load and a fenced commit of the same state. Each loop has one thing under way at a time.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from benchmarks import bare
from benchmarks.behaviours import Sleeper
from benchmarks.report import Goal, Outcome, Row, Scale, quantile, spread_ms
from benchmarks.stage import House, house, stage
from maestro.ids import ContinuationId

SEVERAL = 64


@dataclass(slots=True)
class ClosedLoop:
    """As soon as a tick is committed its continuation gets the next message."""

    house: House
    count: int = 0
    posted: dict[ContinuationId, float] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    posts: set[asyncio.Task[None]] = field(default_factory=set)

    def post(self, cid: ContinuationId) -> None:
        self.count += 1
        self.posted[cid] = time.perf_counter()
        task = asyncio.create_task(self.house.post(cid, self.count))
        self.posts.add(task)
        task.add_done_callback(self.posts.discard)

    def heard(self, cid: ContinuationId) -> None:
        """A commit: one more is timed, the next is under way."""
        if cid in self.posted:
            self.seconds.append(time.perf_counter() - self.posted[cid])
            self.post(cid)

    async def run(self, cids: list[ContinuationId], for_s: float) -> float:
        """Ticks per second; the time from message to commit of each is in `seconds`."""
        self.house.hear = self.heard
        begun = time.perf_counter()
        for cid in cids:
            self.post(cid)
        await asyncio.sleep(for_s)
        rate = len(self.seconds) / (time.perf_counter() - begun)
        self.house.hear = lambda cid: None
        await asyncio.gather(*self.posts)
        return rate


async def measure(scale: Scale) -> Outcome:
    for_s = 1.5 if scale is Scale.QUICK else 5.0
    bare_alone, bare_commit = await _bare(1, for_s), await _bare_commits(for_s)
    bare_several = await _bare(SEVERAL, for_s)
    several, _ = await _ours(SEVERAL, SEVERAL, for_s)
    one_slot, _ = await _ours(SEVERAL, 1, for_s)
    _, alone = await _ours(1, 1, for_s)
    goal = Goal(">= 0.4x bare", at_least=0.4)
    p50_ms, bare_p50_ms = quantile(alone, 0.5) * 1e3, quantile(bare_commit, 0.5) * 1e3
    return Outcome(
        "ticks",
        (
            Row("durable ticks, 64 continuations, slots 64", "/s", several, len(bare_several) / for_s, goal),
            Row("durable ticks, 64 continuations, slots 1", "/s", one_slot, len(bare_several) / for_s, goal),
            Row(
                "one alone, message -> committed, p50", "ms", p50_ms, bare_p50_ms,
                Goal("<= 3x a bare commit", at_most=3),
            ),
        ),
        {
            "alone": spread_ms(alone),
            "bare_commit": spread_ms(bare_commit),
            "bare_load_and_commit": spread_ms(bare_alone),
            "bare_64": spread_ms(bare_several),
        },
    )  # fmt: skip


async def _ours(continuations: int, slots: int, for_s: float) -> tuple[float, list[float]]:
    with stage() as server:
        async with house(server.url, slots) as here:
            loop = ClosedLoop(here)
            rate = await loop.run(await here.sleepers(Sleeper, [None] * continuations), for_s)
            return rate, loop.seconds


async def _bare(loops: int, for_s: float) -> list[float]:
    with stage() as server:
        client = await bare.connect(server.url)
        await bare.rows(client, loops)
        seconds = await _timed(loops, for_s, lambda number: bare.tick(client, number))
        client.close()
    return seconds


async def _bare_commits(for_s: float) -> list[float]:
    with stage() as server:
        client = await bare.connect(server.url)
        await bare.rows(client, 1)
        body = bare.state(1)
        seconds = await _timed(1, for_s, lambda number: bare.commit(client, number, body))
        client.close()
    return seconds


async def _timed(loops: int, for_s: float, act: Callable[[int], Awaitable[None]]) -> list[float]:
    """How long each act took, in so many loops side by side."""
    seconds: list[float] = []
    end = time.perf_counter() + for_s

    async def loop(number: int) -> None:
        while (begun := time.perf_counter()) < end:
            await act(number)
            seconds.append(time.perf_counter() - begun)

    await asyncio.gather(*(loop(number) for number in range(loops)))
    return seconds
