"""Steering: every trigger and order that a person gives. Accepted means durable; `maestro watch` tells what follows."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import typer
from pydantic import JsonValue
from rich.text import Text

from maestro.bootstrap import repertoire
from maestro.cli import reading
from maestro.cli.command import Call, Id, MaybeId, funded
from maestro.cli.inert import inert
from maestro.cli.output import facts, pretty
from maestro.cli.words import account, with_readable
from maestro.client import ContinuationHandle
from maestro.continuation.checkpoint import Checkpoint
from maestro.errors import Conflict, InvalidInput
from maestro.ids import ContinuationId
from maestro.pane import views
from maestro.runtime import steer, verbs
from maestro.tick.records import Glance

ENDLESS_S = 366 * 86_400.0
MANY = 10  # beyond so many, an order to all needs --yes

Yes = Annotated[bool, typer.Option("--yes", help=f"Needed where more than {MANY} are meant.")]


@funded
async def start(
    call: Call,
    behaviour: Annotated[
        str, typer.Argument(metavar="BEHAVIOUR", help="What kind: literature, counter, or one of yours.")
    ],
    goal: Annotated[str, typer.Option(help="What it is for, in a sentence.")],
    budget: Annotated[
        str | None, typer.Option(help="Such as usd=1.50,expensive_model_calls=20.", show_default=False)
    ] = None,
    input: Annotated[str | None, typer.Option(help="What it starts with, as JSON.", show_default=False)] = None,
    name: Annotated[str | None, typer.Option(help="A name, for use in place of its id.", show_default=False)] = None,
    pool: Annotated[
        str | None, typer.Option(help="Where it runs: default, swarm, dedicated.", show_default=False)
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Until it ends; print its result.")] = False,
) -> None:
    """Start a new root continuation and print its id."""
    granted = None if budget is None else reading.budget(budget)
    given = None if input is None else reading.json_value(input, "input")
    known = repertoire(call.settings)
    home = pool or (known.find(behaviour).pool if behaviour in known else None)
    maestro = await call.maestro()
    if behaviour in known:
        maestro = maestro.drawing_on(asks_per_day=known.find(behaviour).asks_per_day)
    handle = await maestro.astart(behaviour, goal=goal, budget=granted, input=given, name=name, pool=home)
    if behaviour not in known:
        call.out.note(
            f"No behaviour {behaviour!r} here (known: {', '.join(known.names)}; MAESTRO_BEHAVIOURS names more modules)."
            " If the actors know none either, it is held until they do."
        )
    if not wait:
        call.out.record({"id": handle.id, "name": name}, Text(handle.id))
        return
    call.out.note(f"{handle.id} is started; waiting for its end.")
    result = await handle.aresult(ENDLESS_S)
    call.out.record({"id": handle.id, "name": name, "result": result}, Text(inert(pretty(result))))


async def send(
    call: Call,
    id: Id,
    body: Annotated[str, typer.Argument(metavar="TEXT|JSON", help="A text; an object or a list in JSON goes as such.")],
    subject: Annotated[str, typer.Option(help="What it is about.", show_default=False)] = "",
    key: Annotated[str | None, typer.Option(help="The same key again sends nothing.", show_default=False)] = None,
    supersedes: Annotated[
        str | None, typer.Option(help="An unread one sent under this name gives way to it.", show_default=False)
    ] = None,
    expires_s: Annotated[
        float | None, typer.Option(help="Unread after so long, nobody reads it.", show_default=False)
    ] = None,
) -> None:
    """Put a message into a mailbox."""
    handle = await call.find(id)
    value, is_json = reading.message(body)
    mail = await handle.asend(value, subject, key, supersedes=supersedes, expires_s=expires_s)
    _accepted(call, handle.id, f"sent as {'JSON' if is_json else 'text'}: {mail}", mail)


async def reply(call: Call, id: Id, text: Annotated[str, typer.Argument(metavar="TEXT", help="The answer.")]) -> None:
    """Answer the question that a continuation asks."""
    handle = await call.find(id)
    mail = await handle.areply(text)
    _accepted(call, handle.id, f"answered: {mail}", mail)


Approval = Annotated[
    str, typer.Argument(metavar="APPROVAL", help="Its id, or the beginning of it: see `maestro waits`.")
]


async def approve(
    call: Call,
    id: Id,
    approval: Approval,
    edit: Annotated[
        str | None, typer.Option(metavar="JSON", help="Approve with these arguments instead.", show_default=False)
    ] = None,
) -> None:
    """Approve what a continuation asks for. The first word counts."""
    edited = None if edit is None else reading.json_value(edit, "edit")
    handle = await call.find(id)
    mail = await handle.aapprove(approval, edited)
    _accepted(call, handle.id, f"approved: {mail}", mail)


async def deny(call: Call, id: Id, approval: Approval) -> None:
    """Deny what a continuation asks for. The first word counts."""
    handle = await call.find(id)
    mail = await handle.adeny(approval)
    _accepted(call, handle.id, f"denied: {mail}", mail)


async def resolve(
    call: Call,
    id: Id,
    operation: Annotated[str, typer.Argument(metavar="OPERATION", help="What was waited for.")],
    outcome: Annotated[str, typer.Argument(metavar="JSON", help="How it ended.")],
) -> None:
    """Tell the outcome of an operation outside, once."""
    payload = reading.json_value(outcome, "json")
    handle = await call.find(id)
    mail = await verbs.resolve(await call.at(), handle.id, operation, payload)
    _accepted(call, handle.id, f"told: {mail}", mail)


async def wake(call: Call, id: Id) -> None:
    """Make it tick once, whatever it waits for."""
    handle = await call.find(id)
    await handle.awake()
    _accepted(call, handle.id, "woken")


Children = Annotated[
    str | None,
    typer.Option(help="What becomes of its children: stop, orphan, adopt. As they were spawned, if not given."),
]


async def cancel(call: Call, id: Id, children: Children = None) -> None:
    """End it before its next tick, as cancelled, after one try of its `on_cancel`."""
    handle = await call.find(id)
    _ended(call, await steer.cancel(await call.at(), handle.id, children=children), "will end as cancelled")


async def kill(call: Call, id: Id, children: Children = None) -> None:
    """End it at once, frozen or not. Nothing of a tick under way is committed."""
    handle = await call.find(id)
    _ended(call, await steer.kill(await call.at(), handle.id, children=children), "will end at once")


async def merge(
    call: Call,
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Who will end and leave all they have.")],
    into: Annotated[str, typer.Option(metavar="ID", help="Who gets it: state, money, findings, field.")],
) -> None:
    """Merge continuations of one behaviour into one. Fields that no law decides become questions to you."""
    heir = await call.find(into)
    sources = [(await call.find(text)).id for text in ids]
    ordered = await steer.merge(await call.at(), sources, heir.id)
    words = f"{len(ordered)} will be merged into {heir.id}" if ordered else f"merged into {heir.id} already"
    call.out.record({"into": heir.id, "ids": list(sources), "ordered": list(ordered)}, Text(words))


async def rebudget(
    call: Call,
    id: Id,
    changes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RESOURCE=+N|-N|N...]", help="Such as usd=+1.00, usd=-0.50 or usd=2.00."),
    ] = None,
    soft: Annotated[
        str | None, typer.Option(help="Soft caps, such as usd=0.50: alert and pressure count from them.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="The same key again changes nothing.", show_default=False)] = None,
) -> None:
    """Change what a continuation may spend; only what is free can be taken back."""
    hint = "write usd=+1.00, usd=-0.50 or usd=2.00"
    if not changes and soft is None:
        raise InvalidInput("rebudget to what?", field="budget", hint=hint)
    wanted = reading.assignments(changes or [], "budget", hint)
    caps = {} if soft is None else reading.assignments(soft.split(","), "soft", "write usd=0.50")
    handle = await call.find(id)
    budget = await handle.asoften(**caps) if caps else {}
    budget = await handle.arebudget(key, **wanted) if wanted else budget
    lines = [(name, account(name, figures)) for name, figures in budget.items() if isinstance(figures, dict)]
    call.out.record({"id": handle.id, "budget": with_readable(budget)}, facts(lines))


async def fork(
    call: Call,
    id: Id,
    at: Annotated[int | None, typer.Option(min=0, help="As it was after this tick; now, if not given.")] = None,
    share: Annotated[float, typer.Option(help="The part of what is free that goes with the copy: 0 to 1.")] = 0.5,
    key: Annotated[str | None, typer.Option(help="The same key again makes no other copy.", show_default=False)] = None,
) -> None:
    """Branch off a copy as it was after a tick, and print its id."""
    handle = await call.find(id)
    copy = await handle.afork(at, share, key)
    call.out.record({"id": copy.id, "forked_from": {"id": handle.id, "at": at}, "share": share}, Text(copy.id))


Tree = Annotated[bool, typer.Option("--tree", help="With all that descend from it, now and later.")]
Reason = Annotated[str, typer.Option(help="Why; `maestro why` tells it.", show_default=False)]


async def freeze(call: Call, id: MaybeId = None, tree: Tree = False, reason: Reason = "") -> None:
    """Pause it: nothing but a kill wakes it until it is thawed; what comes queues. Without an ID: everything."""
    if id is not None:
        handle = await call.find(id)
        await handle.afreeze(tree=tree, reason=reason)
        _accepted(call, handle.id, "frozen with its tree" if tree else "frozen")
        return
    new = await (await call.maestro()).afreeze(reason)
    call.out.record({"done": "frozen", "all": True}, Text("everything is frozen" + ("" if new else " already")))


async def thaw(call: Call, id: MaybeId = None, tree: Tree = False, reason: Reason = "", yes: Yes = False) -> None:
    """Let go of what is frozen or held. Without an ID: of everything; if it was not all frozen at once, one by one."""
    at = await call.at()

    async def act(handle: ContinuationHandle) -> None:
        if not await steer.thaw(at, handle.id, tree=tree, reason=reason):
            raise Conflict(f"{handle.id} is neither frozen nor held", field="id", hint=f"see `maestro why {handle.id}`")

    if id is None and await steer.thaw_all(at, reason=reason):
        call.out.record({"done": "thawed", "all": True}, Text("the brake is off"))
        return
    await _each(call, id, yes, "thawed", act, lambda glance: glance.frozen or glance.hold is not None)


async def _each(
    call: Call,
    id: str | None,
    yes: bool,
    done: str,
    act: Callable[[ContinuationHandle], Awaitable[None]],
    meant: Callable[[Glance], bool],
) -> None:
    """`act` on one, or on all living ones that are meant; each is told."""
    if id is not None:
        handle = await call.find(id)
        await act(handle)
        _accepted(call, handle.id, done)
        return
    at, maestro = await call.at(), await call.maestro()
    cids: list[ContinuationId] = []
    for partition in verbs.partitions(at):
        for cid in await at.backend.records.ids(partition):
            view = views.opened(await verbs.glance_of(at, cid), at.seal, at.tenant)
            if not view.checkpoint.terminal and meant(view.glance):
                cids.append(cid)
    if len(cids) > MANY and not yes:
        raise InvalidInput(
            f"{len(cids)} continuations would be {done}", field="yes", hint="add --yes if they are meant"
        )
    for cid in cids:
        await act(ContinuationHandle(cid, maestro))
    call.out.record({"done": done, "ids": list(cids)}, Text(f"{len(cids)} {done}"))


def _ended(call: Call, before: Checkpoint, words: str) -> None:
    """What is asked of one that has ended already changes nothing, and is no failure."""
    if not before.terminal:
        _accepted(call, before.id, words)
        return
    data: dict[str, JsonValue] = {"id": before.id, "accepted": False, "status": before.status.value}
    call.out.record(data, Text(f"{before.id} has ended already: {before.status.value}"))


def _accepted(call: Call, cid: ContinuationId, words: str, mail: str | None = None) -> None:
    data: dict[str, JsonValue] = {"id": cid, "accepted": True}
    call.out.record({**data, "mail": mail} if mail else data, Text(f"{cid} {inert(words)}"))
