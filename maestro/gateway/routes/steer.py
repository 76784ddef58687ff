"""Steering: start, end, branch, join, hold still, pay, move; one by one and in bulk. The verbs of the command line."""

from typing import Annotated

from fastapi import APIRouter, Body, Request

from maestro.budget.vector import BudgetVector, budget_changes
from maestro.continuation.goal import GoalFrame
from maestro.continuation.mail import Control
from maestro.errors import Conflict, InvalidInput
from maestro.gateway import eyes, fieldwork
from maestro.gateway.access import Asker
from maestro.gateway.bulk import carried_out
from maestro.gateway.gate import Gated, Steerer
from maestro.gateway.lines import account
from maestro.gateway.once import OnceRoute, key_of, new_id
from maestro.gateway.problems import NotAllowed
from maestro.gateway.routes.look import Id
from maestro.gateway.shapes import Budgets, FieldCommands, FieldEdited, Start, Started
from maestro.gateway.wishes import Bulk, BulkDone, Done, Ending, Fork, Freezing, Merge, Migrate, Rebudget, Send
from maestro.runtime import residence, steer, verbs

router = APIRouter(route_class=OnceRoute, tags=["steer"])
HERE, AS_IT_WAS, NOW, ELSEWHERE = Freezing(), Ending(), Fork(), Migrate()
"""What is meant by a request without a body."""
End = Annotated[Ending, Body()]
Still = Annotated[Freezing, Body()]


@router.post("/v1/continuations", status_code=201)
async def start(request: Request, gate: Gated, asker: Steerer, asked: Start) -> Started:
    """A new root is ready."""
    if asker.subtree is not None:
        raise NotAllowed("a token with a subtree starts no roots", field="subtree", hint="use one without")
    _, _, amounts = budget_changes(dict(asked.budget))
    now_ms, partitions = await gate.at.backend.clock.now_ms(), gate.at.backend.partitions
    wanted = verbs.Start(
        behaviour=asked.behaviour,
        goal=GoalFrame(goal=asked.goal),
        budget=_only(amounts, asked.budget) if asked.budget else None,
        input=asked.input,
        name=asked.name,
        pool=asked.pool or "default",
        supersede=asked.supersede,
        scopes=tuple(asked.scopes),
        account=asked.account,
        cid=new_id(request, asked.name, now_ms, partitions),
    )
    cid = await verbs.start(gate.through(asker), wanted)
    await gate.directory.refresh([cid])
    await eyes.noted(gate, asker, cid)
    return Started(id=cid)


@router.post("/v1/continuations/merge")
async def merge(gate: Gated, asker: Steerer, asked: Merge) -> Done:
    """The `ids` end, and leave `into` all they have."""
    ids = [await gate.find(asker, cid) for cid in asked.ids]
    into = await gate.find(asker, asked.into)
    try:
        ordered = await steer.merge(gate.through(asker), ids, into, by=asker.name)
    except InvalidInput as error:  # how they stand to each other, and nothing in the request itself
        raise Conflict(error.message, field=error.field, hint=error.hint) from None
    return Done(id=into, done="merged", detail={"ordered": list(ordered)})


@router.post("/v1/bulk")
async def bulk(request: Request, gate: Gated, asker: Steerer, asked: Bulk) -> BulkDone:
    """One verb on many, with a result for each; or on a dry run, how many and what would be lost."""
    return await carried_out(gate, asker, asked, key_of(request), request.state.request_id)


@router.post("/v1/freeze")
async def freeze_all(gate: Gated, asker: Steerer, asked: Still = HERE) -> Done:
    """The brake: nobody begins a tick until it is off."""
    _whole_tenant(asker)
    on = await steer.freeze_all(gate.through(asker), reason=asked.reason, by=asker.name)
    return Done(id="*", done="frozen", detail={"changed": on})


@router.post("/v1/thaw")
async def thaw_all(gate: Gated, asker: Steerer, asked: Still = HERE) -> Done:
    """The brake is off; what was frozen by itself stays so."""
    _whole_tenant(asker)
    off = await steer.thaw_all(gate.through(asker), reason=asked.reason, by=asker.name)
    return Done(id="*", done="thawed", detail={"changed": off})


@router.post("/v1/continuations/{id}/kill")
@router.post("/v1/continuations/{id}/stop", include_in_schema=False)
async def kill(request: Request, gate: Gated, asker: Steerer, id: Id, asked: End = AS_IT_WAS) -> Done:
    """It ends at once; nothing of a tick under way is committed."""
    cid = await gate.find(asker, id)
    await steer.kill(gate.through(asker), cid, children=asked.children, key=key_of(request), by=asker.name)
    return Done(id=cid, done="killed")


@router.post("/v1/continuations/{id}/cancel")
async def cancel(request: Request, gate: Gated, asker: Steerer, id: Id, asked: End = AS_IT_WAS) -> Done:
    """It ends before its next tick, after one try to clean up."""
    cid = await gate.find(asker, id)
    await steer.cancel(gate.through(asker), cid, children=asked.children, key=key_of(request), by=asker.name)
    return Done(id=cid, done="cancelled")


@router.post("/v1/continuations/{id}/freeze")
@router.post("/v1/continuations/{id}/pause", include_in_schema=False)
async def freeze(gate: Gated, asker: Steerer, id: Id, asked: Still = HERE) -> Done:
    """Nothing but a kill wakes it until it is thawed."""
    cid = await gate.find(asker, id)
    await steer.freeze(gate.through(asker), cid, tree=asked.tree, reason=asked.reason, by=asker.name)
    return Done(id=cid, done="frozen")


@router.post("/v1/continuations/{id}/thaw")
async def thaw(gate: Gated, asker: Steerer, id: Id, asked: Still = HERE) -> Done:
    """It may tick again, whether it was frozen or held."""
    cid = await gate.find(asker, id)
    lifted = await steer.thaw(gate.through(asker), cid, tree=asked.tree, reason=asked.reason, by=asker.name)
    return Done(id=cid, done="thawed", detail={"lifted": lifted})


@router.post("/v1/continuations/{id}/rebudget")
async def rebudget(request: Request, gate: Gated, asker: Steerer, id: Id, asked: Rebudget) -> Budgets:
    """Its grant is changed by +1.00 or -0.50, or is 2.00."""
    cid = await gate.find(asker, id)
    more, less, exactly = budget_changes(dict(asked.budget))
    given = {"exactly": exactly, "key": key_of(request), "by": asker.name}
    ledger = await steer.rebudget(gate.through(asker), cid, more, less, **given)  # type: ignore[arg-type]
    return Budgets(id=cid, resources={name: account(one) for name, one in sorted(ledger.accounts.items())})


@router.post("/v1/continuations/{id}/fork")
async def fork(request: Request, gate: Gated, asker: Steerer, id: Id, asked: Annotated[Fork, Body()] = NOW) -> Done:
    """A copy, as it was after tick `at`, lives on its own with a share of what is free."""
    cid = await gate.find(asker, id)
    made = await steer.fork(gate.through(asker), cid, asked.at, asked.share, key_of(request))
    await gate.directory.refresh([made])
    await eyes.noted(gate, asker, made, like=cid)
    return Done(id=cid, done="forked", made=made)


@router.post("/v1/continuations/{id}/migrate")
async def migrate(gate: Gated, asker: Steerer, id: Id, asked: Annotated[Migrate, Body()] = ELSEWHERE) -> Done:
    """It goes on at another node: awake from its next tick on, asleep when it wakes next."""
    cid = await gate.find(asker, id)
    node = await residence.migrate(gate.through(asker), cid, asked.to, asked.stay)
    return Done(id=cid, done="migrated", detail={"node": node})


@router.post("/v1/continuations/{id}/wake")
async def wake(gate: Gated, asker: Steerer, id: Id) -> Done:
    """It ticks once, whatever it waits for."""
    cid = await gate.find(asker, id)
    mail = await verbs.order(gate.through(asker), cid, Control.WAKE)
    return Done(id=cid, done="woken", mail=mail)


@router.post("/v1/continuations/{id}/send")
async def send(request: Request, gate: Gated, asker: Steerer, id: Id, asked: Send) -> Done:
    """A message is in its mailbox."""
    cid = await gate.find(asker, id)
    await eyes.noted(gate, asker, cid)
    mail = await verbs.send(gate.through(asker), cid, asked.body, asked.subject, key_of(request))
    return Done(id=cid, done="sent", mail=mail)


@router.post("/v1/continuations/{id}/field/commands")
async def edit_field(gate: Gated, asker: Steerer, id: Id, asked: FieldCommands) -> FieldEdited:
    """Its context is shown as the commands say, from its next tick on."""
    cid = await gate.find(asker, id)
    return FieldEdited(id=cid, changed=await fieldwork.ordered(gate.through(asker), cid, asked.commands, asker.name))


def _only(amounts: BudgetVector, asked: dict[str, str]) -> BudgetVector:
    """The grant of a start: amounts, not changes."""
    for name, text in asked.items():
        if text[:1] in ("+", "-"):
            raise InvalidInput(f"{text!r} is a change, not an amount", field=f"budget.{name}", hint='write "1.50"')
    return amounts


def _whole_tenant(asker: Asker) -> None:
    if asker.subtree is not None:
        raise NotAllowed("a token with a subtree does not brake everything", field="subtree", hint="freeze your own")
