"""What one has done: its log as it is, as a timeline, and as what was said in it."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from maestro.continuation.lifecycle import TERMINAL
from maestro.gateway import lines as shown
from maestro.gateway.directory import Key
from maestro.gateway.gate import Gate, Gated, Looker
from maestro.gateway.pages import cursor_of, place_of
from maestro.gateway.routes.look import Cursor, Id, Limit, key_in
from maestro.gateway.shapes import CallSeen, LogPage, TickSeen, Timeline
from maestro.gateway.tidings import Messages, MessageSeen, SessionRow, Sessions
from maestro.gateway.wishes import Filter
from maestro.ids import ContinuationId
from maestro.pane import views
from maestro.runtime import verbs

router = APIRouter(tags=["history"])
Rev = Annotated[int, Query(ge=0, le=2**53)]
Kind = Literal["question", "approval", "reply", "decision", "message", "finding", "result"]
_SAID: dict[str, Kind] = {"reply": "reply", "message": "message", "approval": "decision"}
Line = Mapping[str, Any]


@router.get("/v1/continuations/{id}/log")
@router.get("/v1/continuations/{id}/journal", include_in_schema=False)
async def log(gate: Gated, asker: Looker, id: Id, after: Rev = 0, limit: Limit = 50) -> LogPage:
    """Its committed ticks behind `after`, one record each, oldest first."""
    cid = await gate.find(asker, id)
    last = (await verbs.glance_of(gate.at, cid)).rev
    lines = await _lines(gate, cid, after + 1, after + limit)
    more = after + len(lines) < last
    return LogPage(items=lines, next_after=after + len(lines) if more and lines else None, last_rev=last)


@router.get("/v1/continuations/{id}/timeline")
async def timeline(
    gate: Gated, asker: Looker, id: Id, before: Annotated[int | None, Query(ge=1, le=2**53)] = None, limit: Limit = 50
) -> Timeline:
    """Its ticks before `before`, newest first: what woke each, what it asked, what that cost, how it ended."""
    cid = await gate.find(asker, id)
    last = (await verbs.glance_of(gate.at, cid)).rev
    end = last if before is None else min(before - 1, last)
    first = max(1, end - limit + 1)
    lines = await _lines(gate, cid, first, end)
    spent, ticks = 0, []
    for line in lines:
        spent += int(line["charges"].get("usd", 0))
        ticks.append(_tick(line, spent))
    return Timeline(id=cid, items=ticks[::-1], next_before=first if first > 1 else None, last_rev=last)


@router.get("/v1/sessions")
async def sessions(gate: Gated, asker: Looker, limit: Limit = 50, cursor: Cursor = None) -> Sessions:
    """The roots, as something that one talks with; what moved last stands first."""
    what = f"sessions {asker.subtree}"
    behind = None if cursor is None else key_in(place_of(gate.at.seal, what, cursor))
    page = behind
    found: list[tuple[Key, shown.Line]] = []
    while len(found) <= limit:
        stretch = await gate.directory.page(Filter(), asker.subtree, ("updated", True), page, 500)
        found += [(key, line) for key, line in stretch if line.parent is None]
        if len(stretch) < 500:
            break
        page = stretch[-1][0]
    rows = [
        SessionRow(
            id=line.cid,
            name=line.name,
            goal=line.goal,
            group=line.group,
            updated_at_ms=line.updated_at_ms,
            presence=sorted(name for (cid, name), n in gate.watched.items() if cid == line.cid and n),
        )
        for _, line in found[:limit]
    ]
    more = len(found) > limit
    return Sessions(items=rows, next_cursor=cursor_of(gate.at.seal, what, list(found[limit - 1][0])) if more else None)


@router.get("/v1/sessions/{id}/messages")
async def messages(gate: Gated, asker: Looker, id: Id, after: Rev = 0, limit: Limit = 50) -> Messages:
    """What was said in it behind tick `after`: its questions, the answers, its findings, its result."""
    cid = await gate.find(asker, id)
    view = views.opened(await verbs.glance_of(gate.at, cid), gate.at.seal, gate.at.tenant)
    lines = await _lines(gate, cid, after + 1, after + limit)
    found = views.findings(await gate.at.backend.records.findings(view.checkpoint.root))
    said = [one for line in lines for one in _said(line, found)]
    waits = _questions(view.checkpoint.wait.model_dump(mode="json")) if view.checkpoint.wait else []
    still = {str(wait.get("question_id") or wait.get("approval_id")) for wait in waits}
    items = [one.model_copy(update={"state": "open"}) if one.id in still else one for one in said]
    last = after + len(lines)
    if view.checkpoint.status in TERMINAL and last >= view.glance.rev:
        told = str(view.checkpoint.result if view.checkpoint.stop_reason in (None, "completed") else views.why(view))
        about: dict[str, Any] = {
            "rev": view.glance.rev,
            "at_ms": view.checkpoint.updated_at_ms,
            "continuation": cid,
            "sender": cid,
        }
        items.append(MessageSeen(id=f"{cid}:result", kind="result", text=told, state="told", **about))
    return Messages(id=cid, items=items, next_after=str(last) if last < view.glance.rev and lines else None)


async def _lines(gate: Gate, cid: ContinuationId, first: int, last: int) -> list[dict[str, Any]]:
    if last < first:
        return []
    lines = await gate.at.backend.records.log(cid, first, last)
    return [views.log_line(line, at_ms, gate.at.seal, cid, gate.at.tenant) for at_ms, line in lines]


def _tick(line: Line, spent: int) -> TickSeen:
    trigger = line["trigger"] or {}
    return TickSeen(
        rev=line["rev"],
        at_ms=line["committed_at_ms"],
        woken_by=trigger.get("kind"),
        woken_from=trigger.get("sender"),
        subject=trigger.get("subject"),
        reason=line["reason"],
        decided_alone=line["autonomous_decision"],
        directives=[str(directive["type"]) for directive in line["directives"]],
        calls=[_call(effect) for effect in line["effects"]],
        charges=line["charges"],
        spent_usd_micros=spent,
    )


def _call(effect: Line) -> CallSeen:
    told = {name: effect[name] for name in ("ordinal", "kind", "outcome", "decision")}
    charge = effect["charge"]
    return CallSeen(**told, usd_micros=int(charge.get("usd", 0)), tokens=int(charge.get("tokens", 0)))


def _said(line: Line, found: Sequence[Line]) -> list[MessageSeen]:
    about: dict[str, Any] = {"rev": line["rev"], "at_ms": line["committed_at_ms"], "continuation": line["cid"]}
    said = [
        MessageSeen(
            id=note["id"], kind=_SAID[note["kind"]], sender=note["sender"], text=note["subject"], state="told", **about
        )
        for note in line["consumed"]
        if note["kind"] in _SAID
    ]
    said += [
        MessageSeen(id=one["id"], kind="finding", sender=line["cid"], text=one["title"], state="told", **about)
        for one in found
        if one.get("continuation") == line["cid"] and one.get("rev") == line["rev"]
    ]
    for wait in _questions(line["wait"]):
        kind: Kind = "question" if "question" in wait else "approval"
        id_, text = str(wait.get("question_id") or wait.get("approval_id")), wait.get("question") or wait.get("action")
        said.append(MessageSeen(id=id_, kind=kind, sender=line["cid"], text=str(text), state="answered", **about))
    return said


def _questions(wait: Any) -> list[Line]:
    """The questions and approvals among the parts of a wait."""
    if not isinstance(wait, dict):
        return []
    own = [wait] if wait.get("type") in ("user_reply", "approval_resolution") else []
    return own + [one for part in wait.get("waits") or wait.get("parts") or () for one in _questions(part)]
