"""The parent's side of the chaos tests: store, pager, loops and the processes that die."""

import asyncio
import multiprocessing
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerProcess
from typing import Any

import orjson

from maestro.adapters.redis.backend import open_backend
from maestro.budget.vector import BudgetVector
from maestro.continuation.checkpoint import digest
from maestro.errors import MaestroError, StoreUnavailable
from maestro.ids import ContinuationId, HolderId, Partition, TenantId
from maestro.pager.reply import Failure, Reply
from maestro.pager.request import ModelRequest
from maestro.runtime import verbs
from tests.chaos.doomed import Doom, live
from tests.chaos.family import DOOMED, Everything, Friend
from tests.chaos.redis_server import OwnRedis
from tests.stage import CHARGE_USD_MICROS, LEASE_MS, CountingModel, Stage

BUDGET = BudgetVector({"usd": 5_000_000, "tokens": 5_000_000})
LIVES = 12  # more than any single fault can need; a run that needs more goes in circles
_FORK = multiprocessing.get_context("forkserver")
_FORK.set_forkserver_preload(["tests.chaos.doomed"])


class Arena:
    """One root that does everything in a tenant of its own, and a friend of it who is asleep."""

    def __init__(self, redis: OwnRedis, name: str) -> None:
        self.redis = redis
        self.name = name
        self.calls: list[str] = []
        """Every port call of a tick, by all processes, in order."""
        self.acknowledged: list[tuple[ContinuationId, int, str]] = []
        """(who, rev, hash of its record) of every commit that a process was told of."""
        self.fenced_hosts = 0
        self.model = CountingModel(script=["first answer", "second answer"])
        self._socket = redis.folder / f"{name}.s"
        self._doom = Doom(redis.url, name, self._socket, holder="nobody")
        self._lives = iter(range(LIVES))
        self._processes: list[ForkServerProcess] = []

    async def __aenter__(self) -> "Arena":
        self._backend = await open_backend(self.redis.url, TenantId(self.name), virtual=True)
        self.stage = Stage(self._backend, Friend, model=self.model)
        self._server = await asyncio.start_unix_server(self._serve, self._socket)
        self.friend = await self.stage.start(Friend)
        await self.stage.settle()
        self.root = await self.stage.start(Everything, budget=BUDGET, input=self.friend, pool=DOOMED)
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in self._processes:
            if process.is_alive():  # a test that failed leaves nobody behind
                process.kill()
                await asyncio.to_thread(process.join, 10)
        self._server.close()
        await self._server.wait_closed()
        await self.stage.desk.drain()
        await self._backend.close()

    def spawn(self, **fate: Any) -> tuple[ForkServerProcess, HolderId]:
        """A process that ticks, and the holder that it is."""
        holder = HolderId(f"pool/doomed/{next(self._lives)}#{self.name}")
        process = _FORK.Process(target=live, args=(replace(self._doom, holder=holder, **fate),))
        process.start()
        self._processes.append(process)
        return process, holder

    async def life(self, **fate: Any) -> int:
        """A process lived and ended; its death is reported as a supervisor does. Returns its exit code."""
        process, holder = self.spawn(**fate)
        await asyncio.to_thread(process.join, 60)
        assert process.exitcode is not None, "the process hangs"
        await self.stage.backend.leases.reclaim(holder, Partition(0))
        return process.exitcode

    async def until_done(self) -> None:
        """Lives follow each other, time passes, the loops turn, until the root has ended and nothing is on its way."""
        while not await self._done():
            assert await self.life() == 0
            await self.stage.advance(2 * LEASE_MS)
            await self.stage.reaper.step()
            await self.stage.settle()

    async def _done(self) -> bool:
        await self.stage.settle()
        root, waiting = await self.stage.checkpoint(self.root), await self.stage.total("outbox")
        return root.terminal and waiting == 0

    async def outcome(self) -> str:
        """Hash of everything that a run leads to, apart from names and times."""
        root, friend = await self.stage.checkpoint(self.root), await self.stage.checkpoint(self.friend)
        kids = [await self.stage.checkpoint(cid) for cid in root.children]
        parts = [(c.behaviour, c.status, c.state, c.result, c.stop_reason) for c in (root, friend, *kids)]
        return digest(orjson.dumps(parts))

    async def audit(self) -> None:
        """The promises of Show 4, whatever has died meanwhile."""
        stage = self.stage
        await stage.audit()  # every log whole, one record per rev; books balance
        for cid in await stage.all():
            revs = [record.rev for record in await verbs.records(stage.at, cid)]
            assert revs == list(range(len(revs)))
        assert await committed_facts(stage, self.root) == [1, 2], "one commit per rev"
        assert await stage.state(self.friend) == {"events": 1, "messages": 1}, "each outbox row applied once"
        assert len(await stage.backend.records.findings(self.root)) == 1
        assert list(self.model.answered.values()) == [1, 1], "each answered call was paid for once"
        spent = [await stage.ledger(cid) for cid in await stage.all()]
        assert sum(ledger.account("usd").spent for ledger in spent) == 2 * CHARGE_USD_MICROS
        assert await stage.total("dead_letters") == 0
        for cid, rev, told in self.acknowledged:
            ((_, kept),) = await stage.backend.records.log(cid, rev, rev)
            assert digest(kept) == told, "what was acknowledged is what is kept"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        words = orjson.loads(await reader.readline())
        answer = await self._answer(words)
        try:
            writer.write(orjson.dumps(answer) + b"\n")
            await writer.drain()
        except ConnectionError:
            return  # who asked has died meanwhile
        finally:
            writer.close()

    async def _answer(self, words: dict[str, Any]) -> Any:
        match words["op"]:
            case "seen":
                self.calls.append(words["name"])
            case "acknowledged":
                self.acknowledged.append((words["cid"], words["rev"], words["hash"]))
            case "over":
                self.fenced_hosts += words["fenced"]
            case "kill redis":
                await asyncio.to_thread(self.redis.kill)
                await asyncio.to_thread(self.redis.start)
                await self._reconnected()
            case "call":
                return (await self._called(ModelRequest.model_validate(words["request"]))).model_dump(mode="json")
        return {}

    async def _called(self, request: ModelRequest) -> Reply:
        try:
            return Reply(result=await self.stage.desk.call(request))
        except MaestroError as error:
            return Reply(failure=Failure.of(error))

    async def _reconnected(self) -> None:
        async with asyncio.timeout(20):
            while True:
                try:
                    await self._backend.clock.now_ms()
                    return
                except StoreUnavailable:
                    await asyncio.sleep(0.01)


async def committed_facts(stage: Stage, cid: ContinuationId) -> list[int]:
    """The revs that the feed told of."""
    facts = [orjson.loads(fact.body) for fact in await stage.backend.records.feed(Partition(0), limit=10_000)]
    return [fact["rev"] for fact in facts if fact["type"] == "committed" and fact["cid"] == cid]


def own_redis() -> Iterator[OwnRedis]:
    redis = OwnRedis()
    try:
        yield redis
    finally:
        redis.close()
        forkserver._forkserver._stop()  # type: ignore[attr-defined]  # later tests count processes; it starts again
        resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]
