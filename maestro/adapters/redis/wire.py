"""One connection per process that sends all commands of one event-loop turn in one write.

redis-py spends most of a small command on the round trip through its pool; one connection that is written once per turn
did 4.8 times the ticks (DESIGN 9). Here redis-py connects, greets and parses; what is asked next does not wait for the
replies to what was asked before. Scripts go by EVALSHA; a store that lost them is given them again.

Not retried here: a command whose reply was lost. Every script is safe to repeat, and who repeats it knows why.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hiredis
import redis.asyncio as redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import MovedError, NoScriptError, RedisError

from maestro.adapters.redis.address import Address, close_pool
from maestro.adapters.redis.line import Asked, Line, Reply, answer, translated
from maestro.adapters.redis.rights import WRITES
from maestro.errors import StoreUnavailable

SCRIPTS = Path(__file__).parent / "scripts"
LIBRARIES = ("keys", "clock", "mailbox", "ties", "lib", "pieces")  # in this order, each on those before it
_LIBRARY = "".join((SCRIPTS / f"{name}.lua").read_text() for name in LIBRARIES)
SHORTEST_BLOCK_MS = 2  # Redis before 6.2.9 and 7.0.8 takes a blocking pop of 1 ms, like one of 0, for ever
SOCKET_TIMEOUT_S = 10.0  # longer than the slowest script allowed (F20), shorter than a lease and a half
CONNECT_TIMEOUT_S = 5.0
LOOKING = frozenset({"counts", "expired", "glance", "heaviest", "living", "now", "open", "owed", "standing"})
"""Scripts that write nothing that anybody relies on before something is written behind it."""
REPLICATED_WITHIN_MS = 2_000  # well below SOCKET_TIMEOUT_S: a wait that ends is told from a server that is gone


class Wire:
    """A connection of one process to one server; bound to the event loop that first uses it.

    Args:
        url: of a server, or of Sentinels: then whichever is the primary when a connection is made.
        replicas: how many must have a write before its reply is given to anybody.
    """

    def __init__(self, url: str, *, socket_timeout_s: float = SOCKET_TIMEOUT_S, replicas: int = 0) -> None:
        # no time limit inside redis-py: it may swallow a cancellation, and would cut off a pop that waits longer
        options: dict[str, Any] = {"socket_timeout": None, "retry": Retry(NoBackoff(), 0), "protocol": 2}
        address = Address.of(url)
        self._pool = address.pool(socket_connect_timeout=CONNECT_TIMEOUT_S, **options)
        self._popping = address.pool(socket_connect_timeout=CONNECT_TIMEOUT_S, **options)
        self._blocking = redis.Redis(connection_pool=self._popping)
        self._blocking.response_callbacks.clear()  # replies stay as Redis sends them; our codec reads them
        self._socket_timeout_s = socket_timeout_s
        self._replicas = replicas
        self._bodies = {
            path.stem: _LIBRARY + path.read_text() for path in SCRIPTS.glob("*.lua") if path.stem not in LIBRARIES
        }
        self._shas: dict[str, str] = {}
        self._line: Line | None = None
        self._connecting = asyncio.Lock()
        self._waiting: list[Asked] = []
        self._flushes: set[asyncio.Task[None]] = set()

    async def execute(self, *command: Any) -> Reply:
        """The reply to one command, sent together with all others of this turn.

        Raises:
            StoreUnavailable: no connection, or no reply in time: the outcome is unknown.
            StoreRefused: the store answers and refuses.
        """
        try:
            return await self.ask(*command)
        except MovedError as error:
            raise translated(error) from None

    async def ask(self, *command: Any, partition: str | None = None) -> Reply:
        """As `execute`; a command of a slot that another node serves raises MovedError, and nothing of it was done.

        Args:
            partition: the one in which the script writes that this command calls.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Reply] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._start_flush)
        writes = partition is not None or str(command[0]).lower() in WRITES
        self._waiting.append(Asked(hiredis.pack_command(command), future, partition, writes))
        return await future

    async def script(self, name: str, key: str, *arguments: Any) -> Reply:
        """The reply of the script `name` on the partition `key`."""
        try:
            return await self.ask_script(name, key, *arguments)
        except MovedError as error:
            raise translated(error) from None

    async def ask_script(self, name: str, key: str, *arguments: Any) -> Reply:
        """As `script`; raises MovedError as `ask` does."""
        partition = None if name in LOOKING else key
        if not self._shas:
            await self._load()
        try:
            return await self.ask("EVALSHA", self._shas[name], 1, key, *arguments, partition=partition)
        except NoScriptError:
            await self._load()
            return await self.ask("EVALSHA", self._shas[name], 1, key, *arguments, partition=partition)

    async def pop(self, lists: Sequence[str], timeout_ms: int) -> bool:
        """True as soon as one of `lists` gave an element, False after `timeout_ms`."""
        try:
            return await self.ask_pop(lists, timeout_ms)
        except MovedError as error:
            raise translated(error) from None

    async def ask_pop(self, lists: Sequence[str], timeout_ms: int) -> bool:
        """As `pop`; raises MovedError as `ask` does."""
        timeout_s = max(timeout_ms, SHORTEST_BLOCK_MS) / 1000
        try:
            return await self._blocking.blpop(list(lists), timeout=timeout_s) is not None
        except MovedError:
            raise
        except RedisError as error:
            raise translated(error) from error

    async def server(self) -> str:
        """Changes whenever the server is started, or another takes its place."""
        info = _text(await self.execute("INFO", "server"))
        return next(line.partition(":")[2] for line in info.splitlines() if line.startswith("run_id:"))

    async def close(self) -> None:
        """All connections are closed; commands under way are answered first."""
        await asyncio.gather(*self._flushes)
        if self._line is not None:
            await self._line.close()
        await self._blocking.aclose()
        await close_pool(self._popping)
        await close_pool(self._pool)

    async def _load(self) -> None:
        shas = await asyncio.gather(*(self.execute("SCRIPT", "LOAD", body) for body in self._bodies.values()))
        self._shas = dict(zip(self._bodies, (_text(sha) for sha in shas), strict=True))

    def _start_flush(self) -> None:
        batch, self._waiting = self._waiting, []
        task = asyncio.get_running_loop().create_task(self._flush(batch))
        self._flushes.add(task)
        task.add_done_callback(self._flushes.discard)

    async def _flush(self, batch: Sequence[Asked]) -> None:
        try:
            async with self._connecting:  # turns leave in their order
                line = self._line = await self._living_line()
                line.send(self._until_replicated(batch) if self._replicas else batch)
        except (RedisError, OSError) as error:
            for asked in batch:
                answer(asked.future, error)

    def _until_replicated(self, batch: Sequence[Asked]) -> Sequence[Asked]:
        """The batch, with all replies kept back until enough replicas have what it wrote.

        The write before WAIT makes it count from now: a script that finds its work done already, on a connection that
        is new, has written nothing, and WAIT would answer for what this connection wrote alone.
        """
        if not any(asked.writes for asked in batch):
            return batch
        loop = asyncio.get_running_loop()
        held = [Asked(asked.packed, loop.create_future()) for asked in batch]
        partition = next((asked.partition for asked in batch if asked.partition is not None), None)
        mark: tuple[Any, ...] = ("SET", f"{partition}:replicated", "1")
        marks = [Asked(hiredis.pack_command(mark), loop.create_future())]
        marks = marks if partition is not None else []
        wait: tuple[Any, ...] = ("WAIT", self._replicas, REPLICATED_WITHIN_MS)
        counted = Asked(hiredis.pack_command(wait), loop.create_future())
        counted.future.add_done_callback(lambda count: self._let_go(batch, held, marks, count))
        return [*held, *marks, counted]

    def _let_go(
        self, batch: Sequence[Asked], held: Sequence[Asked], marks: Sequence[Asked], count: asyncio.Future[Reply]
    ) -> None:
        """Whoever asked is answered: a line answers in order, so each reply that was held is there."""
        told_of = [count, *(mark.future for mark in marks)]
        failed = next((error for error in [future.exception() for future in told_of] if error is not None), None)
        if failed is None and int(count.result()) < self._replicas:
            told = f"{count.result()} of {self._replicas} replicas have it"
            failed = StoreUnavailable(told, hint="see `maestro doctor`: replicas; it is tried again")
        for asked, kept in zip(batch, held, strict=True):
            refused = kept.future.exception()
            if asked.future.done():
                continue
            if refused is not None or failed is not None:
                asked.future.set_exception(refused or failed or StoreUnavailable("no answer from the store"))
            else:
                asked.future.set_result(kept.future.result())

    async def _living_line(self) -> Line:
        """The connection in use if it lives, else a new one."""
        if self._line is not None:
            if await self._line.lives():
                return self._line
            await self._line.close()
        connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        await connection.connect()  # type: ignore[no-untyped-call]
        return Line(connection, self._socket_timeout_s)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
