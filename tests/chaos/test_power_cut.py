"""The power goes under a store that is being written to, round after round: what was acknowledged is there afterwards.

`make powercut` runs twenty rounds, `make test` two (POWER_CUTS); each on a disk of its own, which needs root and loop
devices. That the test can see a loss is shown by a store that leaves its writes to the machine's memory.
"""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import BaseModel

from maestro.adapters.redis.backend import open_backend
from maestro.chaos.store_child import StoreChild
from maestro.continuation.checkpoint import digest
from maestro.continuation.directive import Closing, Sleep
from maestro.continuation.mail import Mail
from maestro.errors import Conflict, MaestroError, StoreError, StoreUnavailable
from maestro.ids import ContinuationId, HolderId, TenantId
from maestro.runtime import verbs
from maestro.runtime.backend import Backend
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from maestro.tick.runner import run
from maestro.tick.store import Commit
from tests.chaos.volume import Volume, volume
from tests.stage import Stage

ROUNDS = int(os.environ.get("POWER_CUTS", "2"))
WRITERS, TICKERS = 4, 4
UNDER_WAY = 50  # ticks, before the power goes
PATIENCE_S = 60.0


class Pages(BaseModel):
    numbers: list[int] = []


class Diarist(Behaviour[Pages]):
    """Writes down every number that it is sent."""

    async def on_message(self, tick: Tick[Pages], message: Mail) -> Closing | None:
        tick.state.numbers = [*tick.state.numbers, int(str(message.body))][-50:]
        return Sleep.until_woken()


@dataclass
class Acknowledged:
    """What somebody was told had happened, before the power went."""

    commits: list[tuple[ContinuationId, int, str]] = field(default_factory=list)
    mails: list[tuple[ContinuationId, str]] = field(default_factory=list)


@asynccontextmanager
async def opened(child: StoreChild) -> AsyncIterator[Backend]:
    """The store, as soon as it answers."""
    backend: Backend | None = None
    async with asyncio.timeout(PATIENCE_S):
        while backend is None:
            try:
                backend = await open_backend(child.url, TenantId("powerless"), virtual=True)
            except StoreUnavailable:
                await asyncio.sleep(0.05)
    try:
        yield backend
    finally:
        await backend.close()


async def write(stage: Stage, cid: ContinuationId, told: Acknowledged) -> None:
    """Message after message, until the store says no more."""
    number = 0
    while True:
        try:
            told.mails.append((cid, await verbs.send(stage.at, cid, number, key=f"n{number}")))
            number += 1
        except StoreError:
            return
        except MaestroError:  # its mailbox is full: whoever ticks it is slower
            await asyncio.sleep(0.005)


async def tick(stage: Stage, number: int, told: Acknowledged) -> None:
    """Commit after commit, until the store says no more."""
    holder = HolderId(f"pool/default/{number}#diary")
    while True:
        try:
            adopted = await stage.adopt(holder)
            if adopted is None:
                await asyncio.sleep(0.001)
                continue
            outcome = await run(adopted, stage.around)
            assert isinstance(outcome, Commit), outcome
            await stage.backend.store.commit(outcome)
            told.commits.append((outcome.cid, outcome.rev, digest(outcome.record)))
        except Conflict:
            continue
        except StoreError:
            return


async def lived(disk: Volume, child: StoreChild, seed: int, fsync: str) -> Acknowledged:
    """What was acknowledged until the power went, at a moment that the seed draws."""
    told = Acknowledged()
    await child.start()
    async with opened(child) as backend:
        stage = Stage(backend, Diarist)
        cids = [await stage.start(Diarist) for _ in range(WRITERS)]
        await child.say("CONFIG", "SET", "appendfsync", fsync)
        working = [write(stage, cid, told) for cid in cids] + [tick(stage, n, told) for n in range(TICKERS)]
        life = asyncio.gather(*working)
        moment = random.Random(seed).randrange(UNDER_WAY, 3 * UNDER_WAY)
        async with asyncio.timeout(PATIENCE_S):
            while len(told.commits) < moment:  # noqa: ASYNC110 - whoever writes rings no bell
                await asyncio.sleep(0.001)
        disk.cut_power()
        await child.kill()
        await life
    disk.unmount()
    disk.mount()
    return told


async def lost(child: StoreChild, told: Acknowledged) -> list[str]:
    """What was acknowledged and is not there."""
    await child.start()
    try:
        async with opened(child) as backend:
            stage = Stage(backend, Diarist)
            gone = [
                f"{cid} rev {rev}"
                for cid, rev, record in told.commits
                if [digest(line) for _, line in await backend.records.log(cid, rev, rev)] != [record]
            ]
            kept = await arrived(stage, {cid for cid, _ in told.mails})
            if not gone:
                await stage.audit()
            return gone + [f"{mail} to {cid}" for cid, mail in told.mails if (cid, mail) not in kept]
    finally:
        await child.kill()


async def arrived(stage: Stage, cids: set[ContinuationId]) -> set[tuple[ContinuationId, str]]:
    """Every mail that a log tells of as consumed, or that lies unread."""
    await stage.advance(10 * 60_000)
    await stage.reaper.step()
    found: set[tuple[ContinuationId, str]] = set()
    while (adopted := await stage.adopt()) is not None:
        found |= {(adopted.cid, mail.id) for mail in adopted.mail}
    for cid in cids & set(await stage.all()):
        found |= {(cid, note.id) for record in await verbs.records(stage.at, cid) for note in record.consumed}
    return found


@pytest.mark.powercut
@pytest.mark.shows("9.4")
@pytest.mark.timeout(1200)
async def test_a_power_cut_in_mid_work_loses_no_tick_and_no_message_that_was_acknowledged(folder: Path) -> None:
    commits = mails = 0
    for number in range(ROUNDS):
        began = time.monotonic()
        place = folder / str(number)
        place.mkdir()
        with volume(place, 96) as disk:
            child = StoreChild(disk.at / "store")
            told = await lived(disk, child, number, "always")
            assert await lost(child, told) == [], f"round {number}"
        assert len(told.commits) >= UNDER_WAY
        commits, mails = commits + len(told.commits), mails + len(told.mails)
        took_s = time.monotonic() - began
        print(f"round {number}: {len(told.commits)} ticks and {len(told.mails)} messages kept, {took_s:.1f} s")
    print(f"{ROUNDS} power cuts, appendfsync always: 0 lost of {commits} acknowledged ticks and {mails} messages")


@pytest.mark.powercut
async def test_a_store_that_does_not_sync_loses_some_and_the_test_sees_it(folder: Path) -> None:
    with volume(folder, 96) as disk:
        child = StoreChild(disk.at / "store")
        told = await lived(disk, child, 0, "no")
        assert await lost(child, told)
