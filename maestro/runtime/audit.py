"""The audit log: who asked for which steering or config verb, when, on what, by which door. In the store, chained.

Invariants: a record is durable before its verb is tried, so nothing that was done is missing; each record carries the
seal of the one before it, so that one that was changed, left out or moved breaks the chain at a number that can be
named; only the installation's key makes a seal. Of what a verb was given, a record holds what the verb says may be told
and a keyed digest of all of it: bodies of messages and answers are not in it.

Not here: who may do what (the doors decide), and what became of a verb afterwards (the feed and the logs tell). A tail
that was cut off breaks no link: what this installation saw of it last is kept outside the store, see `Seen`.
"""

import asyncio
import functools
import hmac
import inspect
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, Self, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from maestro.continuation.canonical import canonical
from maestro.continuation.envelope import Seal
from maestro.errors import MaestroError, StoreUnavailable
from maestro.ids import TenantId, TimeMs

Door = Literal["cli", "client", "api", "pane", "mcp"]
Outcome = Literal["asked", "done", "refused"]
TRIES = 50  # each lost one means that somebody else's record went in
PAGE = 1_000

P = ParamSpec("P")
R = TypeVar("R")


class AuditRecord(BaseModel):
    """One record, as it is sealed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    number: int = Field(ge=1)
    at_ms: TimeMs
    tenant: TenantId
    who: str
    door: Door
    verb: str
    on: str
    """What it was done to: an id, a name, a node, a path; of `done`, what came of it."""
    told: dict[str, JsonValue] = {}
    given: str = ""
    """A keyed digest of all that the verb was given."""
    outcome: Outcome = "asked"
    refers: int | None = None
    """The record that asked, for one that says what came of it."""
    previous: str
    """The seal of the record before; empty for the first."""

    def body(self) -> bytes:
        return canonical(self)


@dataclass(frozen=True, slots=True)
class Tail:
    """How far the log goes, as the store told at `now_ms`."""

    count: int
    last: bytes
    """The last line; empty where there is none."""
    now_ms: TimeMs


class AuditLog(Protocol):
    """Where the lines lie. It only grows."""

    async def tail(self) -> Tail: ...

    async def append(self, count: int, lines: Sequence[bytes]) -> bool:
        """`lines` follow what is there; False, and nothing is written, where that is not `count` lines long."""
        ...

    async def read(self, first: int, limit: int) -> Sequence[bytes]:
        """Up to `limit` lines, counted from 0."""
        ...


@dataclass(frozen=True, slots=True)
class Broken:
    """The first link that does not hold."""

    number: int
    why: str

    def __str__(self) -> str:
        return f"record {self.number} {self.why}"


@dataclass(frozen=True, slots=True)
class Seen:
    """The end of a log that was whole, as it is remembered outside the store."""

    count: int
    seal: str


@dataclass(frozen=True, slots=True)
class Deed:
    """What is written of one verb; the log adds number, time and link."""

    verb: str
    on: str
    told: Mapping[str, JsonValue]
    given: str
    outcome: Outcome = "asked"
    refers: int | None = None


@dataclass(slots=True)
class _Queue:
    """What all auditors of a process write through: one append for all that came while the last was under way."""

    writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: list[tuple["Auditor", Deed, asyncio.Future[int]]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Auditor:
    """Writes the records of one person at one door."""

    log: AuditLog
    seal: Seal
    tenant: TenantId
    who: str
    door: Door
    _queue: _Queue = field(default_factory=_Queue)

    def of(self, who: str, door: Door) -> "Auditor":
        """The same log, for somebody else."""
        return replace(self, who=who, door=door)

    async def write(self, deed: Deed) -> int:
        """The deed is on record; returns its number.

        Raises:
            StoreUnavailable: it may be, or not.
        """
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._queue.waiting.append((self, deed, future))
        async with self._queue.writing:
            if not future.done():
                await self._write_all()
        return await future

    def digest(self, given: Mapping[str, object]) -> str:
        """What only this key makes of all that was given."""
        text = orjson.dumps(given, default=_as_json, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
        return self.seal.sign(b"given\0" + text)[:32]

    async def _write_all(self) -> None:
        batch, self._queue.waiting[:] = list(self._queue.waiting), []
        try:
            first = await self._append([(auditor, deed) for auditor, deed, _ in batch])
        except Exception as error:  # noqa: BLE001 - whoever waits is told, whatever it was
            for _, _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for number, (_, _, future) in enumerate(batch, first):
            if not future.done():
                future.set_result(number)

    async def _append(self, deeds: Sequence[tuple["Auditor", Deed]]) -> int:
        for _ in range(TRIES):
            tail = await self.log.tail()
            lines, previous = [], _seal_of(tail.last)
            for number, (auditor, deed) in enumerate(deeds, tail.count + 1):
                lines.append(auditor._line(number, tail.now_ms, deed, previous))  # noqa: SLF001 - one of its own
                previous = _seal_of(lines[-1])
            if await self.log.append(tail.count, lines):
                return tail.count + 1
        raise StoreUnavailable("the audit log is too busy to be written", hint="try again")

    def _line(self, number: int, at_ms: TimeMs, deed: Deed, previous: str) -> bytes:
        record = AuditRecord(
            number=number,
            at_ms=at_ms,
            tenant=self.tenant,
            who=self.who,
            door=self.door,
            verb=deed.verb,
            on=deed.on,
            told=dict(deed.told),
            given=deed.given,
            outcome=deed.outcome,
            refers=deed.refers,
            previous=previous,
        )
        return _sealed(self.seal, record.body()).encode() + b" " + record.body()


class Audited(Protocol):
    """What an audited verb is called on: an installation with, or without, somebody at its door."""

    @property
    def audit(self) -> Auditor | None: ...

    def unaudited(self) -> Self: ...


A = TypeVar("A", bound=Audited)
_Verb = Callable[Concatenate[A, P], Coroutine[Any, Any, R]]


def audited(verb: str, on: str = "cid", *tells: str, named: bool = False) -> Callable[[_Verb[A, P, R]], _Verb[A, P, R]]:
    """The verb is on record before it is tried, and again when it is refused.

    Args:
        on: the parameter that says to what, `asked.name` for a part of one.
        tells: parameters that may stand in the record as they are.
        named: what it returns names something new, and is on record too.
    """

    def wrap(act: _Verb[A, P, R]) -> _Verb[A, P, R]:
        signature = inspect.signature(act)

        @functools.wraps(act)
        async def tried(at: A, /, *args: P.args, **named_args: P.kwargs) -> R:
            auditor = at.audit
            if auditor is None:
                return await act(at, *args, **named_args)
            bound = signature.bind(at, *args, **named_args)
            bound.apply_defaults()
            given = dict(list(bound.arguments.items())[1:])
            told = {tell.rpartition(".")[2]: _plain(_part(given, tell)) for tell in tells}
            told = {name: value for name, value in told.items() if value not in (None, "", [], {}, False)}
            deed = Deed(verb, str(_part(given, on) or ""), told, auditor.digest(given))
            number = await auditor.write(deed)
            try:
                result = await act(at.unaudited(), *args, **named_args)
            except MaestroError as error:
                why: dict[str, JsonValue] = {"code": error.code}
                await auditor.write(replace(deed, told=why, given="", outcome="refused", refers=number))
                raise
            if named:
                await auditor.write(replace(deed, on=str(result), told={}, given="", outcome="done", refers=number))
            return result

        return tried

    return wrap


async def note(at: Audited, verb: str, on: str, **told: JsonValue) -> None:
    """A verb that is no function of the runtime is on record; nothing happens where nobody stands at a door."""
    if at.audit is not None:
        await at.audit.write(Deed(verb, on, told, at.audit.digest(told)))


async def records(log: AuditLog, first: int = 0, limit: int = PAGE) -> list[AuditRecord]:
    """Up to `limit` records, as they stand there; whether they are whole, `verify` says."""
    lines = await log.read(first, limit)
    return [AuditRecord.model_validate_json(line.partition(b" ")[2]) for line in lines]


async def verify(log: AuditLog, seal: Seal, tenant: TenantId, seen: Seen | None = None) -> Seen | Broken:
    """How far the log goes, when every link of it holds; else the first that does not.

    Args:
        seen: an end that it had: it must still lead there.
    """
    previous, number = "", 0
    while lines := await log.read(number, PAGE):
        for line in lines:
            number += 1
            if why := _wrong(line, number, previous, seal, tenant):
                return Broken(number, why)
            previous = _seal_of(line)
            if seen is not None and number == seen.count and not hmac.compare_digest(previous, seen.seal):
                return Broken(number, "is another than the one that was seen here")
    if seen is not None and number < seen.count:
        return Broken(number + 1, f"is gone: {seen.count} were seen here")
    return Seen(number, previous)


def _wrong(line: bytes, number: int, previous: str, seal: Seal, tenant: TenantId) -> str | None:
    """What does not hold about a line, in words; None when all does."""
    mac, _, body = line.partition(b" ")
    if not hmac.compare_digest(mac, _sealed(seal, body).encode()):
        return "was changed, or is of another key"
    try:
        record = AuditRecord.model_validate_json(body)
    except ValidationError:
        return "is of another schema: upgrade"
    if record.tenant != tenant:
        return f"belongs to the tenant {record.tenant}"
    if record.number != number:
        return f"is missing: record {record.number} stands there"
    if record.previous != previous:
        return "does not follow the one before it"
    return None


def _sealed(seal: Seal, body: bytes) -> str:
    return seal.sign(b"audit\0" + body)


def _seal_of(line: bytes) -> str:
    return line.partition(b" ")[0].decode()


def _part(given: Mapping[str, object], path: str) -> object:
    """The parameter of that name, or what of it the path says."""
    name, *parts = path.split(".")
    value = given.get(name)
    for part in parts:
        value = getattr(value, part)
    return value


def _plain(value: object) -> JsonValue:
    plain: JsonValue = orjson.loads(orjson.dumps(value, default=_as_json))
    return plain


def _as_json(value: object) -> object:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)
