"""How long from a published event until the woken behaviour runs, with thousands asleep.

Ours: publish -> route to the one who subscribed -> ready -> signal -> adopt -> behaviour. Bare: a stream, a reader that
takes the row. Publisher and reader share one process in both.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from benchmarks import bare
from benchmarks.behaviours import Sleeper
from benchmarks.report import Goal, Outcome, Row, Scale, quantile, spread_ms
from benchmarks.stage import House, eventually, house, seen_by, stage
from maestro.ids import DEFAULT_TENANT, TimeMs
from maestro.mesh.event import new_event
from maestro.runtime.publisher import MeshPublisher

ASLEEP = 10_000
PER_SECOND = 200


async def measure(scale: Scale) -> Outcome:
    asleep, wakes = (1_000, 400) if scale is Scale.QUICK else (ASLEEP, 2_000)
    chosen = random.Random(9).sample(range(asleep), wakes)
    raw = await bare_wakes(asleep, chosen)
    ours = await _ours(asleep, chosen)
    return Outcome("wake", rows("one process", asleep, ours, raw), {"maestro": spread_ms(ours), "bare": spread_ms(raw)})


def rows(where: str, asleep: int, ours: list[float], raw: list[float]) -> tuple[Row, ...]:
    """p50 and p99 beside the bare stream."""
    return tuple(
        Row(
            f"event -> behaviour runs, {asleep:,} asleep, {where}, p{percent}", "ms",
            quantile(ours, percent / 100) * 1e3, quantile(raw, percent / 100) * 1e3,
            Goal(f"<= {limit}x bare", at_most=limit),
        )
        for percent, limit in ((50, 2), (99, 3))
    )  # fmt: skip


async def paced(chosen: list[int], act: Callable[[int], Awaitable[object]]) -> None:
    """Each act begins in its turn of PER_SECOND, whether the earlier ones are done or not."""
    begun = time.monotonic()
    acts: list[asyncio.Task[object]] = []
    for turn, number in enumerate(chosen):
        await asyncio.sleep(max(0.0, begun + turn / PER_SECOND - time.monotonic()))
        acts.append(asyncio.ensure_future(act(number)))
    await asyncio.gather(*acts)


async def publish(publisher: MeshPublisher, number: int) -> None:
    """The event of one sleeper, with the time in it."""
    subject = f"wake.s{number}"
    event = new_event(
        subject, "bench", "bench", subject, {"sent": time.monotonic()}, TimeMs(int(time.time() * 1_000)), DEFAULT_TENANT
    )
    await publisher.publish(event)


async def _ours(asleep: int, chosen: list[int]) -> list[float]:
    with stage() as server:
        async with house(server.url) as here:
            cids = await here.sleepers(Sleeper, [{"subject": f"wake.s{number}"} for number in range(asleep)])
            before = here.host.ticks
            publisher = MeshPublisher(here.at.backend.router, here.at.backend.partitions)
            await paced(chosen, lambda number: publish(publisher, number))
            await eventually(lambda: here.host.ticks - before >= len(chosen), f"{len(chosen)} wakes")
            return await waited(here, [cids[number] for number in chosen])


async def waited(here: House, cids: list[str]) -> list[float]:
    """What the woken noted."""
    return [seconds for one in await here.checkpoints(cids) for seconds in seen_by(one).seconds]  # type: ignore[arg-type]


async def bare_wakes(asleep: int, chosen: list[int]) -> list[float]:
    seconds: list[float] = []
    with stage() as server:
        client, reader = await bare.connect(server.url), await bare.connect(server.url)
        await bare.rows(client, asleep)

        async def run(number: int, sent: float) -> None:
            epoch, body = await bare.take(client, number)
            seconds.append(time.monotonic() - sent)
            await bare.commit(client, number, body, epoch)

        async def read() -> None:
            last: bytes = b"0"
            runs: list[asyncio.Task[None]] = []
            while len(runs) < len(chosen):
                for _, items in await reader.ask("XREAD", "BLOCK", "1000", "STREAMS", "events", last) or ():
                    last = items[-1][0]
                    runs += [asyncio.create_task(run(int(number), float(sent))) for _, (_, number, _, sent) in items]
            await asyncio.gather(*runs)

        reading = asyncio.create_task(read())
        await paced(
            chosen, lambda number: client.ask("XADD", "events", "*", "c", str(number), "t", repr(time.monotonic()))
        )
        await reading
        client.close()
        reader.close()
    return seconds
