"""The notebook: findings with their provenance, and what people hold of them: accepted, rejected, in which order, why.

Invariants: a finding never changes; a mark lies beside it, in the register, and is somebody's. One that a later finding
supersedes is shown as superseded, unless a person has said otherwise.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from maestro.errors import NotFound
from maestro.gateway.access import Asker
from maestro.gateway.gate import Gate
from maestro.gateway.lines import Line
from maestro.gateway.tidings import FindingSeen, FindingStatus, Mark
from maestro.ids import ContinuationId, check_continuation_id
from maestro.pane import views

KIND = "finding"
Found = Mapping[str, Any]


class MarkNote(BaseModel):
    """What a person holds of a finding."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: FindingStatus | None = None
    note: str = ""
    place: float | None = None
    by: str


async def findings(gate: Gate, asker: Asker, root: ContinuationId | None = None) -> list[FindingSeen]:
    """All that may be seen, in notebook order: the newest first, but where a person has put one elsewhere."""
    roots = [root] if root is not None else list(dict.fromkeys(line.root for line in gate.directory.lines.values()))
    lines: list[bytes] = []
    for one in roots:
        lines += await gate.at.backend.records.findings(one)
    marks = {
        name: MarkNote.model_validate_json(note) for name, note in (await gate.at.backend.register.all(KIND)).items()
    }
    found = [one for one in views.findings(lines) if gate.directory.within(_by(one), asker.subtree)]
    over = {str(one["supersedes"]) for one in found if one.get("supersedes")}
    seen = [_seen(one, marks.get(str(one["id"])), gate.directory.lines.get(_by(one)), over) for one in found]
    return sorted(seen, key=lambda one: (-one.at_ms if one.place is None else one.place, one.id))


async def mark(gate: Gate, asker: Asker, id_: str, asked: Mark) -> FindingSeen:
    """The mark of a finding is as asked; what was not said stays.

    Raises:
        NotFound: there is no such finding, or it may not be seen.
    """
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
    cid = check_continuation_id(id_.partition(":")[0])
    line = gate.directory.lines.get(cid)
    if line is not None:
        for one in await findings(gate, asker, line.root):
            if one.id == id_:
                return one
    raise NotFound(f"no finding {id_[:60]!r}", field="id", hint="see `GET /v1/findings`")


def _by(found: Found) -> ContinuationId:
    return ContinuationId(str(found["continuation"]))


def _seen(found: Found, mark: MarkNote | None, line: Line | None, over: Iterable[str]) -> FindingSeen:
    calls = found.get("calls") or []
    tiers: Sequence[str] = [str(call["tier"]) for call in calls if isinstance(call, dict) and call.get("tier")]
    plain: FindingStatus = "superseded" if found["id"] in over else "new"
    told = {name: found.get(name) for name in ("id", "title", "body", "confidence", "supersedes", "rev", "at_ms")}
    return FindingSeen(
        **told,  # type: ignore[arg-type]  # as a tick wrote it: maestro.continuation.finding
        links=list(found["links"]),
        evidence=list(found["evidence"]),
        status=mark.status or plain if mark else plain,
        note=mark.note if mark else "",
        place=mark.place if mark else None,
        marked_by=mark.by if mark else None,
        continuation=str(found["continuation"]),
        root=str(found["root"]),
        behaviour=str(found["behaviour"]),
        goal="" if line is None else line.goal,
        tier=tiers[-1] if tiers else None,
        cost_usd_micros=None if line is None else line.usd.spent,
    )
