"""How late timers are at a thousand per second, and one alone on a quiet store.

Lateness is taken where the code of the timer runs, on the wall clock: for us inside `on_timer`, for the bare sorted set
where its loop has claimed what is due.
"""

import asyncio
import time

from pydantic import JsonValue

from benchmarks import bare
from benchmarks.behaviours import Sleeper
from benchmarks.report import Goal, Outcome, Row, Scale, quantile, spread_ms
from benchmarks.stage import eventually, house, seen_by, stage

EACH = 10  # timers of one continuation
PER_SECOND = 1_000
LEAD_S = 6.0  # to set them all before the first is due
APART_MS = 397  # of single timers; no multiple of a server's own beat


async def measure(scale: Scale) -> Outcome:
    count, singles = (2_000, 5) if scale is Scale.QUICK else (10_000, 20)
    raw = await _bare(count)
    ours = await _ours(count // EACH)
    alone = await _alone(singles)
    return Outcome(
        "timers",
        (
            Row(
                "timers at 1,000/s, lateness p99", "ms", quantile(ours, 0.99) * 1e3, quantile(raw, 0.99) * 1e3,
                Goal("<= 5x bare", at_most=5),
            ),
            Row("timers at 1,000/s, lateness p50", "ms", quantile(ours, 0.5) * 1e3, quantile(raw, 0.5) * 1e3),
            Row("one timer on a quiet store, lateness p50", "ms", quantile(alone, 0.5) * 1e3),
        ),
        {"maestro": spread_ms(ours), "bare": spread_ms(raw), "alone": spread_ms(alone), "early": early(ours + alone)},
    )  # fmt: skip


def early(lateness: list[float]) -> int:
    """How many came before their time; promised is none."""
    return sum(seconds < 0 for seconds in lateness)


async def _ours(continuations: int) -> list[float]:
    """Continuation k has its timers k ms after the first's, and then each second: a thousand a second in all."""
    with stage() as server:
        async with house(server.url) as here:
            first_ms = int((time.time() + LEAD_S) * 1_000)
            every_ms = continuations * 1_000 // PER_SECOND
            wishes: list[JsonValue] = [
                {"first_due_ms": first_ms + number * every_ms // continuations, "every_ms": every_ms, "timers": EACH}
                for number in range(continuations)
            ]
            cids = await here.sleepers(Sleeper, wishes)
            assert time.time() * 1_000 < first_ms, "too busy: the first timer was due before the last was set"
            await asyncio.sleep(LEAD_S + EACH * every_ms / 1_000)

            async def all_seen() -> list[float]:
                return [late for one in await here.checkpoints(cids) for late in seen_by(one).seconds]

            seen = await all_seen()
            while len(seen) < continuations * EACH:
                await asyncio.sleep(0.5)
                seen = await all_seen()
            return seen


async def _alone(count: int) -> list[float]:
    with stage() as server:
        async with house(server.url) as here:
            wish: JsonValue = {"first_due_ms": int(time.time() * 1_000) + 700, "every_ms": APART_MS, "timers": count}
            (cid,) = await here.sleepers(Sleeper, [wish])
            await eventually(lambda: here.host.ticks >= 1 + count, f"{count} single timers")
            return [late for one in await here.checkpoints([cid]) for late in seen_by(one).seconds]


async def _bare(count: int) -> list[float]:
    lateness: list[float] = []
    with stage() as server:
        client = await bare.connect(server.url)
        first = time.time() + 1.0
        await asyncio.gather(
            *(client.ask("ZADD", "due", repr(first + number / PER_SECOND), str(number)) for number in range(count))
        )
        while len(lateness) < count:
            now = repr(time.time())
            found = await client.ask("ZRANGEBYSCORE", "due", "-inf", now, "WITHSCORES", "LIMIT", "0", "256")
            if not found:
                ahead = await client.ask("ZRANGE", "due", "0", "0", "WITHSCORES")
                await asyncio.sleep(max(0.0, float(ahead[1]) - time.time()))
                continue
            await client.ask("ZREM", "due", *found[::2])
            claimed = time.time()
            lateness += [claimed - float(due) for due in found[1::2]]
        client.close()
    return lateness
