"""Where continuations wake: moved to another node, kept at one, held while the node they need is not there.

Invariants: an awake one is never moved in mid tick: it goes on elsewhere from its next tick; whoever needs a node that
does not live is adopted nowhere, and says so.
Not here: what a node is told (`maestro.runtime.nodes`), and how its processes are emptied (`actors.node_keeper`).
"""

import contextlib
from collections.abc import Mapping, Sequence

from maestro.continuation.lifecycle import Hold
from maestro.continuation.mail import Control
from maestro.errors import Conflict, ContinuationAlreadyTerminalError, Fenced, NotFound
from maestro.ids import ContinuationId, HolderId, Partition
from maestro.runtime.audit import audited
from maestro.runtime.nodes import Census, Drain, Seen, check_node, placed
from maestro.runtime.ports import DEDICATED, ready_signal
from maestro.runtime.verbs import PERSON, Installation, checkpoint_of, glance_of, order, partitions
from maestro.tick.codechange import withheld
from maestro.tick.store import Adopted

Labels = Mapping[str, Mapping[str, str]]
"""Pool -> the labels that its nodes must have."""

STALE_MS = 60_000  # a census that is older tells of a cluster that is not there any more
NO_NODE = "no living node "
"""What the reason of a hold for want of a node begins with."""
HOLD_LEASE_MS = 10_000


@audited("migrate", "cid", "to", "stays")
async def migrate(at: Installation, cid: ContinuationId, to: str | None = None, stays: bool = False) -> str:
    """It wakes at another node, `to` or one that we choose; returns which. Awake, it ends its tick where it is.

    Args:
        stays: not only the next time, but until `settle`.

    Raises:
        NotFound: no node of that name lives; names those that do.
        Conflict: the node takes no work, or there is no other one.
        ContinuationAlreadyTerminalError: it is done.
    """
    census = await living(at)
    node = _taker(census, check_node(to)) if to is not None else _other(census, await _where(at, census, cid))
    await at.backend.nodes.pin(cid, node.name, stays)
    return node.name


@audited("settle")
async def settle(at: Installation, cid: ContinuationId) -> bool:
    """It wakes wherever its pool has room; False where it was not kept at a node."""
    return await at.backend.nodes.unpin(cid)


@audited("drain", "node", "reason")
async def drain(at: Installation, node: str, reason: str = "", by: str = PERSON) -> bool:
    """Nothing runs on that node from soon on, until it is undrained; False where it was being drained.

    Raises:
        NotFound: no node of that name lives.
        Conflict: no other node takes work.
    """
    census = await living(at)
    known = _named(census, check_node(node))
    if not [other for other in census.takers if other.name != known.name]:
        hint = "start another node first; `maestro down` stops everything"
        raise Conflict(f"no node but {node} takes work: nobody would take over", field="node", hint=hint)
    return await at.backend.nodes.drain(known.name, by, reason)


@audited("undrain", "node")
async def undrain(at: Installation, node: str) -> bool:
    """The node takes work again; False where it was not being drained. It need not live."""
    return await at.backend.nodes.undrain(check_node(node))


async def living(at: Installation) -> Census:
    """What was last seen of the nodes.

    Raises:
        NotFound: nothing was, lately.
    """
    census = await at.backend.nodes.census()
    if census is None or await at.backend.clock.now_ms() - census.at_ms > STALE_MS:
        raise NotFound("no cluster has shown its nodes lately", field="node", hint="run `maestro up`")
    return census


def leaving(drain: Drain) -> str:
    """Why a node takes no work, in words."""
    return f"drained by {drain.by}" + (f": {drain.reason}" if drain.reason else "")


async def hold_unserved(at: Installation, seen: Sequence[Seen], labels: Labels, holder: HolderId) -> int:
    """Whoever is ready and needs a node that does not live is held as unservable; returns how many.

    Who was to wake at a lost node only once wakes anywhere instead.

    Args:
        labels: pool -> the labels that its nodes must have.
    """
    held = 0
    for partition in partitions(at):
        for pool in await _ready_pools(at, partition):
            cid, node = placed(pool) if pool.startswith(DEDICATED) else (None, None)
            lack = _lack(seen, node, labels.get(pool, {}))
            if lack is None:
                continue
            if cid is not None and (pin := (await glance_of(at, cid)).pin) is not None and not pin.stays:
                await at.backend.nodes.unpin(cid)
                continue
            while (adopted := await at.backend.store.adopt(pool, holder, HOLD_LEASE_MS, partition)) is not None:
                held += await _hold(at, adopted, NO_NODE + lack)
    return held


async def hold_unstartable(at: Installation, pool: str, why: str, holder: HolderId) -> int:
    """Whoever is ready in that pool is held as unservable until a person thaws it; returns how many."""
    held = 0
    for partition in partitions(at):
        while (adopted := await at.backend.store.adopt(pool, holder, HOLD_LEASE_MS, partition)) is not None:
            held += await _hold(at, adopted, f"its own actor does not start: {why}")
    return held


async def thaw_served(at: Installation, seen: Sequence[Seen], labels: Labels) -> int:
    """Whoever was held for want of a node that is there now is tried again; returns how many."""
    thawed = 0
    for partition in partitions(at):
        for cid in await at.backend.records.waiting(partition):
            glance = await glance_of(at, cid)
            if glance.hold is not Hold.UNSERVABLE or not (glance.error or "").startswith(NO_NODE):
                continue
            pool = (await checkpoint_of(at, cid)).pool
            if _lack(seen, glance.pin.node if glance.pin else None, labels.get(pool, {})) is not None:
                continue
            with contextlib.suppress(ContinuationAlreadyTerminalError):  # somebody ended it since the look
                await order(at, cid, Control.THAW)
                thawed += 1
    return thawed


async def _hold(at: Installation, adopted: Adopted, why: str) -> int:
    before = await checkpoint_of(at, adopted.cid)
    try:
        await at.backend.store.hold(withheld(before, adopted, Hold.UNSERVABLE, why))
    except Fenced:  # our lease ran out meanwhile: it is ready again
        return 0
    return 1


async def _ready_pools(at: Installation, partition: Partition) -> Sequence[str]:
    prefix, depths = ready_signal(""), await at.backend.records.counts(partition)
    return [name.removeprefix(prefix) for name, depth in depths.items() if name.startswith(prefix) and depth > 0]


def _lack(seen: Sequence[Seen], name: str | None, labels: Mapping[str, str]) -> str | None:
    """What no living node is or has, in words; None where one will do."""
    alive = [node for node in seen if node.alive]
    if name is not None and not any(node.name == name for node in alive):
        return f"is called {name}"
    if labels and not any(has_labels(node.labels, labels) for node in alive):
        return "has the label " + " and ".join(f"{key}={value}" for key, value in labels.items())
    return None


def has_labels(has: Mapping[str, str], asked: Mapping[str, str]) -> bool:
    """True for a node on which Ray would start what asks for those labels."""
    return all(_fits(has.get(key), value) for key, value in asked.items())


def _fits(has: str | None, asked: str) -> bool:
    """As Ray reads a label selector: a value, `in(a,b)`, or either with `!` before it."""
    wanted = asked.removeprefix("!")
    values = wanted[3:-1].split(",") if wanted.startswith("in(") and wanted.endswith(")") else [wanted]
    return (has in [value.strip() for value in values]) is not asked.startswith("!")


async def _where(at: Installation, census: Census, cid: ContinuationId) -> str | None:
    """At which node it is, or was last."""
    glance = await glance_of(at, cid)
    actor = (glance.holder or glance.last_holder or "").partition("#")[0]
    return next((node.name for node in census.nodes if actor in node.actors), None)


def _other(census: Census, here: str | None) -> Seen:
    others = [node for node in census.takers if node.name != here]
    if not others:
        raise Conflict("there is no other node that takes work", field="node", hint="see `maestro nodes`")
    return min(others, key=lambda node: (len(node.actors), node.name))


def _taker(census: Census, name: str) -> Seen:
    node = _named(census, name)
    if node.leaving is not None:
        hint = f"`maestro undrain {name}`, or choose another"
        raise Conflict(f"node {name} takes no work: {node.leaving}", field="node", hint=hint)
    return node


def _named(census: Census, name: str) -> Seen:
    found = next((node for node in census.nodes if node.alive and node.name == name), None)
    if found is None:
        names = ", ".join(sorted(node.name for node in census.nodes if node.alive)) or "none"
        raise NotFound(f"no node {name!r} lives", field="node", hint=f"living nodes: {names}", living=names)
    return found
