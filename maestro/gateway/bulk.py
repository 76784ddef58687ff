"""One verb on many continuations: how many, what would be lost, and then a result for each.

Invariants: above ten, nothing happens but on as many as were expected; one that fails keeps no other from it; each is
done once per key.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from maestro.budget.vector import budget_changes
from maestro.continuation.mail import Control
from maestro.errors import Conflict, InvalidInput, MaestroError
from maestro.gateway.access import Asker
from maestro.gateway.gate import Gate
from maestro.gateway.lines import Line
from maestro.gateway.problems import Changed, problem
from maestro.gateway.shapes import MAX_BULK
from maestro.gateway.wishes import Bulk, BulkDone, BulkItem
from maestro.ids import ContinuationId, derived_token
from maestro.runtime import residence, steer, verbs
from maestro.runtime.verbs import Installation

FEW, SHOWN, AT_ONCE, READ_AGAIN = 10, 20, 32, 500
ENDS = frozenset({"kill", "cancel", "merge"})
Verb = Callable[[Installation, ContinuationId, str | None], Awaitable[str | None]]


async def carried_out(gate: Gate, asker: Asker, asked: Bulk, key: str | None, request_id: str) -> BulkDone:
    """The verb was tried on each; or, on a dry run, is told of.

    Raises:
        InvalidInput: neither or both of ids and filter; what the verb needs is missing; it would be too many.
        Changed: they are not as many as were expected.
    """
    act = _verb(asked, asker.name)
    ids = await _chosen(gate, asker, asked)
    if asked.into is not None:
        into = await gate.find(asker, asked.into)
        ids = [cid for cid in ids if cid != into]
    if not asked.dry_run:
        _check_expected(asked, len(ids))
    lines = await _lines(gate, ids)
    done = {"verb": asked.verb, "dry_run": asked.dry_run, "count": len(ids), "loses": _losses(asked.verb, lines)}
    if asked.dry_run:
        items = [BulkItem(id=cid, ok=True) for cid in ids[:SHOWN]]
        return BulkDone(**done, ok=0, failed=0, items=items)  # type: ignore[arg-type]  # of the very names above
    at, gently = gate.through(asker), asyncio.Semaphore(AT_ONCE)

    async def one(cid: ContinuationId) -> BulkItem:
        async with gently:
            try:
                await gate.find(asker, cid)
                made = await act(at, cid, None if key is None else derived_token("bulk", key, cid))
                return BulkItem(id=cid, ok=True, made=made)
            except MaestroError as error:
                return BulkItem(id=cid, ok=False, error=problem(error, request_id))

    items = list(await asyncio.gather(*map(one, ids)))
    ok = sum(item.ok for item in items)
    return BulkDone(**done, ok=ok, failed=len(items) - ok, items=items)  # type: ignore[arg-type]


async def _chosen(gate: Gate, asker: Asker, asked: Bulk) -> list[ContinuationId]:
    if (asked.ids is None) == (asked.filter is None):
        raise InvalidInput("say either ids or a filter", field="ids", hint="send one of the two")
    if asked.ids is not None:
        return list(dict.fromkeys(map(ContinuationId, asked.ids)))
    gate.whole()
    assert asked.filter is not None  # noqa: S101 - for the type checker: one of the two is there
    found = [line.cid async for line in gate.directory.chosen(asked.filter, asker.subtree) if line.group != "finished"]
    if len(found) > MAX_BULK:
        raise InvalidInput(f"{len(found):,} are too many for one call", field="filter", hint="filter more")
    return sorted(found)


async def _lines(gate: Gate, ids: Sequence[ContinuationId]) -> list[Line]:
    """The lines of those; of many, as they were last told of: to ask the store for each would take its time."""
    if len(ids) <= READ_AGAIN:
        return await gate.directory.fresh(ids)
    return [gate.directory.lines[cid] for cid in ids if cid in gate.directory.lines]


def _check_expected(asked: Bulk, count: int) -> None:
    if asked.expect is None and count > FEW:
        raise Changed(f"{count:,} would be {asked.verb}ed", field="expect", hint="say the number that a dry run told")
    if asked.expect is not None and asked.expect != count:
        told = f"there are {count:,} by now, not {asked.expect:,}"
        raise Changed(told, field="expect", hint="ask a dry run again, and look")


def _losses(verb: str, lines: Sequence[Line]) -> dict[str, int]:
    """What would be ended along with them, or be given back."""
    if verb not in ENDS:
        return {}
    alive = [line for line in lines if line.group != "finished"]
    return {
        "alive": len(alive),
        "unread": sum(line.unread for line in alive),
        "children": sum(line.children for line in alive),
        "free_usd_micros": sum(line.usd.free or 0 for line in alive),
        "thinking": sum(line.activity == "thinking" for line in alive),
    }


def _verb(asked: Bulk, by: str) -> Verb:
    """What is done to each."""
    match asked.verb:
        case "kill" | "cancel":
            end = steer.kill if asked.verb == "kill" else steer.cancel
            return lambda at, cid, key: _nothing(end(at, cid, children=asked.children, key=key, by=by))
        case "freeze" | "thaw":
            still = steer.freeze if asked.verb == "freeze" else steer.thaw
            return lambda at, cid, _: _nothing(still(at, cid, tree=asked.tree, reason=asked.reason, by=by))
        case "wake":
            return lambda at, cid, _: _nothing(verbs.order(at, cid, Control.WAKE))
        case "rebudget":
            if not asked.budget:
                raise InvalidInput("a rebudget needs a budget", field="budget", hint='such as {"usd": "+1.00"}')
            more, less, exactly = budget_changes(dict(asked.budget))
            return lambda at, cid, key: _nothing(steer.rebudget(at, cid, more, less, exactly=exactly, key=key, by=by))
        case "fork":
            return lambda at, cid, key: steer.fork(at, cid, None, asked.share, key)
        case "merge":
            if asked.into is None:
                raise InvalidInput("a merge needs an heir", field="into", hint="say into which")
            into = ContinuationId(asked.into)
            return lambda at, cid, _: _merged(at, cid, into, by)
        case "migrate":
            return lambda at, cid, _: _nothing(residence.migrate(at, cid, asked.to, False))


async def _nothing(work: Awaitable[object]) -> None:
    """What a verb says of itself is not told for each of many."""
    await work


async def _merged(at: Installation, cid: ContinuationId, into: ContinuationId, by: str) -> None:
    try:
        await steer.merge(at, [cid], into, by=by)
    except InvalidInput as error:
        raise Conflict(error.message, field=error.field, hint=error.hint) from None
