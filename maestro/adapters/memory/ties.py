"""Watches in memory: who is told of an end, once.

A watch lies with its target; a link is two of them, one with each side.
"""

from collections.abc import Container

from maestro.adapters.memory import mailbox, waking
from maestro.adapters.memory.state import PartitionState, Row
from maestro.continuation.mail import Mail
from maestro.ids import ContinuationId
from maestro.runtime.ports import RELAY
from maestro.tick.store import Commit, OutboxRow
from maestro.tick.watches import Watch


def watch(state: PartitionState, asked: Watch) -> bool:
    """The watcher will be told; False where nobody of the target's id lives."""
    target = state.rows.get(asked.target)
    if target is not None and not target.terminal:
        target.watches[asked.ref] = (asked.watcher, asked.link)
        return True
    if asked.link:
        unwatch(state, Watch(asked.watcher, asked.target, asked.ref))
    return False


def unwatch(state: PartitionState, asked: Watch) -> None:
    """The watcher will not be told."""
    if (target := state.rows.get(asked.target)) is not None:
        target.watches.pop(asked.ref, None)


def tie(state: PartitionState, row: Row, commit: Commit) -> None:
    """What the tick wanted to know of others' ends, and what it does not want to know any more."""
    for over in commit.unwatched:
        unwatch(state, over)
        if over.watcher == row.cid:
            _forget(state, row, f"{over.kind}:{over.ref}")
    for asked, answer in commit.watches:
        if not watch(state, asked) and asked.watcher == row.cid:
            waking.post(state, row, answer)


def tell_watchers(state: PartitionState, row: Row, word: Mail, spared: Container[ContinuationId] = ()) -> None:
    """All who watch it, but for `spared`, know of its end."""
    for ref, (watcher, link) in tuple(row.watches.items()):
        if watcher in spared:
            continue
        del row.watches[ref]
        told = Watch(row.cid, watcher, ref, link).told(word)
        if link:
            unwatch(state, Watch(watcher, row.cid, ref))
        if watcher in state.rows:
            waking.post(state, state.rows[watcher], told)
        else:
            state.outbox.add(OutboxRow(told.id, "mail", watcher, told.model_dump_json().encode()))
            state.signals.ring(RELAY)


def _forget(state: PartitionState, row: Row, key: str) -> None:
    for mail in [mail for mail in row.mail if mail.wake_key == key]:
        mailbox.take_out(state, row, mail, "mail_read")
