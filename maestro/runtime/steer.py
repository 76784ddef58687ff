"""Steering: how people and programs end, branch, join, hold still and pay continuations.

Invariants: each verb is one durable step, or steps that may be repeated until all are done; each is safe to repeat, by
its key or because what it asks for is so already; each is a fact in the feed. A terminal continuation stays as it is.

Source: spec/01 sections 8, 9.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from pydantic import JsonValue

from maestro.budget.ledger import Ledger
from maestro.budget.vector import BudgetVector
from maestro.continuation.checkpoint import Checkpoint, ForkedFrom
from maestro.continuation.lifecycle import TERMINAL
from maestro.continuation.lineage import common_ancestor, forked
from maestro.continuation.mail import Control, Kind, Mail
from maestro.errors import Conflict, ContinuationAlreadyTerminalError, InvalidInput
from maestro.ids import ContinuationId, MailId, Rev, derived_token, new_continuation_id, new_token, partition_of
from maestro.runtime.audit import audited
from maestro.runtime.treasury import grant_from
from maestro.runtime.verbs import Installation, checkpoint_at, checkpoint_of, glance_of
from maestro.tick.birth import born
from maestro.tick.orders import FATES
from maestro.tick.steering import PERSON, UNCHANGED
from maestro.tick.store import Birth

FORK_TRIES = 5  # a fork of the present moment that ticks meanwhile is begun anew


@audited("stop", "cid", "reason", "detail", "children")
async def stop(
    at: Installation,
    cid: ContinuationId,
    reason: str = "cancelled_by_user",
    *,
    detail: str = "",
    children: str | None = None,
    key: str | None = None,
    by: str = PERSON,
) -> Checkpoint:
    """It will end as `reason` says (spec/01 section 8), without a line of its code; what has ended stays as it is.

    Args:
        children: what becomes of all its children, whatever they were spawned with: stop, orphan or adopt.
    """
    return await _end(at, cid, Control.KILL, {"stop_reason": reason, "reason": detail}, children, key, by)


@audited("kill", "cid", "children")
async def kill(
    at: Installation, cid: ContinuationId, *, children: str | None = None, key: str | None = None, by: str = PERSON
) -> Checkpoint:
    """It ends at once, frozen or not; nothing of a tick under way is committed."""
    return await stop(at, cid, children=children, key=key, by=by)


@audited("cancel", "cid", "children")
async def cancel(
    at: Installation, cid: ContinuationId, *, children: str | None = None, key: str | None = None, by: str = PERSON
) -> Checkpoint:
    """It ends before its next tick, after one try of its `on_cancel`."""
    return await _end(at, cid, Control.CANCEL, {"stop_reason": "cancelled_by_user", "reason": ""}, children, key, by)


@audited("freeze", "cid", "tree", "reason")
async def freeze(
    at: Installation, cid: ContinuationId, *, tree: bool = False, reason: str = "", by: str = PERSON
) -> None:
    """Nothing but a kill wakes it until it is thawed; with its tree, whoever descends from it or will, too."""

    async def still(one: ContinuationId) -> None:
        await at.backend.steering.freeze(one, True, by, reason, tree)

    await _down(at, cid, still, tree)


@audited("thaw", "cid", "tree", "reason")
async def thaw(at: Installation, cid: ContinuationId, *, tree: bool = False, reason: str = "", by: str = PERSON) -> int:
    """It may tick again, whether it was frozen or held; returns how many were (0: there was nothing to lift)."""
    lifted = 0

    async def free(one: ContinuationId) -> None:
        nonlocal lifted
        glance = await glance_of(at, one)
        lifted += glance.frozen or glance.hold is not None
        await at.backend.steering.freeze(one, False, by, reason)
        if glance.hold is not None:
            await _order(at, one, Control.THAW, {"reason": reason}, None, by)

    await _down(at, cid, free, tree)
    return lifted


@audited("freeze all", "", "reason")
async def freeze_all(at: Installation, *, reason: str = "", by: str = PERSON) -> bool:
    """The brake: nobody of this tenant begins a tick, until `thaw_all`; ticks under way end. It outlives restarts.

    True when it was not on before.
    """
    return await at.backend.steering.brake(True, by, reason)


@audited("thaw all", "", "reason")
async def thaw_all(at: Installation, *, reason: str = "", by: str = PERSON) -> bool:
    """The brake is off; what was frozen by itself stays frozen. True when it was on."""
    return await at.backend.steering.brake(False, by, reason)


@audited("rebudget", "cid", "more", "less", "exactly", "key")
async def rebudget(
    at: Installation,
    cid: ContinuationId,
    more: BudgetVector = UNCHANGED,
    less: BudgetVector = UNCHANGED,
    *,
    exactly: BudgetVector = UNCHANGED,
    key: str | None = None,
    by: str = PERSON,
) -> Ledger:
    """The grant has changed, or is what `exactly` says, once per `key`; whoever waits for money goes on.

    What comes in or goes out is its account's, where its family has one.

    Raises:
        BudgetExceededError: it would be less than what is spent, reserved and lent; its account has not so much left.
    """
    key, account = key or new_token("rebudget"), (await glance_of(at, cid)).account
    if account is None or not (more or exactly):
        return await at.backend.steering.rebudget(cid, more, less, key, exactly, by)
    if less or exactly:
        told = f"{cid} draws on the account {account}"
        raise InvalidInput(told, field="budget", hint="give more (+N) or take back (-N), one at a time")
    return await grant_from(at.backend, account, cid, more, key, by)


@audited("fork", "cid", "rev", "share", named=True)
async def fork(
    at: Installation, cid: ContinuationId, rev: int | None = None, share: float = 0.5, key: str | None = None
) -> ContinuationId:
    """A copy of `cid` as it was at `rev` (now, by default) lives on its own, with `share` of what is free.

    It is made once per `key`, and has what maestro.continuation.lineage says. Unread mail and the field go along with a
    copy of now; of a past revision nobody knows what was unread, or how it was weighed. Nothing is done again.

    Raises:
        InvalidInput: no such rev, or the share is not within 0..1.
        Conflict: it ticks faster than it can be copied as it is now; name a revision.
    """
    for left in reversed(range(FORK_TRIES)):
        try:
            return await _forked(at, cid, rev, share, key)
        except Conflict:
            if left == 0:
                raise
    raise AssertionError("the last try returns or raises")


@audited("merge", "into", "sources")
async def merge(
    at: Installation, sources: Sequence[ContinuationId], into: ContinuationId, *, by: str = PERSON
) -> Sequence[ContinuationId]:
    """Each source will end as completed, `merged:<into>`, and leave `into` all it has; returns those now ordered to.

    In the step that ends a source, its free money, findings, field and state (as mail) are its heir's. The heir takes
    the state in by the laws of its State, in a tick of its own. A source whose heir has ended goes on.

    Raises:
        InvalidInput: into itself, another behaviour or partition, or a descendant of a source.
        ContinuationAlreadyTerminalError: a source or the heir has ended otherwise.
    """
    heir = await checkpoint_of(at, into)
    states = {cid: await checkpoint_of(at, cid) for cid in dict.fromkeys(sources)}
    above = await _ancestors(at, into)
    for source in states.values():
        _check_merge(source, heir, above)
    ordered = [cid for cid, source in states.items() if not source.terminal]
    if ordered and heir.terminal:
        raise ContinuationAlreadyTerminalError(
            f"{into} is done and inherits nothing", field="into", hint="name another"
        )
    for cid in ordered:
        body: dict[str, JsonValue] = {"into": into, "root": heir.root, **await _base(at, cid, into)}
        await _order(at, cid, Control.MERGE, body, f"into {into}", by)
    return ordered


async def _end(
    at: Installation,
    cid: ContinuationId,
    control: Control,
    body: dict[str, JsonValue],
    children: str | None,
    key: str | None,
    by: str,
) -> Checkpoint:
    if children is not None and children not in FATES:
        raise InvalidInput(f"{children!r} is nothing to do with children", field="children", hint=", ".join(FATES))
    before = await checkpoint_of(at, cid)
    if not before.terminal:
        told = body if children is None else {**body, "children": children}
        try:
            await _order(at, cid, control, told, key, by)
        except ContinuationAlreadyTerminalError:
            return await checkpoint_of(at, cid)
    return before


async def _order(
    at: Installation, cid: ContinuationId, control: Control, body: JsonValue, key: str | None, by: str
) -> None:
    """The order is on its way, once per `key`."""
    mail = Mail(
        id=MailId(derived_token("mail", cid, control, key) if key else new_token("mail")),
        kind=Kind.CONTROL,
        sender=by,
        subject=control.value,
        body=body,
        sent_ms=await at.backend.clock.now_ms(),
    )
    await at.backend.steering.order(cid, mail)


async def _down(
    at: Installation, cid: ContinuationId, act: Callable[[ContinuationId], Awaitable[None]], tree: bool
) -> None:
    """`act` on it and, in a tree, then on its children: whoever is born after that shares its parent's fate already."""
    await act(cid)
    if tree:
        children = (await checkpoint_of(at, cid)).children
        for child, known in children.items():
            if known.status not in TERMINAL:
                await _down(at, child, act, tree)


async def _forked(
    at: Installation, cid: ContinuationId, rev: int | None, share: float, key: str | None
) -> ContinuationId:
    glance = await glance_of(at, cid)
    target = Rev(glance.rev if rev is None else rev)
    if not 0 <= target <= glance.rev:
        raise InvalidInput(f"{cid} has no rev {target}", field="at", hint=f"give 0 to {glance.rev}")
    then = await checkpoint_at(at, cid, target)
    now_ms = await at.backend.clock.now_ms()
    first = forked(then, target, new_continuation_id(now_ms, partition_of(cid)), now_ms)
    birth = born(first, glance.ledger.free.share(share), at.seal)
    if target > 0:
        birth = _woken(birth)
    made = await at.backend.steering.fork(cid, birth, key or "", target if rev is None else None)
    return made.cid


def _woken(birth: Birth) -> Birth:
    """A fork of one that had started gets no second start: it is woken, and goes on waiting as its origin did."""
    wake = {"id": MailId(f"fork:{birth.cid}"), "kind": Kind.CONTROL, "subject": Control.WAKE.value}
    return replace(birth, start=birth.start.model_copy(update=wake))


def _check_merge(source: Checkpoint, heir: Checkpoint, above: Sequence[ContinuationId]) -> None:
    if source.id == heir.id:
        raise InvalidInput(f"{heir.id} cannot be merged into itself", field="into", hint="name another")
    if source.behaviour != heir.behaviour:
        raise InvalidInput(
            f"{source.id} is a {source.behaviour}, {heir.id} a {heir.behaviour}: their states have no laws in common",
            field="into",
            hint="merge continuations of one behaviour",
        )
    if partition_of(source.id) != partition_of(heir.id):
        raise InvalidInput(
            f"{source.id} lives in another partition than {heir.id}: nothing can pass between them in one step",
            field="into",
            hint="merge forks into what they come from",
        )
    if source.id in above:
        raise InvalidInput(f"{heir.id} descends from {source.id}", field="into", hint="merge the child into its parent")
    if source.terminal and source.stop_detail != f"merged:{heir.id}":
        raise ContinuationAlreadyTerminalError(
            f"{source.id} has ended ({source.status}) and leaves nothing",
            field="id",
            hint=f"see `maestro show {source.id}`",
        )


async def _base(at: Installation, source: ContinuationId, into: ContinuationId) -> dict[str, JsonValue]:
    """The state that both once had; none where they never were one."""
    ancestor = common_ancestor(await _line(at, into), await _line(at, source))
    if ancestor is None:
        return {}
    then = await checkpoint_at(at, ancestor.id, ancestor.rev)
    return {"base": then.state, "base_version": then.behaviour_version}


async def _line(at: Installation, cid: ContinuationId) -> Sequence[ForkedFrom]:
    glance, line = await glance_of(at, cid), []
    place: ForkedFrom | None = ForkedFrom(id=cid, rev=Rev(glance.rev))
    while place is not None:
        line.append(place)
        place = (await checkpoint_of(at, place.id)).forked_from
    return line


async def _ancestors(at: Installation, cid: ContinuationId) -> Sequence[ContinuationId]:
    above: list[ContinuationId] = []
    parent = (await glance_of(at, cid)).parent
    while parent is not None:
        above.append(parent)
        parent = (await glance_of(at, parent)).parent
    return above
