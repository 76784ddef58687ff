"""The wire to a Redis Cluster: one wire per primary, and the map that says which of them serves a partition.

Each script declares its partition, and all it touches lies in that partition's slot (docs/decisions/0001-keys.md), so
every command has one node. The map is learned from any node that answers, and again when a node says MOVED (nothing of
that command was done: it is asked again at once) or does not answer (its outcome is unknown: the caller repeats it).

Invariant: ASK is never followed. While a slot is moved by hand, its keys lie in two nodes and a script would see half
of them; the key that a script declares exists in neither, so each is refused until the move is over, and tried again.
Not here: reads from replicas. A replica may be behind, and nothing we read may be.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence

from redis.crc import key_slot
from redis.exceptions import MovedError

from maestro.adapters.redis.address import Address, SlotRow, slot_rows
from maestro.adapters.redis.line import Reply
from maestro.adapters.redis.wire import SOCKET_TIMEOUT_S, Wire
from maestro.errors import MaestroError, StoreUnavailable

MOVES = 8  # that one command follows: nodes that disagree for longer are not a cluster yet
SETTLES_S = 0.05

Ask = Callable[[Wire], Awaitable[Reply]]
Lists = tuple[str, ...]


class ClusterWire:
    """maestro.adapters.redis.wire.Wire to several primaries; bound to the event loop that first uses it."""

    def __init__(self, url: str, *, socket_timeout_s: float = SOCKET_TIMEOUT_S, replicas: int = 0) -> None:
        self._address = Address.of(url)
        self._socket_timeout_s = socket_timeout_s
        self._replicas = replicas
        self._nodes: dict[str, Wire] = {}
        self._map: Sequence[SlotRow] = ()
        self._learning = asyncio.Lock()
        self._pops: defaultdict[Lists, list[asyncio.Task[bool]]] = defaultdict(list)
        """Waits whose waiter was roused by another partition: the next who waits for the same takes them over."""

    async def execute(self, *command: object) -> Reply:
        """The reply of the node that serves the key, which is the first argument. See `Wire.execute`."""
        return await self._routed(str(command[1]), lambda node: node.ask(*command))

    async def script(self, name: str, key: str, *arguments: object) -> Reply:
        """See `Wire.script`."""
        return await self._routed(key, lambda node: node.ask_script(name, key, *arguments))

    async def pop(self, lists: Sequence[str], timeout_ms: int) -> bool:
        """True as soon as one of `lists` gave an element, whichever node it lies on; False after `timeout_ms`."""
        groups: defaultdict[int, list[str]] = defaultdict(list)
        for each in lists:
            groups[key_slot(each.encode())].append(each)
        over = time.monotonic() + timeout_ms / 1000
        waiting: dict[asyncio.Task[bool], Lists] = {}
        try:
            while (left_s := over - time.monotonic()) > 0:
                idle = [tuple(group) for group in groups.values() if tuple(group) not in waiting.values()]
                waiting |= {self._popping(group, int(left_s * 1000)): group for group in idle}
                done, _ = await asyncio.wait(waiting, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    del waiting[task]
                failed = [task.exception() for task in done]
                if any(task.result() for task, error in zip(done, failed, strict=True) if error is None):
                    return True
                for error in filter(None, failed):
                    raise error
            return False
        finally:
            for task, group in waiting.items():
                self._pops[group] = [*(idle for idle in self._pops[group] if not idle.done()), task]

    async def server(self) -> str:
        """Changes whenever one of the servers is started, or another takes its place."""
        if not self._map:
            await self._learn()
        places = sorted({row.place for row in self._map})
        return " ".join([await self._node(place).server() for place in places])

    async def close(self) -> None:
        """All connections are closed; commands under way are answered first."""
        idle = [task for tasks in self._pops.values() for task in tasks]
        for task in idle:
            task.cancel()
        await asyncio.gather(*idle, return_exceptions=True)
        await asyncio.gather(*(node.close() for node in self._nodes.values()))

    async def _routed(self, key: str, ask: Ask) -> Reply:
        for _ in range(MOVES):
            try:
                return await ask(await self._serving(key))
            except MovedError:
                await asyncio.sleep(SETTLES_S)
                self._map = ()
            except StoreUnavailable:
                self._map = ()
                raise
        raise StoreUnavailable("the nodes of the cluster disagree", hint="see `maestro status`; it is tried again")

    async def _serving(self, key: str) -> Wire:
        slot = key_slot(key.encode())
        if not self._map:
            await self._learn()
        for row in self._map:
            if row.first <= slot <= row.last:
                return self._node(row.place)
        raise StoreUnavailable(f"no node of the cluster serves slot {slot}", hint="see `redis-cli --cluster check`")

    async def _learn(self) -> None:
        """The map is what the first node says that answers."""
        async with self._learning:
            if self._map:
                return  # somebody else learned it meanwhile
            places = dict.fromkeys((*self._nodes, *self._address.places))
            asked = [asyncio.ensure_future(self._told_by(place)) for place in places]
            failed: MaestroError = StoreUnavailable("no node of the cluster is named")
            try:
                for answered in asyncio.as_completed(asked):
                    try:
                        self._map = await answered
                        return
                    except MaestroError as error:
                        failed = error
            finally:
                for task in asked:
                    task.cancel()
                await asyncio.gather(*asked, return_exceptions=True)
            raise failed

    async def _told_by(self, place: str) -> Sequence[SlotRow]:
        rows = slot_rows(await self._node(place).execute("CLUSTER", "SLOTS"), place)
        if not rows:
            raise StoreUnavailable(f"{place} serves no slot", hint="see `redis-cli --cluster check`")
        return rows

    def _node(self, place: str) -> Wire:
        if place not in self._nodes:
            url = self._address.at(place)
            self._nodes[place] = Wire(url, socket_timeout_s=self._socket_timeout_s, replicas=self._replicas)
        return self._nodes[place]

    def _popping(self, lists: Lists, timeout_ms: int) -> asyncio.Task[bool]:
        """A wait for these lists of one slot, begun now or left by somebody who needs it no more."""
        idle = self._pops[lists]
        while idle:
            task = idle.pop()
            if not task.done() or (task.exception() is None and task.result()):
                return task
        return asyncio.ensure_future(self._routed(lists[0], lambda node: node.ask_pop(lists, timeout_ms)))


AnyWire = Wire | ClusterWire


def open_wire(url: str, replicas: int = 0) -> AnyWire:
    """The wire that such a URL needs; nothing is connected yet."""
    kind = ClusterWire if Address.of(url).kind == "cluster" else Wire
    return kind(url, replicas=replicas)
