"""A small installation in this process, on a store that fails over: one host, the loops, and the client of a chaos run.

What it leads to is judged by maestro.chaos.accounts.check, from exports and annals as for any run.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from maestro.adapters.redis.backend import open_backend
from maestro.chaos import annals as annals_of
from maestro.chaos.accounts import check
from maestro.chaos.annals import Annals
from maestro.chaos.client import Client
from maestro.chaos.evidence import Evidence, gathered
from maestro.chaos.invariants import Violation
from maestro.chaos.outside import Outside
from maestro.chaos.run import unrest
from maestro.chaos.workload import TOOLS, Teller
from maestro.errors import StoreError
from maestro.ids import HolderId, TenantId
from maestro.runtime import freight
from maestro.runtime.backend import Backend
from maestro.runtime.host import Host, HostSettings
from maestro.runtime.loops import keep
from tests.stage import SEAL, Stage

TENANT = TenantId("spread")
TELLERS, WISHES, LEASE_MS = 5, 40, 3_000
RESUMES_WITHIN_MS = 20_000
QUIET_S = 60.0

Strike = Callable[[], Awaitable[str]]
"""Does something to the store and returns what, when the store should be whole again."""


async def judged(url: str, partitions: int, folder: Path, strike: Strike, replicas: int = 0) -> Evidence:
    """The evidence of a run in whose midst the store was struck."""
    async with contextlib.AsyncExitStack() as stack:
        ends = [await open_backend(url, TENANT, partitions, replicas=replicas) for _ in range(2)]
        for backend in ends:
            stack.push_async_callback(backend.close)
        outside = stack.enter_context(Outside())
        annals = Annals(folder / "history.jsonl")
        stack.callback(annals.close)
        troupe = asyncio.create_task(_play(ends[0], partitions))
        try:
            exports = await _asked(Stage(ends[1], Teller, tools=TOOLS), annals, outside, strike)
        finally:
            troupe.cancel()
            await asyncio.gather(troupe, return_exceptions=True)
    notes = annals_of.read((folder / "history.jsonl").read_text().splitlines(keepends=True))
    return gathered(exports, notes, SEAL)


def violations(evidence: Evidence) -> list[Violation]:
    return check(evidence)


async def _play(backend: Backend, partitions: int) -> None:
    """Whatever is ready ticks, and every loop turns, until it is cancelled."""
    stage = Stage(backend, Teller, tools=TOOLS)
    settings = HostSettings("default", HolderId("pool/default/0#troupe"), partitions, 4, LEASE_MS, 300)
    host = Host(settings, stage.around, backend.signals)
    async with asyncio.TaskGroup() as group:
        group.create_task(host.serve())
        for loop in (stage.timekeeper, stage.relay, stage.reaper, stage.projector):
            group.create_task(keep(type(loop).__name__, loop.step, loop.wait))


async def _asked(stage: Stage, annals: Annals, outside: Outside, strike: Strike) -> list[bytes]:
    client = Client(stage.at, annals, outside, 1, f"http://127.0.0.1:{outside.port}/act")
    annals.tell("plan", floor_ticks=20, resumes_within_ms=RESUMES_WITHIN_MS)
    await client.begin(TELLERS)
    await _wishes(client, WISHES)
    await client.look()
    under_way = asyncio.create_task(_wishes(client, WISHES))
    annals.tell("heal", fault=await strike())
    await under_way
    await client.finish(QUIET_S)
    annals.tell("workload_ends")
    why, took_s = await _quiet(stage, client)
    annals.tell("settled", quiet=not why, why=why, took_s=took_s)
    await client.look()
    annals.tell("processes", when="in the end", orphans=[], missing=[])
    annals.tell("outside", **outside.counted())
    annals.tell("dead_letters", letters=[])
    return [await freight.export(stage.at, cid, "a checker", move=False) for cid in client.tellers]


async def _wishes(client: Client, number: int) -> None:
    """So many wishes, and a claim and a stale write with every tenth."""
    for n in range(number):
        try:
            await client.step()
            if n % 10 == 0:
                await client.claim(n % 3)
                await client.be_stale()
        except StoreError:
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.03)


async def _quiet(stage: Stage, client: Client) -> tuple[str, int]:
    """Why nothing rests yet, and how long it took; empty when all does."""
    began, why = time.monotonic(), "nobody looked"
    while why and time.monotonic() < began + QUIET_S:
        await asyncio.sleep(0.1)
        try:
            why = "somebody was answered" if await client.answer() else await unrest(stage.at)
        except StoreError as error:
            why = str(error)
    return why, round(time.monotonic() - began)
