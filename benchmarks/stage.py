"""The stage: an embedded server as `maestro up` starts it (AOF, fsync `always`), and Maestro in one process on it."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from benchmarks import behaviours
from benchmarks.behaviours import Seen
from maestro.adapters.redis import server
from maestro.adapters.redis.backend import open_backend
from maestro.budget.vector import BudgetVector
from maestro.continuation.checkpoint import Checkpoint
from maestro.continuation.envelope import Seal
from maestro.continuation.goal import GoalFrame
from maestro.continuation.mail import Kind, Mail
from maestro.ids import ContinuationId, HolderId, MailId, Partition, TenantId, TimeMs
from maestro.runtime import verbs
from maestro.runtime.backend import Backend
from maestro.runtime.host import Host, HostSettings
from maestro.runtime.loops import Reaper, Timekeeper, keep
from maestro.runtime.relay import Relay
from maestro.runtime.verbs import Installation, Start
from maestro.tick.behaviour import Behaviour, Repertoire
from maestro.tick.linger import Linger
from maestro.tick.mindless import Mindless
from maestro.tick.runner import Surroundings
from maestro.tick.store import Commit, Committed, Store

TENANT = TenantId("bench")
SEAL = Seal(b"a key of thirty-two bytes to test")
GOAL = GoalFrame(goal="be measured")
POOL = "swarm"
AT_ONCE = 128  # starts and reads under way at a time
PATIENCE_S = 180.0
_POLL_S = 0.005


@contextmanager
def stage() -> Iterator[server.ServerInfo]:
    """A server of its own, gone afterwards with its data."""
    home = Path(tempfile.mkdtemp(prefix="mb-", dir="/tmp"))
    try:
        yield server.ensure(home)
    finally:
        server.purge(home)
        shutil.rmtree(home)


class HeardStore:
    """A store that tells of each commit as soon as it is acknowledged."""

    def __init__(self, store: Store, hear: Callable[[ContinuationId], None]) -> None:
        self._store = store
        self._hear = hear

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(
        self, commit: Commit, adopt_next: tuple[str, HolderId, int] | None = None, linger: Linger | None = None
    ) -> Committed:
        committed = await self._store.commit(commit, adopt_next, linger)
        self._hear(commit.cid)
        return committed


@dataclass(slots=True)
class House:
    """Maestro in one process: a host and the loops, and what a client does."""

    at: Installation
    host: Host
    hear: Callable[[ContinuationId], None] = lambda cid: None
    """Told of each commit."""

    async def start(self, behaviour: type[Behaviour[Any]], input: JsonValue = None) -> ContinuationId:
        asked = Start(behaviour.name, GOAL, BudgetVector({"usd": 1_000_000}), input, pool=POOL)
        return await verbs.start(self.at, asked)

    async def sleepers(self, behaviour: type[Behaviour[Any]], inputs: Sequence[JsonValue]) -> list[ContinuationId]:
        """So many continuations are asleep after their first tick."""
        before = self.host.ticks
        begun: list[ContinuationId] = []
        for first in range(0, len(inputs), AT_ONCE):
            part = inputs[first : first + AT_ONCE]
            begun += await asyncio.gather(*(self.start(behaviour, wish) for wish in part))
        await eventually(lambda: self.host.ticks - before >= len(inputs), f"{len(inputs)} first ticks")
        return begun

    async def post(self, to: ContinuationId, number: int) -> None:
        """A message is in its mailbox."""
        mail = Mail(id=MailId(f"{to}.{number}"), kind=Kind.MESSAGE, sender="bench", body=number, sent_ms=TimeMs(0))
        await self.at.backend.store.deliver(to, mail)

    async def checkpoints(self, cids: Sequence[ContinuationId]) -> list[Checkpoint]:
        """What they are now."""
        found: list[Checkpoint] = []
        for first in range(0, len(cids), AT_ONCE):
            part = cids[first : first + AT_ONCE]
            found += await asyncio.gather(*(checkpoint_of(self.at, cid) for cid in part))
        return found


async def checkpoint_of(at: Installation, cid: ContinuationId) -> Checkpoint:
    glance = await verbs.glance_of(at, cid)
    return Checkpoint.model_validate_json(at.seal.open(glance.checkpoint, "checkpoint", cid, at.tenant).body)


def seen_by(checkpoint: Checkpoint) -> Seen:
    """The state of a measured behaviour."""
    return Seen() if checkpoint.state is None else Seen.model_validate(checkpoint.state)


@asynccontextmanager
async def house(url: str, slots: int = 64) -> AsyncIterator[House]:
    """Maestro runs in this process until the block ends."""
    backend = await open_backend(url, TENANT)
    open_house: House
    heard = replace(backend, store=HeardStore(backend.store, lambda cid: open_house.hear(cid)))  # noqa: PLW0108 - `hear` changes
    open_house = House(Installation(heard, SEAL, BudgetVector({})), _host(heard, slots))
    timekeeper, relay, reaper = Timekeeper(heard), Relay(heard), Reaper(heard)
    loops = [
        asyncio.create_task(keep("timekeeper", timekeeper.step, timekeeper.wait)),
        asyncio.create_task(keep("relay", relay.step, relay.wait)),
        asyncio.create_task(keep("reaper", reaper.step, reaper.wait)),
        asyncio.create_task(open_house.host.serve()),
    ]
    try:
        yield open_house
    finally:
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        await backend.close()


def _host(backend: Backend, slots: int) -> Host:
    settings = HostSettings(POOL, HolderId("bench#1"), backend.partitions, slots)
    repertoire = Repertoire.load([behaviours.__name__])
    return Host(settings, Surroundings(backend.store, SEAL, TENANT, repertoire, _no_mind), backend.signals)


def _no_mind(*_: object) -> Mindless:
    return Mindless("measured behaviours do not think", "use another behaviour")


async def eventually(holds: Callable[[], bool], what: str) -> None:
    """Returns once it holds.

    Raises:
        TimeoutError: it does not within PATIENCE_S.
    """
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not holds():  # noqa: ASYNC110 - what holds is told by no event
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        raise TimeoutError(f"not within {PATIENCE_S:.0f} s: {what}") from None


def partition_key() -> str:
    """Where the one partition of a stage lies."""
    return f"maestro:{TENANT}:{{{Partition(0)}}}"
