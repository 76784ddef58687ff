"""Spawning a thousand children, one durable step each, and joining them.

Ours is a family of 10 x 10 x 10: a tick spawns at most 16, so 111 parents spawn, wait for all of theirs, and end. Each
leaf commits one tick that ends it. Bare: create a row, commit it, note its end at the parent.
"""

import asyncio
import time

from benchmarks import bare
from benchmarks.behaviours import Branch, children_of
from benchmarks.report import Goal, Outcome, Row, Scale, quantile
from benchmarks.stage import checkpoint_of, house, stage

WIDTHS = [10, 10, 10]
AT_ONCE = 64


async def measure(scale: Scale) -> Outcome:
    rounds = 1 if scale is Scale.QUICK else 5
    ours = [await _ours() for _ in range(rounds)]
    raw = [await _bare(children_of(WIDTHS)) for _ in range(rounds)]
    row = Row(
        "spawn 1,000 children, a step each, join", "s", quantile(ours, 0.5), quantile(raw, 0.5),
        Goal("<= 4x bare", at_most=4),
    )  # fmt: skip
    return Outcome("fanout", (row,), {"maestro_s": list(ours), "bare_s": list(raw), "widths": list(WIDTHS)})


async def _ours() -> float:
    with stage() as server:
        async with house(server.url) as here:
            begun, done = time.perf_counter(), asyncio.Event()
            commits: dict[str, int] = {}

            def heard(cid: str) -> None:
                commits[cid] = commits.get(cid, 0) + 1
                if cid == root and commits[cid] == 2:
                    done.set()

            root = ""
            here.hear = heard
            root = await here.start(Branch, list(WIDTHS))
            async with asyncio.timeout(60):
                await done.wait()
            seconds = time.perf_counter() - begun
            ended = await checkpoint_of(here.at, root)
            assert ended.result == WIDTHS[0], ended.result
            return seconds


async def _bare(children: int) -> float:
    with stage() as server:
        client = await bare.connect(server.url)
        begun, room = time.perf_counter(), asyncio.Semaphore(AT_ONCE)

        async def child(number: int) -> None:
            async with room:
                await client.ask("HSET", *bare.row(number))
                await bare.commit(client, number, bare.state(1))
                await client.ask("HSET", "joined", str(number), "ok")

        await asyncio.gather(*(child(number) for number in range(children)))
        seconds = time.perf_counter() - begun
        client.close()
    return seconds
