"""The writes of people in memory."""

from dataclasses import replace

from maestro.adapters.memory import commit as commits
from maestro.adapters.memory import lineage, money, waking
from maestro.adapters.memory.state import Memory, PartitionState, Row, ended
from maestro.adapters.memory.waking import Posted
from maestro.budget import ledger as ledgers
from maestro.budget.ledger import Ledger
from maestro.budget.vector import BudgetVector
from maestro.clock import ManualClock
from maestro.continuation.mail import Control, Kind, Mail
from maestro.errors import InvalidInput
from maestro.ids import ContinuationId, Partition, Rev, TimeMs, partition_of
from maestro.runtime.ports import TIMERS, ready_signal
from maestro.tick.records import Frost
from maestro.tick.steering import PERSON, UNCHANGED, Forked, granted, moved, order_fact, strangers, unlimited
from maestro.tick.store import Birth, Delivered


class MemorySteering:
    """maestro.tick.steering.Steering in one process."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def rebudget(
        self,
        cid: ContinuationId,
        more: BudgetVector,
        less: BudgetVector,
        key: str,
        exactly: BudgetVector = UNCHANGED,
        by: str = PERSON,
    ) -> Ledger:
        state, row = self._memory.find(cid)
        once = ("rebudget", f"{cid} {key}")
        if once in state.seen:
            return row.ledger
        if row.terminal:
            raise ended(row)
        before = row.ledger
        more, less = money.towards(before, more, less, exactly)
        money.rebudget(state, row, more, less)
        money.owe(state, money.root_of(state, row), less)
        state.seen.add(once, state.now())
        change = money.difference(before, row.ledger, more + less)
        state.fact({"type": "rebudgeted", "cid": cid, "change": change, "by": by, "key": key, "at_ms": state.now()})
        if more:
            waking.tell_granted(state, row, granted(key, more, state.now()))
        money.tell_crossings(state, row)
        return row.ledger

    async def soften(self, cid: ContinuationId, caps: BudgetVector, by: str = PERSON) -> Ledger:
        state, row = self._memory.find(cid)
        if row.terminal:
            raise ended(row)
        row.ledger = ledgers.soften(row.ledger, caps)
        state.fact({"type": "soft_capped", "cid": cid, "soft_cap": caps.root, "by": by, "at_ms": state.now()})
        money.tell_crossings(state, row)
        return row.ledger

    async def transfer(
        self, source: ContinuationId, to: ContinuationId, amount: BudgetVector, key: str, by: str = PERSON
    ) -> tuple[Ledger, Ledger]:
        if partition_of(source) != partition_of(to):
            raise strangers(source, to)
        (state, row), (_, other) = self._memory.find(source), self._memory.find(to)
        once = ("rebudget", f"{source} transfer {key}")
        if once in state.seen:
            return row.ledger, other.ledger
        for one in (row, other):
            if one.terminal:
                raise ended(one)
        if money.root_of(state, row) is not money.root_of(state, other):
            raise strangers(source, to)
        for name in amount.root:
            for one in (row, other):
                if one.ledger.account(name).granted is None:
                    raise unlimited(one.cid, name)
        money.transfer(state, row, other, amount)
        state.seen.add(once, state.now())
        told = {"amount": amount.root, "by": by, "key": key, "at_ms": state.now()}
        state.fact({"type": "transferred", "cid": source, "to": to, **told})
        waking.tell_granted(state, other, granted(f"transfer:{key}", amount, state.now()))
        money.tell_crossings(state, row, other)
        return row.ledger, other.ledger

    async def fork(self, source: ContinuationId, birth: Birth, key: str = "", whole_at: Rev | None = None) -> Forked:
        state, row = self._memory.find(source)
        once = ("fork", f"{source} {key}")
        if key and once in state.once:
            return Forked(state.once[once], duplicate=True)
        if birth.cid in state.rows:
            return Forked(birth.cid, duplicate=True)
        if row.gone is not None:
            raise ended(row)
        if whole_at not in (None, row.rev):
            raise moved(source, row.rev)
        money.move_out(state, row, birth.grant)
        if key:
            state.once[once] = birth.cid
        commits.birth(state, replace(birth, account=row.account), parent=None)
        if whole_at is not None:
            for mail in row.mail:
                if mail.kind is not Kind.START:
                    waking.put(state, state.rows[birth.cid], mail)
            lineage.copy_field(state, source, birth.cid)
        state.fact({"type": "forked", "cid": birth.cid, "from": source, "grant": dict(birth.grant.items())})
        money.tell_crossings(state, row)
        return Forked(birth.cid)

    async def freeze(
        self, cid: ContinuationId, frozen: bool, by: str = PERSON, reason: str = "", tree: bool = False
    ) -> None:
        state, row = self._memory.find(cid)
        if row.terminal:
            return
        frost = Frost(by, state.now(), "tree" if tree else "one", reason)
        if not (_freeze(state, row, frost) if frozen else _thaw(state, row)):
            return
        state.fact({"type": "frozen" if frozen else "thawed", "cid": cid, **_told(frost)})

    async def brake(self, on: bool, by: str = PERSON, reason: str = "") -> bool:
        changed = False
        for state in self._memory.partitions:
            frost = Frost(by, state.now(), "all", reason)
            if on is (state.brake is not None):
                continue
            changed = True
            state.brake = frost if on else None
            for pool, ready in state.ready.items():
                for cid in ready:
                    if on and state.rows[cid].is_ordered(Control.KILL):
                        ready.drop(cid)
                        waking.make_ready(state, state.rows[cid])
                    elif not on:
                        state.signals.ring(ready_signal(pool))
            state.fact({"type": "frozen" if on else "thawed", **_told(frost)})
        return changed

    async def order(self, to: ContinuationId, mail: Mail) -> Delivered:
        state, row = self._memory.find(to)
        match waking.post(state, row, mail):
            case Posted.TERMINAL:
                raise ended(row)
            case Posted.OK:
                state.fact(order_fact(to, mail))
                return Delivered()
            case _:
                return Delivered(duplicate=True)

    async def advance(self, by_ms: int) -> TimeMs:
        clock = self._memory.at(Partition(0)).clock
        if not isinstance(clock, ManualClock):
            raise InvalidInput(
                "this store runs on the system clock",
                field="clock",
                hint="create a store with MAESTRO_CLOCK=virtual to move its time",
            )
        if by_ms < 0:
            raise InvalidInput(f"a clock cannot go back by {-by_ms} ms", field="by", hint="give a time such as 21d")
        now_ms = clock.advance(by_ms)
        self._memory.at(Partition(0)).signals.ring(TIMERS)
        return now_ms


def _freeze(state: PartitionState, row: Row, frost: Frost) -> bool:
    """False when it is so already."""
    vigil, tree = row.vigil, frost.scope == "tree"
    if vigil.frost is not None and (vigil.tree or not tree):
        return False
    was_frozen, vigil.frost, vigil.tree = vigil.frost is not None, frost, vigil.tree or tree
    if not was_frozen:
        vigil.owed = row.cid in state.ready[row.pool]
        state.ready[row.pool].drop(row.cid)
        if vigil.owed:
            waking.make_ready(state, row)
    return True


def _thaw(state: PartitionState, row: Row) -> bool:
    """False when it was not frozen."""
    vigil = row.vigil
    if vigil.frost is None:
        return False
    vigil.frost, vigil.tree, owed, vigil.owed = None, False, vigil.owed, False
    if owed:
        waking.make_ready(state, row)
    return True


def _told(frost: Frost) -> dict[str, object]:
    return {"by": frost.by, "reason": frost.reason, "scope": frost.scope, "at_ms": frost.at_ms}
