"""What people are asked and what they answer; what was found; what happened while they were away."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Body, Path, Query, Request, Response

from maestro.budget.vector import budget_changes
from maestro.continuation.wait import ApprovalResolution, parts
from maestro.errors import InvalidInput
from maestro.gateway import absence, aside, eyes, inbox, notebook
from maestro.gateway.access import Asker
from maestro.gateway.aside import Aside
from maestro.gateway.directory import BREATH
from maestro.gateway.gate import Answerer, Gate, Gated, Looker, Steerer
from maestro.gateway.inbox import Asked
from maestro.gateway.once import OnceRoute, key_of
from maestro.gateway.pages import cursor_of, place_of
from maestro.gateway.problems import Changed, NotAllowed
from maestro.gateway.routes.look import Id, Limit
from maestro.gateway.tidings import Answer, Digest, Findings, FindingSeen, Mark, Notebook, Seen, WaitItem, Waits
from maestro.gateway.wishes import Decide, Delegate, Done, Reply, Resume, Snooze
from maestro.ids import ContinuationId, check_continuation_id, partition_of
from maestro.runtime import steer, verbs
from maestro.runtime.verbs import partitions

router = APIRouter(route_class=OnceRoute, tags=["people"])
WaitId = Annotated[str, Path(max_length=200, description="The `id` of a `WaitItem`.")]


@router.get("/v1/waits")
async def waits(
    gate: Gated, asker: Looker, kind: str | None = None, limit: Limit = 500, snoozed: bool = False
) -> Waits:
    """What people are asked, the soonest timeout first; with `snoozed`, also what whoever asks has put off."""
    found, beside = await _asked(gate, asker), await aside.asides(gate, asker)
    found = [one for one in found if kind in (None, one.kind)]
    shown = [one for one in found if snoozed or one.id not in beside.snoozed]
    return Waits(items=_items(gate, shown[:limit], beside), total=len(shown), snoozed=len(found) - len(shown))


@router.post("/v1/waits/{id}/answer")
async def answer(request: Request, gate: Gated, asker: Answerer, id: WaitId, asked: Answer) -> Done:
    """The first valid answer counts; a later one is told that it was decided."""
    cid, what = inbox.named(id)
    cid = await gate.find(asker, check_continuation_id(cid))
    match asked.verb:
        case "reply":
            return await _replied(gate, asker, cid, asked.text, what)
        case "approve" | "deny":
            decided = Decide(approval=what or "-", binding=asked.binding, edited=asked.edited)
            return await _decided(gate, asker, cid, decided, asked.verb == "approve")
    if not asker.may("steer"):
        raise NotAllowed(f"a {asker.role} may not steer", field="role", hint="ask for a token with another role")
    match asked.verb:
        case "rebudget":
            more, less, exactly = budget_changes(dict(asked.budget or {}))
            given: dict[str, Any] = {"exactly": exactly, "key": key_of(request), "by": asker.name}
            await steer.rebudget(gate.through(asker), cid, more, less, **given)
        case "thaw":
            await steer.thaw(gate.through(asker), cid, by=asker.name)
        case "kill":
            await steer.kill(gate.through(asker), cid, key=key_of(request), by=asker.name)
    return Done(id=cid, done=asked.verb)


@router.post("/v1/waits/{id}/snooze")
async def snooze(gate: Gated, asker: Answerer, id: WaitId, asked: Snooze) -> WaitItem:
    """Whoever asks does not see it for so long; its time goes on."""
    one = await _wait(gate, asker, id)
    return _items(gate, [one], await aside.snooze(gate, asker, one, asked.for_s))[0]


@router.post("/v1/waits/{id}/delegate")
async def delegate(gate: Gated, asker: Answerer, id: WaitId, asked: Delegate) -> WaitItem:
    """It is meant for somebody by name; whoever may answer still may."""
    one = await _wait(gate, asker, id)
    return _items(gate, [one], await aside.delegate(gate, asker, one, asked.to, asked.words))[0]


@router.post("/v1/continuations/{id}/reply")
async def reply(gate: Gated, asker: Answerer, id: Id, asked: Reply) -> Done:
    """Its question is answered."""
    return await _replied(gate, asker, await gate.find(asker, id), asked.text, None)


@router.post("/v1/continuations/{id}/approve")
async def approve(gate: Gated, asker: Answerer, id: Id, asked: Decide) -> Done:
    """What it asks is approved, as it is or with the arguments `edited`."""
    return await _decided(gate, asker, await gate.find(asker, id), asked, True)


@router.post("/v1/continuations/{id}/deny")
async def deny(gate: Gated, asker: Answerer, id: Id, asked: Decide) -> Done:
    """What it asks is denied."""
    return await _decided(gate, asker, await gate.find(asker, id), asked, False)


@router.post("/v1/continuations/{id}/resume")
async def resume(gate: Gated, asker: Answerer, id: Id, asked: Annotated[Resume, Body()]) -> Done:
    """A reply, a word on an approval, or the result of an operation: whichever is said."""
    cid = await gate.find(asker, id)
    match asked:
        case Resume(text=str(text), approval=None, operation=None):
            return await _replied(gate, asker, cid, text, None)
        case Resume(text=None, approval=str(approval), approved=bool(approved), operation=None):
            return await _decided(gate, asker, cid, Decide(approval=approval or "-"), approved)
        case Resume(text=None, approval=None, operation=str(operation)):
            mail = await verbs.resolve(gate.through(asker), cid, operation, asked.payload)
            return Done(id=cid, done="resolved", mail=mail)
    raise InvalidInput("say a text, an approval with its word, or an operation", field="body", hint="one of the three")


@router.get("/v1/findings")
async def findings(gate: Gated, asker: Looker, asked: Annotated[Notebook, Query()]) -> Findings:
    """What was found, in the order of the notebook."""
    what = f"findings {asker.subtree} {asked.model_dump_json(exclude={'limit', 'cursor'})}"
    behind: Any = None if asked.cursor is None else place_of(gate.at.seal, what, asked.cursor)
    items, total, last = await notebook.page(gate, asker, asked, behind and tuple(behind))
    cursor = None if last is None else cursor_of(gate.at.seal, what, list(last))
    return Findings(items=items, next_cursor=cursor, total=total)


@router.patch("/v1/findings/{id}")
async def mark(gate: Gated, asker: Steerer, id: Annotated[str, Path(max_length=120)], asked: Mark) -> FindingSeen:
    """What a person holds of a finding is changed."""
    return await notebook.mark(gate, asker, id, asked)


@router.get("/v1/digest")
async def digest(gate: Gated, asker: Looker, since: Annotated[int | None, Query(ge=0, le=2**53)] = None) -> Digest:
    """What was found, decided without you, failed and spent since then."""
    waits = _items(gate, (await _asked(gate, asker))[: absence.MOST], await aside.asides(gate, asker))
    return await absence.digest(gate, asker, since, waits)


@router.post("/v1/digest/seen", status_code=204)
async def seen(gate: Gated, asker: Looker, asked: Seen) -> Response:
    """The next digest of whoever asks begins there."""
    await absence.seen(gate, asker, asked.cursor)
    return Response(status_code=204)


async def _asked(gate: Gate, asker: Asker) -> list[Asked]:
    """What people are asked, the soonest timeout first."""
    found: list[Asked] = []
    for partition in partitions(gate.at):
        rows = await gate.at.backend.records.waiting(partition)
        for place, (cid, body) in enumerate(rows.items()):
            if place % BREATH == BREATH - 1:
                await asyncio.sleep(0)
            if gate.directory.within(cid, asker.subtree):
                found += inbox.asked_in(orjson.loads(body))
    return sorted(found, key=lambda one: one.order)


def _items(gate: Gate, found: Sequence[Asked], beside: Aside) -> list[WaitItem]:
    told = []
    for one in found:
        handed = beside.handed.get(one.id)
        more = {} if handed is None else {"delegated_to": handed.to, "delegated_by": handed.by, "words": handed.words}
        item = inbox.item_of(one, gate.directory.lines.get(one.cid))
        told.append(item.model_copy(update={**more, "snoozed_until_ms": beside.snoozed.get(one.id)}))
    return told


async def _wait(gate: Gate, asker: Asker, id_: str) -> Asked:
    """That wait, which is open and may be seen.

    Raises:
        ContinuationNotFoundError: its continuation is not there.
        Changed: it is not asked any more.
    """
    cid, what = inbox.named(id_)
    cid = await gate.find(asker, check_continuation_id(cid))
    found = await _asks(gate, cid, what)
    if found is None:
        raise Changed(f"{cid} does not ask that any more", field="id", hint="it was answered, or asks something else")
    return found


async def _asks(gate: Gate, cid: ContinuationId, what: str) -> Asked | None:
    """What it asks under that name, while it does."""
    row = (await gate.at.backend.records.waiting(partition_of(cid))).get(cid)
    open_ = () if row is None else inbox.asked_in(orjson.loads(row))
    return next((one for one in open_ if inbox.named(one.id)[1] == what), None)


async def _replied(gate: Gate, asker: Asker, cid: ContinuationId, text: str | None, what: str | None) -> Done:
    if text is None:
        raise InvalidInput("a reply needs a text", field="text", hint="say it")
    if what is not None and await _asks(gate, cid, what) is None:
        raise Changed(f"{cid} does not ask that any more", field="id", hint="it was answered, or asks something else")
    mail = await verbs.reply(gate.through(asker), cid, text)
    return Done(id=cid, done="replied", mail=mail)


async def _decided(gate: Gate, asker: Asker, cid: ContinuationId, asked: Decide, approved: bool) -> Done:
    await _check_binding(gate, cid, asked)
    if approved:
        await eyes.check(gate, asker, cid, asked.approval)
    if asked.edited is not None and not approved:
        raise InvalidInput("who denies edits nothing", field="edited", hint="approve with it, or leave it out")
    at = gate.through(asker)
    mail = await verbs.decide(at, cid, asked.approval, approved, by=asker.name, edited=asked.edited)
    return Done(id=cid, done="approved" if approved else "denied", mail=mail)


async def _check_binding(gate: Gate, cid: ContinuationId, asked: Decide) -> None:
    """What was shown to a person is what would be approved.

    Raises:
        Changed: it is something else by now.
    """
    if asked.binding is None:
        return
    wait = (await verbs.checkpoint_of(gate.at, cid)).wait
    for part in parts(wait) if wait is not None else ():
        if not isinstance(part, ApprovalResolution) or part.approval_id != asked.approval:
            continue
        if part.binding != asked.binding:
            told = f"{asked.approval} asks for something else than what was shown"
            raise Changed(told, field="binding", hint="read it again, and decide then")
