"""The notebook: findings with their provenance, and what people hold of them: accepted, rejected, in which order, why.

Invariants: a finding never changes; a mark lies beside it, in the register, and is somebody's; one that a later finding
supersedes is shown as superseded, unless a person has said otherwise; however many there are, only those of a page are
made into what is told.
"""

import asyncio
import heapq
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from maestro.errors import InvalidInput, NotFound
from maestro.gateway.access import Asker
from maestro.gateway.directory import BREATH
from maestro.gateway.found import Found
from maestro.gateway.gate import Gate
from maestro.gateway.tidings import FindingSeen, FindingStatus, Mark, Notebook
from maestro.ids import ContinuationId

KIND = "finding"
_ID = re.compile(r"(?P<by>[0-9a-hjkmnp-tv-z]{22}-[0-9a-z]{1,4}):\d{1,16}:\d{1,16}")
Place = tuple[float, str]
"""Of the notebook: a number, and the id where two have the same."""
Page = tuple[list[FindingSeen], int, Place | None]


class MarkNote(BaseModel):
    """What a person holds of a finding."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: FindingStatus | None = None
    note: str = ""
    place: float | None = None
    by: str


@dataclass(frozen=True, slots=True)
class Held:
    """A finding, and what people hold of it."""

    found: Found
    mark: MarkNote | None
    superseded: bool

    @property
    def id(self) -> str:
        return str(self.found["id"])

    @property
    def by(self) -> ContinuationId:
        return ContinuationId(str(self.found["continuation"]))

    @property
    def status(self) -> FindingStatus:
        plain: FindingStatus = "superseded" if self.superseded else "new"
        return plain if self.mark is None else self.mark.status or plain

    @property
    def place(self) -> tuple[float, str]:
        """Where it stands: the newest first, but where a person has put one elsewhere."""
        put = None if self.mark is None else self.mark.place
        return -float(self.found["at_ms"]) if put is None else put, self.id

    @property
    def text(self) -> str:
        """What is searched in."""
        note = "" if self.mark is None else self.mark.note
        return f"{self.found['title']}\n{self.found['body']}\n{note}".casefold()


async def held(gate: Gate, asker: Asker, root: ContinuationId | None = None) -> AsyncIterator[Held]:
    """All findings that may be seen, in no order; those of one family are read from the store."""
    told = await gate.found.all() if root is None else iter(await gate.found.of(root))
    notes = await gate.at.backend.register.all(KIND)
    over: set[str] = set()
    mine: list[Found] = []
    for place, one in enumerate(told):
        if place % BREATH == BREATH - 1:
            await asyncio.sleep(0)
        if gate.directory.within(ContinuationId(str(one["continuation"])), asker.subtree):
            mine.append(one)
            if one.get("supersedes"):
                over.add(str(one["supersedes"]))
    for place, one in enumerate(mine):
        if place % BREATH == BREATH - 1:
            await asyncio.sleep(0)
        note = notes.get(str(one["id"]))
        yield Held(one, None if note is None else MarkNote.model_validate_json(note), str(one["id"]) in over)


async def page(gate: Gate, asker: Asker, asked: Notebook, behind: Place | None) -> Page:
    """Up to `asked.limit` findings behind that place, how many there are in all, and behind where the rest stands."""
    root = None if asked.root is None else await gate.find(asker, asked.root)
    needle = asked.q.casefold() if asked.q else None
    found = [
        one
        async for one in held(gate, asker, root)
        if asked.status in (None, one.status)
        and asked.continuation in (None, one.by)
        and (needle is None or needle in one.text)
    ]
    rest = found if behind is None else [one for one in found if one.place > behind]
    items = heapq.nsmallest(asked.limit, rest, key=lambda one: one.place)
    last = items[-1].place if len(items) < len(rest) else None
    return [seen(gate, one) for one in items], len(found), last


async def mark(gate: Gate, asker: Asker, id_: str, asked: Mark) -> FindingSeen:
    """The mark of a finding is as asked; what was not said stays.

    Raises:
        InvalidInput: nothing is said.
        NotFound: there is no such finding, or it may not be seen.
    """
    if not asked.model_fields_set:
        raise InvalidInput("a mark says something", field="body", hint="send a status, a note or a place")
    before = await _found(gate, asker, id_)
    register = gate.at.backend.register
    known = await register.get(KIND, id_)
    note = MarkNote(by=asker.name) if known is None else MarkNote.model_validate_json(known)
    news = {name: getattr(asked, name) for name in asked.model_fields_set}
    if news.get("note", "") is None:
        news["note"] = ""
    note = note.model_copy(update={**news, "by": asker.name})
    await register.put(KIND, id_, note.model_dump_json().encode())
    told = {"note": note.note, "place": note.place, "marked_by": note.by}
    return before.model_copy(update={**told, "status": note.status or before.status})


async def _found(gate: Gate, asker: Asker, id_: str) -> FindingSeen:
    form = _ID.fullmatch(id_)
    line = None if form is None else gate.directory.lines.get(ContinuationId(form["by"]))
    if line is not None:
        async for one in held(gate, asker, line.root):
            if one.id == id_:
                return seen(gate, one)
    raise NotFound(f"no finding {id_[:60]!r}", field="id", hint="see `GET /v1/findings`")


def seen(gate: Gate, held: Held) -> FindingSeen:
    """The finding as the API tells it."""
    found, mark, line = held.found, held.mark, gate.directory.lines.get(held.by)
    calls = found.get("calls") or []
    tiers: Sequence[str] = [str(call["tier"]) for call in calls if isinstance(call, dict) and call.get("tier")]
    told = {name: found.get(name) for name in ("id", "title", "body", "confidence", "supersedes", "rev", "at_ms")}
    return FindingSeen(
        **told,  # type: ignore[arg-type]  # as a tick wrote it: maestro.continuation.finding
        links=list(found["links"]),
        evidence=list(found["evidence"]),
        status=held.status,
        note=mark.note if mark else "",
        place=mark.place if mark else None,
        marked_by=mark.by if mark else None,
        continuation=held.by,
        root=str(found["root"]),
        behaviour=str(found["behaviour"]),
        goal="" if line is None else line.goal,
        tier=tiers[-1] if tiers else None,
        cost_usd_micros=None if line is None else line.usd.spent,
    )
