"""The relay: what commits sent goes to where it belongs, at least once, in order, and is applied once there.

From one sender to one receiver rows go one after the other, and what comes after a row that did not arrive waits for
it; senders and receivers do not wait for each other. Events of one sender go together.

Two relays harm nothing: what both carry is known where it arrives.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

import structlog
from pydantic import ValidationError

from maestro.continuation.mail import Mail
from maestro.errors import ContinuationAlreadyTerminalError, InvalidInput, MailboxFull, NotFound, StoreError
from maestro.ids import ContinuationId, MailId, Partition, home_partition
from maestro.mesh.event import Event
from maestro.mesh.schemas import OPEN, EventTypes
from maestro.runtime.backend import Backend
from maestro.runtime.loops import IDLE_MS, partitions_of
from maestro.runtime.ports import RELAY
from maestro.tick.store import OutboxRow
from maestro.tick.watches import Watch

log = structlog.get_logger()

ENDS = ("down:", "exit:", "noproc:")
"""Ids of what tells of an end: nobody misses it who has ended himself."""
OF_ONE = ("mail", "watch", "unwatch")
"""Kinds of rows that go to one continuation; all others are events."""

Placed = tuple[str, OutboxRow]
"""An outbox row and its position."""


@dataclass(slots=True)
class Relay:
    """What commits sent goes to where it belongs: at least once, in order, and it is applied once there."""

    backend: Backend
    types: EventTypes = OPEN
    delivered: int = 0
    idle_ms: int = IDLE_MS

    async def step(self) -> int:
        counts = await asyncio.gather(*(self._drain(partition) for partition in partitions_of(self.backend)))
        self.delivered += sum(counts)
        return 0 if any(counts) else self.idle_ms

    async def wait(self, pause_ms: int) -> None:
        await self.backend.signals.wait(RELAY, pause_ms)

    async def _drain(self, partition: Partition) -> int:
        rows = await self.backend.outbox.pending(partition)
        # from one sender to one receiver one after the other: what comes after a row that did not arrive waits for it
        chains: defaultdict[tuple[str, str], list[Placed]] = defaultdict(list)
        for position, row in rows:
            chains[row.id.partition(":")[0], row.to].append((position, row))
        carried = await asyncio.gather(*map(self._carry_chain, chains.values()))
        await self.backend.outbox.done(partition, [position for chain in carried for position in chain.arrived])
        for position, row, cause in (letter for chain in carried for letter in chain.dead):
            log.warning("dead_letter", to=row.to, row=row.id, cause=cause)
            await self.backend.outbox.bury(partition, position, row, cause)
        for chain in carried:
            if chain.trouble is not None:
                raise chain.trouble
        return len(rows)

    async def _carry_chain(self, chain: Sequence[Placed]) -> "_Carried":
        """The rows went on their way in their order, up to one that the store could not take now."""
        carried = _Carried()
        try:
            for is_event, rows in groupby(chain, key=lambda placed: placed[1].kind not in OF_ONE):
                if is_event:
                    await self._route(list(rows), carried)
                    continue
                for position, row in rows:
                    carried.note(position, row, await self._carry(row))
        except StoreError as error:
            carried.trouble = error
        return carried

    async def _carry(self, row: OutboxRow) -> str | None:
        """None when the row arrived, else why it never will."""
        try:
            match row.kind:
                case "mail":
                    await self.backend.store.deliver(ContinuationId(row.to), Mail.model_validate_json(row.payload))
                case "watch":
                    await self._watch(row)
                case _:
                    await self.backend.store.unwatch(Watch.loads(row.payload))
        except (InvalidInput, NotFound, ContinuationAlreadyTerminalError, MailboxFull) as error:
            return None if row.id.startswith(ENDS) else error.code
        except ValidationError as error:
            return _cause(error)
        return None

    async def _watch(self, row: OutboxRow) -> None:
        """Its target will tell, or is answered for: the answer has the same id however often that is tried."""
        watch = Watch.loads(row.payload)
        if not await self.backend.store.watch(watch):
            answer = watch.answered(MailId(f"noproc:{row.id}"), await self.backend.clock.now_ms())
            await self.backend.store.deliver(watch.watcher, answer)

    async def _route(self, rows: Sequence[Placed], carried: "_Carried") -> None:
        """Events go together, as many as go to one partition."""
        going: defaultdict[Partition, list[tuple[str, Event]]] = defaultdict(list)
        for position, row in rows:
            try:
                event = Event.model_validate_json(row.payload)
                home = Partition(int(row.to)) if row.to != "mesh" else self._home(event)
            except (InvalidInput, ValidationError) as error:
                carried.note(position, row, _cause(error))
            else:
                going[home].append((position, event))
        for home, events in going.items():
            others = [each for each in partitions_of(self.backend) if each != home] if rows[0][1].to == "mesh" else []
            await self.backend.router.route_all([event for _, event in events], home, others)
            carried.arrived += [position for position, _ in events]

    def _home(self, event: Event) -> Partition:
        """Where the event is durable first.

        Raises:
            UnfitEvent: its type is described otherwise.
        """
        self.types.check(event)
        return home_partition(f"{event.source} {event.key}", self.backend.partitions)


@dataclass(slots=True)
class _Carried:
    """What became of the rows from one sender to one receiver."""

    arrived: list[str] = field(default_factory=list)
    dead: list[tuple[str, OutboxRow, str]] = field(default_factory=list)
    """With why it can never arrive."""
    trouble: StoreError | None = None

    def note(self, position: str, row: OutboxRow, cause: str | None) -> None:
        """The row arrived, or is dead by `cause`."""
        if cause is None:
            self.arrived.append(position)
        else:
            self.dead.append((position, row, cause))


def _cause(error: InvalidInput | ValidationError) -> str:
    """Why a row can never arrive."""
    return error.code if isinstance(error, InvalidInput) else f"malformed: {error.error_count()} errors"
