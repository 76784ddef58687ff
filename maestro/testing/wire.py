"""The connection of one process to the store, with bad luck on it: every port call of a simulation passes here.

Invariant: what a call changes, it changes in one moment, between the sending and the reply; everything that can go
wrong goes wrong before or after that moment.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

from maestro.runtime.backend import Backend
from maestro.testing.faults import Fault, Nemesis
from maestro.testing.process import Process, unreachable

FAULTY = (
    "store",
    "journals",
    "leases",
    "timers",
    "outbox",
    "projections",
    "router",
    "records",
    "steering",
    "shelf",
    "blocks",
    "moves",
    "tools",
    "room",
    "accounts",
    "placements",
    "pieces",
    "alarms",
)
AWAY_S = 0.25  # how long a broken connection stays broken
NOTICEABLE_S = 1e-3  # a reply faster than this has taken no time

Act = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Call:
    """One call: the how manieth of the run, who makes it, and of what."""

    number: int
    process: str
    name: str


class Witness(Protocol):
    """Who sees each call that was applied."""

    def called(self, process: Process, name: str, fault: Fault | None) -> Call: ...

    async def applied(self, by: Call, arguments: tuple[Any, ...], reply: Any) -> None: ...


class Accidents(Protocol):
    """Who carries out what befalls a whole process, or the clock."""

    def crash(self, process: Process) -> None: ...

    def pause(self, process: Process) -> None: ...

    async def report_dead(self, process: Process) -> None: ...

    def jump_clock(self) -> None: ...


class Wire:
    """All calls of one process."""

    def __init__(self, process: Process, nemesis: Nemesis, witness: Witness, accidents: Accidents) -> None:
        self.process = process
        self._nemesis = nemesis
        self._witness = witness
        self._accidents = accidents

    async def carry(self, call: str, act: Act, *arguments: Any, **named: Any) -> Any:
        """The reply to one call, if there is one.

        Raises:
            StoreUnavailable: the connection broke; whether the call was applied is unknown to the caller.
        """
        process, fault = self.process, self._nemesis.strike(self.process.name, call)
        made = self._witness.called(process, call, fault)
        if fault is not None:
            await self._befall(fault)
        await process.present()
        await process.reach_store(self._nemesis.latency_s())
        breaks = process.breaks
        reply = await act(*arguments, **named)
        if fault is Fault.DUPLICATE:
            reply = await act(*arguments, **named)
        await self._witness.applied(made, arguments, reply)
        await self._return(fault, breaks)
        return reply

    async def wait(self, act: Act, name: str, timeout_ms: int, *others: str) -> bool:
        """A wait for a signal, which may be lost: then the sleeper sleeps on until its time is over."""
        await self.process.present()
        fault = self._nemesis.strike(self.process.name, "signals.wait")
        roused = bool(await act(name, timeout_ms, *others))
        if roused and fault is Fault.LOST_SIGNAL:
            await asyncio.sleep(timeout_ms / 1000)
            return False
        return roused

    async def _befall(self, fault: Fault) -> None:
        """What comes before the call arrives."""
        match fault:
            case Fault.CRASH_BEFORE:
                await self._die()
            case Fault.LOST_CALL:
                self.process.disconnect(AWAY_S)
                raise unreachable("the connection broke before the call arrived")
            case Fault.PAUSE:
                self._accidents.pause(self.process)
            case Fault.OBITUARY:
                await self._accidents.report_dead(self.process)
            case Fault.CLOCK_JUMP:
                self._accidents.jump_clock()
            case _:
                return

    async def _return(self, fault: Fault | None, breaks: int) -> None:
        """What comes between the call and its reply."""
        if fault is Fault.CRASH_AFTER:
            await self._die()
        if fault is Fault.LOST_REPLY:
            self.process.disconnect(AWAY_S)
        latency_s = self._nemesis.latency_s()
        if latency_s > NOTICEABLE_S:
            await asyncio.sleep(latency_s)
        if breaks != self.process.breaks:
            raise unreachable("the connection broke before the reply arrived")
        await self.process.present()

    async def _die(self) -> None:
        self._accidents.crash(self.process)
        await asyncio.get_running_loop().create_future()


class _Faulty:
    """A port behind a wire: whatever is called on it is carried."""

    def __init__(self, port: object, name: str, wire: Wire) -> None:
        self._port, self._name, self._wire = port, name, wire

    def __getattr__(self, verb: str) -> Act:
        act, call, wire = getattr(self._port, verb), f"{self._name}.{verb}", self._wire

        async def carried(*arguments: Any, **named: Any) -> Any:
            return await wire.carry(call, act, *arguments, **named)

        self.__dict__[verb] = carried
        return carried


class _FaultySignals:
    def __init__(self, signals: Any, wire: Wire) -> None:
        self._signals, self._wire = signals, wire

    async def wait(self, name: str, timeout_ms: int, *others: str) -> bool:
        return await self._wire.wait(self._signals.wait, name, timeout_ms, *others)

    async def rouse(self, name: str) -> None:
        await self._signals.rouse(name)


def behind(wire: Wire, backend: Backend) -> Backend:
    """`backend` as the process at the end of `wire` sees it."""
    faulty = {name: cast(Any, _Faulty(getattr(backend, name), name, wire)) for name in FAULTY}
    return Backend(
        tenant=backend.tenant,
        partitions=backend.partitions,
        clock=backend.clock,
        signals=_FaultySignals(backend.signals, wire),
        sources=backend.sources,
        claims=backend.claims,
        notices=backend.notices,
        nodes=backend.nodes,
        identity=backend.identity,
        register=backend.register,
        audit=backend.audit,
        gatherings=backend.gatherings,
        close=backend.close,
        **faulty,
    )
