"""Many continuations in slow model calls, mode `async`, on a real Ray: what they hold while a provider works.

    three in calls: processes, memory   ->   all in calls: processes, memory   ->   answered, each once

The provider is a real HTTP server in this process that answers no call before all are there, and none sooner than so
many seconds after it came. Memory is proportional (PSS), of all processes of the installation, the store's included.
"""

import asyncio
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import psutil
from pydantic import JsonValue

from actors.local_ray import Place
from actors.processes import find
from benchmarks.behaviours import Asker
from benchmarks.ray_tree import Tree, planted, ticked
from benchmarks.report import Goal, Outcome, Row, Scale
from benchmarks.stage import AT_ONCE, POOL
from maestro.ids import ContinuationId
from maestro.policy.gradient import Tier
from maestro.runtime import verbs
from maestro.testing.formats import JsonObject
from maestro.testing.provider import FakeProvider, Reply, Say

FEW = 3
MIB = 1024 * 1024
BUDGET_USD_MICROS = 1_000_000
PATIENCE_S = 300.0
ANSWERED = 2  # ticks: the one that was left off in its midst, and the same again with the answer


@dataclass
class Slow:
    """A model that works on all its calls at once, and long."""

    takes_s: float
    under_way: int = 0
    most: int = 0
    gate: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, _: JsonObject) -> Say:
        begun = time.monotonic()
        self._count(1)
        self.gate.wait(PATIENCE_S)
        time.sleep(max(0.0, self.takes_s - (time.monotonic() - begun)))
        self._count(-1)
        return Say("an answer", 1_000, 20)

    def _count(self, by: int) -> None:
        with self._lock:
            self.under_way += by
            self.most = max(self.most, self.under_way)


@dataclass(frozen=True, slots=True)
class Held:
    """What an installation takes at one moment."""

    processes: int
    mib: float
    pager_mib: float


async def measure(scale: Scale) -> Outcome:
    crowd, takes_s = (30, 5.0) if scale is Scale.QUICK else (300, 60.0)
    slow = Slow(takes_s)
    with FakeProvider(Reply(slow)) as fake:
        named = [f"MAESTRO_TIER_{tier.upper()}" for tier in Tier]  # each has a price, or the kernel decides nothing
        told = {"": "openai/fake", "_API_BASE": fake.openai_base, "_PRICE": "1/5"}
        tiers = {name + what: text for name in named for what, text in told.items()}
        keys = {f"{name}_API_KEY": "sk-none" for name in named}
        async with planted(tiers=tiers, tier_keys=keys) as tree:
            await tree.warm()
            few, _ = await _in_calls(tree, slow, FEW)
            many, cids = await _in_calls(tree, slow, crowd)
            spent = [(await verbs.glance_of(tree.at, cid)).ledger.account("usd").spent for cid in cids]
        calls = len(fake.calls)
    charged: list[JsonValue] = [*sorted(set(spent))]
    return Outcome("waiting", tuple(_rows(crowd, few, many, slow.most, calls)), {"spent": charged})


def _rows(crowd: int, few: Held, many: Held, most: int, calls: int) -> Sequence[Row]:
    name = f"{crowd} continuations in slow calls"
    return (
        Row(f"{name}: under way at once", "", most, crowd),
        Row(f"{name}: calls at the provider for each", "", (calls - FEW) / crowd, 1),
        Row(f"{name}: processes, beside {FEW}", "", many.processes, few.processes, Goal("no more", 1.0)),
        Row(f"{name}: memory, beside {FEW}", "MiB", many.mib, few.mib),
        Row(f"{name}: memory of each", "KiB", 1024 * (many.mib - few.mib) / (crowd - FEW)),
        Row(f"{name}: memory of the pager, beside {FEW}", "MiB", many.pager_mib, few.pager_mib),
    )


async def _in_calls(tree: Tree, slow: Slow, number: int) -> tuple[Held, list[ContinuationId]]:
    """What is held while so many wait for their answers; afterwards each has its own."""
    slow.gate.clear()
    cids: list[ContinuationId] = []
    for first in range(0, number, AT_ONCE):
        part = range(first, min(number, first + AT_ONCE))
        cids += await asyncio.gather(*(tree.start(Asker.name, POOL, usd_micros=BUDGET_USD_MICROS) for _ in part))
    async with asyncio.timeout(PATIENCE_S):
        while slow.under_way < number:  # noqa: ASYNC110 - the provider counts in other threads
            await asyncio.sleep(0.1)
    held = await asyncio.to_thread(_held, tree)
    slow.gate.set()
    await ticked(tree, cids, ANSWERED)
    return held, cids


def _held(tree: Tree) -> Held:
    mib: list[float] = []
    pager = 0.0
    for process in _ours(tree):
        try:
            takes = process.memory_full_info().pss / MIB
            if "PagerActor" in " ".join(process.cmdline()):
                pager += takes
        except psutil.Error:
            continue
        mib.append(takes)
    return Held(len(mib), sum(mib), pager)


def _ours(tree: Tree) -> Sequence[psutil.Process]:
    """Ray's processes, and those whose command names the home of the installation: the embedded store, the heart."""
    found = {process.pid: process for process in find(Place.of(tree.settings).signs())}
    for process in psutil.process_iter(["cmdline"]):
        if str(tree.settings.home) in " ".join(process.info["cmdline"] or ()):
            found[process.pid] = process
    found.pop(os.getpid(), None)
    return list(found.values())
