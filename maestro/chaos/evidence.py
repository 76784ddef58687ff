"""What a checker may look at: exports and the annals of a client, and nothing else.

Invariants: an export is read as it is written, sealed by a key that the checker holds; what of it cannot be read is
evidence too (`broken`), never an error of the checker. Nothing here asks a store or a cluster.
"""

import hmac
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

import orjson
from pydantic import JsonValue, ValidationError

from maestro.adapters.redis import codec
from maestro.budget.ledger import Ledger
from maestro.chaos.annals import Deed, Note, deeds
from maestro.chaos.workload import TELLER, Books
from maestro.continuation.checkpoint import Checkpoint, LogRecord
from maestro.continuation.envelope import Seal
from maestro.ids import ContinuationId
from maestro.runtime.freight import Shipped


@dataclass(frozen=True, slots=True)
class Member:
    """One continuation as its export tells of it."""

    cid: ContinuationId
    epoch: int
    rev: int
    checkpoint: Checkpoint
    bodies: tuple[bytes, ...]
    records: tuple[LogRecord, ...]
    committed_ms: tuple[int, ...]
    ledger: Ledger
    unread: tuple[str, ...] = ()
    """Ids of the mail that lies there."""
    ready: bool = False
    error: str = ""

    @property
    def books(self) -> Books | None:
        """What it kept of itself, if it is a teller that has begun."""
        if self.checkpoint.behaviour != TELLER or self.checkpoint.state is None:
            return None
        return Books.model_validate(self.checkpoint.state)

    @property
    def consumed(self) -> list[str]:
        """Ids of the mail that its ticks took, timers left out: one set again has the same name."""
        return [note.id for record in self.records for note in record.consumed if note.kind != "timer"]


@dataclass(frozen=True)
class Evidence:
    """Everything, opened once."""

    members: tuple[Member, ...]
    notes: tuple[Note, ...]
    broken: tuple[str, ...] = field(default=())
    """What of the exports cannot be believed."""

    @cached_property
    def deeds(self) -> tuple[Deed, ...]:
        return tuple(deeds(self.notes))

    @cached_property
    def by_id(self) -> dict[str, Member]:
        return {member.cid: member for member in self.members}

    @cached_property
    def arrived(self) -> dict[str, frozenset[str]]:
        """Continuation -> ids of the mail that it took, or that lies there."""
        return {member.cid: frozenset((*member.consumed, *member.unread)) for member in self.members}

    @cached_property
    def tellers(self) -> tuple[Member, ...]:
        """The roots of the workload that have begun."""
        return tuple(each for each in self.members if each.checkpoint.parent is None and each.books is not None)

    def done(self, what: str, *outcomes: str) -> Iterator[Deed]:
        """The operations of that name, with these outcomes; with none named, all."""
        return (deed for deed in self.deeds if deed.what == what and (not outcomes or deed.outcome in outcomes))

    def told(self, what: str) -> Iterator[Note]:
        """What was seen under that name."""
        return (note for note in self.notes if note.phase == "info" and note.what == what)

    def last(self, what: str) -> dict[str, JsonValue]:
        """What was seen last under that name; empty for nothing."""
        facts: dict[str, JsonValue] = {}
        for note in self.told(what):
            facts = note.facts
        return facts

    @cached_property
    def dead(self) -> frozenset[str]:
        """What ended as a dead letter, as `id to`."""
        rows = chain.from_iterable(_list(note.facts.get("letters")) for note in self.told("dead_letters"))
        return frozenset(f"{row['id']} {row['to']}" for row in rows if isinstance(row, dict))


def gathered(exports: Iterable[bytes], notes: Sequence[Note], seal: Seal | None) -> Evidence:
    """The evidence of these files.

    Args:
        seal: of the store that wrote the exports; without it no seal is checked.
    """
    members: list[Member] = []
    broken: list[str] = []
    for body in exports:
        found, complaints = _members(body, seal)
        members += found
        broken += complaints
    return Evidence(tuple(members), tuple(notes), tuple(broken))


def _members(body: bytes, seal: Seal | None) -> tuple[list[Member], list[str]]:
    text, newline, last = body.removesuffix(b"\n").rpartition(b"\n")
    broken: list[str] = []
    try:
        claimed = str(orjson.loads(last)["seal"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return [], ["an export without a seal"]
    _, *lines = text.split(b"\n")
    if seal is not None and not hmac.compare_digest(claimed.encode(), seal.sign(text + newline).encode()):
        broken.append("an export whose seal is not that of its store")
    members = []
    for line in lines:
        if line.startswith(b'{"block"'):
            continue
        try:
            members.append(_member(Shipped.model_validate_json(line)))
        except (ValidationError, ValueError, KeyError) as error:
            broken.append(f"{line[:60].decode(errors='replace')}...: {' '.join(str(error).split())[:200]}")
    return members, broken


def _member(line: Shipped) -> Member:
    rest = line.rest if isinstance(line.rest, dict) else {}
    bodies = tuple(body.encode() for _, body in line.log)
    watched = rest.get("watched")
    boxes = [*_list(rest.get("mail")), *_list(rest.get("orders"))]
    return Member(
        cid=line.cid,
        epoch=line.epoch,
        rev=line.rev,
        checkpoint=Checkpoint.model_validate_json(line.checkpoint),
        bodies=bodies,
        records=tuple(LogRecord.model_validate_json(body) for body in bodies),
        committed_ms=tuple(at_ms for at_ms, _ in line.log),
        ledger=codec.ledger_of([str(part).encode() for couple in _list(rest.get("ledger")) for part in _list(couple)]),
        unread=tuple(codec.mail_of(str(each).encode()).id for each in boxes),
        ready=isinstance(watched, dict) and watched.get("ready") == "1",
        error=str(rest.get("error") or ""),
    )


def _list(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []
