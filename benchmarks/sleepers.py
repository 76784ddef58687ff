"""What a sleeper costs: bytes in Redis, commands per second, processes.

A sleeper of ours has a kilobyte of state after its start and one more tick: checkpoint, control state, ledger, the log
of both ticks and of its birth, its subscription, what its mailbox remembers. A bare one has a row, a journal and a
place in a set.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping

import psutil
from pydantic import JsonValue

from benchmarks import bare
from benchmarks.bare import Bare
from benchmarks.behaviours import Sleeper
from benchmarks.report import Goal, Outcome, Row, Scale
from benchmarks.stage import eventually, house, partition_key, stage
from maestro.ids import ContinuationId

STATE_AND_MORE = 1_000 + 1_200
KINDS = {"c": "checkpoint", "x": "control", "l": "log", "b": "ledger", "m": "mail", "s": "subscription"}


async def measure(scale: Scale) -> Outcome:
    count = 1_000 if scale is Scale.QUICK else 100_000 if scale is Scale.FULL else 10_000
    idle_s = 3.0 if scale is Scale.QUICK else 30.0
    ours, detail = await _ours(count, idle_s)
    raw = await _bare(count)
    none, many = detail["commands_per_s_none"], detail["commands_per_s_many"]
    assert isinstance(none, float)
    assert isinstance(many, float)
    return Outcome(
        "sleepers",
        (
            Row(
                f"store memory per sleeper with 1 KB of state, {count:,} asleep", "B", ours, raw,
                Goal("<= 2,200 B (its state + 1.2 KB)", at_most=STATE_AND_MORE, absolute=True),
            ),
            Row(
                f"Redis commands while all sleep, {count:,} (bare: with none)", "/s", many, none,
                Goal("as with none (<= 1.05x)", at_most=1.05),
            ),
            Row(
                f"processes for {count:,} sleepers", "", float(str(detail["processes"])), None,
                Goal("none", at_most=0, absolute=True),
            ),
        ),
        detail,
    )  # fmt: skip


async def _ours(count: int, idle_s: float) -> tuple[float, dict[str, JsonValue]]:
    with stage() as server:
        teller = await bare.connect(server.url)
        async with house(server.url) as here:
            await asyncio.sleep(1)  # its first look at everything is behind it
            none = await _commands_per_s(teller, idle_s)
            processes, base = _processes(), await memory(teller)
            cids = await here.sleepers(Sleeper, [{"subject": f"wake.s{number}"} for number in range(count)])
            before = here.host.ticks
            for first in range(0, count, 500):
                await asyncio.gather(*(here.post(cid, 1) for cid in cids[first : first + 500]))
            await eventually(lambda: here.host.ticks - before >= count, f"{count} ticks")
            await asyncio.sleep(1)
            each = (await memory(teller) - base) / count
            detail: dict[str, JsonValue] = {
                "processes": _processes() - processes,
                "commands_per_s_none": none,
                "commands_per_s_many": await _commands_per_s(teller, idle_s),
                "bytes_by_key": dict(await _by_kind(teller, cids[0])),
                "bytes_shared": dict(await _shared(teller, count)),
            }
        teller.close()
    return each, detail


async def memory(teller: Bare) -> int:
    """What the server says it uses."""
    return int((await _info(teller, "memory"))["used_memory"])


async def _commands_per_s(teller: Bare, for_s: float) -> float:
    """All commands that the server carried out, those inside scripts too, less our own INFO."""
    before, begun = await _calls(teller), time.perf_counter()
    await asyncio.sleep(for_s)
    return round((await _calls(teller) - before) / (time.perf_counter() - begun), 2)


async def _calls(teller: Bare) -> int:
    stats = await _info(teller, "commandstats")
    return sum(
        int(told.partition("calls=")[2].partition(",")[0]) for name, told in stats.items() if name != "cmdstat_info"
    )


async def _info(teller: Bare, section: str) -> dict[str, str]:
    lines = (await teller.ask("INFO", section)).decode().splitlines()
    return {name: told for name, colon, told in (line.partition(":") for line in lines) if colon}


async def _by_kind(teller: Bare, cid: ContinuationId) -> Mapping[str, int]:
    """What each key of one sleeper takes."""
    keys = await teller.ask("KEYS", f"{partition_key()}:*{cid}*")
    sizes: Counter[str] = Counter()
    for key in keys:
        kind = key.decode().removeprefix(f"{partition_key()}:").partition(":")[0]
        sizes[KINDS.get(kind, kind)] += await teller.ask("MEMORY", "USAGE", key, "SAMPLES", "0")
    return sizes


async def _shared(teller: Bare, count: int) -> Mapping[str, float]:
    """What the keys that all share take for each sleeper."""
    names = ("all", "seen", "feed", "events", "timers")
    sizes = [await teller.ask("MEMORY", "USAGE", f"{partition_key()}:{name}", "SAMPLES", "0") or 0 for name in names]
    return {name: round(size / count, 1) for name, size in zip(names, sizes, strict=True)}


def _processes() -> int:
    """This process and all below it."""
    return 1 + len(psutil.Process().children(recursive=True))


async def _bare(count: int) -> float:
    with stage() as server:
        client = await bare.connect(server.url)
        base = await memory(client)
        for first in range(0, count, 500):
            numbers = range(first, min(count, first + 500))
            await asyncio.gather(*(_bare_sleeper(client, number) for number in numbers))
        each = (await memory(client) - base) / count
        client.close()
    return each


async def _bare_sleeper(client: Bare, number: int) -> None:
    await client.ask("HSET", *bare.row(number))
    await bare.commit(client, number, bare.state(1))
    await client.ask("SADD", f"sub:{number}", str(number))
