"""What an actor of a pool is told from outside, without a cluster: another has its place; it is to end."""

import asyncio
import signal
import subprocess
import sys

from actors.holding import Held
from maestro.adapters.memory.backend import MemoryBackend
from maestro.errors import StoreUnavailable
from maestro.ids import HolderId
from maestro.runtime.claims import Claim, Claims

LOOK_MS = 10
PATIENCE_S = 60
ASKED_TO_END = """
import asyncio, threading, time
from ray._private.worker import Worker
from actors.terminating import on_sigterm

async def live():
    ended = asyncio.Event()
    on_sigterm(lambda: (print("ends in order", flush=True), ended.set()))
    print("lives", flush=True)
    await ended.wait()
    await asyncio.sleep(0.5)
    print("ended", flush=True)

class Core:
    def run_task_loop(self):
        actor = threading.Thread(target=lambda: asyncio.run(live()))
        actor.start()
        while actor.is_alive():
            time.sleep(0.01)

class Shell:
    core_worker = Core()

Worker.main_loop(Shell())
"""
"""Ray's own main loop of a worker, with its handler of SIGTERM, around an actor that lives in a thread of its own."""


class Silent:
    """Claims of a store that has gone away."""

    def __init__(self, claims: Claims) -> None:
        self._claims = claims
        self.asked = asyncio.Event()

    async def take(self, name: str, holder: HolderId, site: str, lease_ms: int) -> Claim:
        return await self._claims.take(name, holder, site, lease_ms)

    async def renew(self, name: str, epoch: int, lease_ms: int) -> bool:
        self.asked.set()
        raise StoreUnavailable("the connection broke")

    async def let_go(self, name: str, epoch: int) -> None:
        raise StoreUnavailable("the connection broke")


async def test_of_two_processes_in_one_place_the_earlier_finds_out_and_the_later_stays() -> None:
    claims = MemoryBackend().claims
    earlier = Held(claims, HolderId("pool/default/1#a"), 10 * LOOK_MS)
    later, elsewhere = (Held(claims, HolderId(name), LOOK_MS) for name in ("pool/default/1#b", "pool/default/2#c"))
    for held in (earlier, elsewhere, later):  # who stays looks ten times while the earlier one looks once
        await held.take()
    stays = {asyncio.create_task(later.lost()), asyncio.create_task(elsewhere.lost())}
    async with asyncio.timeout(PATIENCE_S):
        await earlier.lost()
    assert not any(task.done() for task in stays)
    for task in stays:
        task.cancel()


async def test_without_the_store_nobody_is_overtaken() -> None:
    silent = Silent(MemoryBackend().claims)
    held = Held(silent, HolderId("pool/default/1#a"), LOOK_MS)
    await held.take()
    lost = asyncio.create_task(held.lost())
    async with asyncio.timeout(PATIENCE_S):
        for _ in range(3):
            silent.asked.clear()
            await silent.asked.wait()
    assert not lost.done()
    lost.cancel()


def test_sigterm_reaches_an_actor_on_its_own_loop_and_ends_nothing_by_itself() -> None:
    command = [sys.executable, "-c", ASKED_TO_END]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "lives\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "ends in order\n"
        process.send_signal(signal.SIGTERM)
        told, complaints = process.communicate(timeout=PATIENCE_S)
    assert (told, process.returncode) == ("ended\n", 0), complaints
