"""Who comes after whom, in memory: children that outlive their parent, and the heir of a merged one."""

from maestro.adapters.memory import money, waking
from maestro.adapters.memory.shelf import note_degraded
from maestro.adapters.memory.state import PartitionState, Row
from maestro.continuation.finding import content_of
from maestro.continuation.mail import Control
from maestro.ids import ContinuationId
from maestro.tick.steering import heirless, news
from maestro.tick.store import Commit, Orphan


def check_end(state: PartitionState, row: Row, commit: Commit) -> None:
    """An end knows of every child, and its heir lives.

    Raises:
        Conflict: a child was adopted meanwhile, or the heir has ended.
    """
    if row.is_ordered(Control.ADOPTED, commit.controls_taken):
        raise news(row.cid)
    if commit.heir is not None:
        heir = state.rows.get(commit.heir.cid)
        if heir is None or heir.terminal:
            raise heirless(commit.heir.cid)


def release_child(state: PartitionState, parent: Row, orphan: Orphan) -> None:
    """The child lives on: alone, or with the nearest living ancestor of `parent`; its money stays its own."""
    child = state.rows.get(orphan.child)
    if child is None or child.terminal or child.parent != parent.cid:
        return
    heir = next((row for row in money.ancestors(state, parent) if not row.terminal), None) if orphan.adopt else None
    granted = {name: amount for name, amount in child.ledger.granted.items() if amount}
    money.pass_on(state, child, {name: -amount for name, amount in granted.items()})
    child.parent = None if heir is None else heir.cid
    if heir is not None:
        money.pass_on(state, child, granted)
        waking.post(state, heir, orphan.news)
    told = "detached" if heir is None else "adopted_up"
    state.fact({"type": told, "cid": child.cid, "from": parent.cid, "parent": child.parent})


def inherit(state: PartitionState, row: Row, commit: Commit) -> None:
    """All that a merged one leaves is its heir's: free money that the heir has a limit for, findings, field, mail."""
    assert commit.heir is not None  # noqa: S101 - the caller's case
    heir = state.rows[commit.heir.cid]
    if row.account == heir.account:  # else it is its account's again
        money.move_over(state, row, heir)
    if commit.root != commit.heir.root:
        known = {content_of(finding) for finding in state.findings[commit.heir.root]}
        for finding in state.findings[commit.root]:
            name, own = content_of(finding), commit.root == row.cid or f'"continuation":"{row.cid}"'.encode() in finding
            if own and name not in known:
                known.add(name)
                state.findings[commit.heir.root].append(finding)
    copy_field(state, row.cid, heir.cid)
    for mail in commit.heir.mail:
        waking.post(state, heir, mail)


def copy_field(state: PartitionState, source: ContinuationId, to: ContinuationId) -> None:
    """The field of one is in the field of the other too, each entry once: entries are named by what they hold."""
    for half_life_ms, items in state.shelves.get(source, {}).items():
        shelf = state.shelves.setdefault(to, {}).setdefault(half_life_ms, {})
        new = {name: item for name, item in items.items() if name not in shelf}
        shelf.update(new)
        for name, item in new.items():
            note_degraded(state, to, half_life_ms, name, item)
