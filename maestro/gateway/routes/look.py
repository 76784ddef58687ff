"""Looking at continuations: lists, one, why, budget, tree, field. Nothing here changes anything."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from maestro.errors import InvalidInput
from maestro.gateway import fieldthen
from maestro.gateway.directory import Key
from maestro.gateway.gate import Gate, Gated, Looker
from maestro.gateway.lines import account
from maestro.gateway.pages import cursor_of, place_of
from maestro.gateway.shapes import (
    MAX_PAGE,
    Budgets,
    ChildRow,
    Cid,
    Continuation,
    FieldRow,
    FieldSeen,
    Row,
    Rows,
    Tree,
    Why,
)
from maestro.gateway.wishes import ForkCost, Listing
from maestro.ids import ContinuationId
from maestro.pane import views
from maestro.runtime import verbs
from maestro.runtime.fieldview import field_rows

router = APIRouter(tags=["look"])
MOST_OF_A_TREE = 2_000
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE)]
Id = Annotated[Cid, Path(description="The whole id of a continuation.")]
Cursor = Annotated[str | None, Query(max_length=2_000)]


@router.get("/v1/continuations")
async def list_(gate: Gated, asker: Looker, asked: Annotated[Listing, Query()]) -> Rows:
    """One row each, with counts of all that the filter leaves."""
    wanted, limit = asked.filter, asked.limit
    what = f"continuations {asked.sort} {asked.order} {asker.subtree} {wanted.model_dump_json()}"
    behind = None if asked.cursor is None else key_in(place_of(gate.at.seal, what, asked.cursor))
    page = await gate.directory.page(wanted, asker.subtree, (asked.sort, asked.order == "desc"), behind, limit + 1)
    lines = await gate.directory.fresh([line.cid for _, line in page[:limit]])
    counts, total, spent = await gate.directory.counted(wanted, asker.subtree)
    return Rows(
        items=[line.row() for line in lines],
        next_cursor=cursor_of(gate.at.seal, what, list(page[limit - 1][0])) if len(page) > limit else None,
        total=total,
        counts=counts,
        complete=gate.directory.complete,
        spent_usd_micros=spent,
    )


@router.get("/v1/continuations/{id}")
async def show(gate: Gated, asker: Looker, id: Id) -> Continuation:
    """Everything about one."""
    cid = await gate.find(asker, id)
    view = views.opened(await verbs.glance_of(gate.at, cid), gate.at.seal, gate.at.tenant)
    found = views.findings(await gate.at.backend.records.findings(view.checkpoint.root))
    return Continuation(row=await row_of(gate, cid), show=views.show(view, found))


@router.get("/v1/continuations/{id}/why")
async def why(gate: Gated, asker: Looker, id: Id) -> Why:
    """Why it is as it is, in one sentence."""
    cid = await gate.find(asker, id)
    view = views.opened(await verbs.glance_of(gate.at, cid), gate.at.seal, gate.at.tenant)
    return Why(id=cid, why=views.why(view))


@router.get("/v1/continuations/{id}/budget")
async def budget(gate: Gated, asker: Looker, id: Id) -> Budgets:
    """What it was granted, and where that is."""
    cid = await gate.find(asker, id)
    ledger = (await verbs.glance_of(gate.at, cid)).ledger
    return Budgets(id=cid, resources={name: account(one) for name, one in sorted(ledger.accounts.items())})


@router.get("/v1/continuations/{id}/tree")
async def tree(gate: Gated, asker: Looker, id: Id) -> Tree:
    """It and its descendants, parents before their children."""
    cid = await gate.find(asker, id)
    found = []
    for depth, line in gate.directory.below(cid):
        found.append(ChildRow(depth=depth, row=line.row()))
        if len(found) > MOST_OF_A_TREE:
            break
    root, truncated = gate.directory.lines[cid].root, len(found) > MOST_OF_A_TREE
    return Tree(root=root, items=found[:MOST_OF_A_TREE], truncated=truncated)


@router.get("/v1/continuations/{id}/field")
async def field(
    gate: Gated,
    asker: Looker,
    id: Id,
    top: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 20,
    at: Annotated[int | None, Query(ge=0, le=2**53)] = None,
) -> FieldSeen:
    """What weighs most in its context, heaviest first, and why; or with `at`, what a model saw of it by that tick."""
    cid = await gate.find(asker, id)
    if at is not None:
        return await fieldthen.field_at(gate, cid, at, top)
    edits, at_ms = (await verbs.checkpoint_of(gate.at, cid)).edits, await gate.at.backend.clock.now_ms()
    rows = await field_rows(gate.at.backend.shelf, cid, edits, top, at_ms)
    return FieldSeen(id=cid, items=[_field_row(row) for row in rows], at_ms=at_ms)


@router.get("/v1/continuations/{id}/fork")
async def fork_cost(
    gate: Gated,
    asker: Looker,
    id: Id,
    at: Annotated[int | None, Query(ge=0, le=2**53)] = None,
    share: Annotated[float, Query(ge=0, le=1, allow_inf_nan=False)] = 0.5,
) -> ForkCost:
    """What a fork would take of what is free; nothing happens."""
    cid = await gate.find(asker, id)
    glance = await verbs.glance_of(gate.at, cid)
    target = glance.rev if at is None else at
    if target > glance.rev:
        raise InvalidInput(f"{cid} has no rev {target}", field="at", hint=f"give 0 to {glance.rev}")
    grant = glance.ledger.free.share(share)
    left = {name: glance.ledger.free[name] - amount for name, amount in grant.items()}
    return ForkCost(id=cid, at=target, grant=dict(grant.items()), left=left, ticks_not_repeated=target)


async def row_of(gate: Gate, cid: ContinuationId) -> Row:
    """The row of one that is there."""
    return (await gate.directory.refresh([cid]))[0].row()


def key_in(place: Any) -> Key:
    """The place in an order that a cursor holds."""
    key, cid = place
    return key, ContinuationId(cid)


def _field_row(row: dict[str, Any]) -> FieldRow:
    told: dict[str, Any] = {name: row.get(name) for name in ("weight", "age_ms", "reason", "view")}
    return FieldRow(
        id=row["id"],
        title=row["title"],
        source=row["source"],
        state=str(row["state"]),
        score=row.get("score"),
        taint=str(row.get("taint")),
        body=row["body"],
        entry=row,
        **told,
    )
