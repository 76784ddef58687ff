"""The rules of a tick: it is adopted, records and settles its calls, and is committed or handed back.

Here is too what every rule stands on: a store beside its model, and what must be so of both after each rule.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import replace
from random import Random
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from maestro.budget.vector import BudgetVector
from maestro.continuation.lifecycle import Hold, Status
from maestro.continuation.mail import Mail, in_lanes
from maestro.errors import BudgetExceededError, Fenced
from maestro.ids import CallId, ContinuationId, HolderId, Partition, Rev, drawn_from
from maestro.mesh.event import Event
from maestro.runtime.backend import Backend
from maestro.tick.store import Adopted, Commit, JournalEntry
from tests.contract.support import World, batch_of, child_birth, ended, finish, intent, tick_end
from tests.property.store_model import Row

STEP_MS, OFF_MS = 10_000, 5_000
LEASE_MS = 3 * STEP_MS + OFF_MS
HOLDERS = (HolderId("alice"), HolderId("bob"), HolderId("carol"))
SUBJECT = "model.a"
HERE = Partition(0)
PICK = st.integers(0, 1_000)
AMOUNT = st.integers(0, 60)


class Ticks(RuleBasedStateMachine):
    """A store and its model; `open` is set by whoever runs them."""

    open: ClassVar[Callable[[], Awaitable[Backend]]]
    loop: ClassVar[asyncio.AbstractEventLoop]
    steps: ClassVar[Counter[str]]
    """How many rules did something, and how many found nothing to do."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.stack.enter_context(drawn_from(Random("names").getrandbits))
        self.backend = self.do(type(self).open())
        self.world = World(self.backend)
        self.rows: dict[ContinuationId, Row] = {}
        self.hands: dict[ContinuationId, Adopted] = {}
        self.stale: list[Adopted] = []
        self.written: list[Commit] = []
        self.leases: dict[HolderId, int] = {}
        self.letters: list[tuple[ContinuationId, Mail]] = []
        self.events: list[Event] = []
        self.now_ms = 0
        self.numbers = itertools.count()
        self.begun_ms = self.do(self.backend.clock.now_ms())

    def do(self, work: Awaitable[Any]) -> Any:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        self.do(self.world.audit())
        self.do(self.backend.close())
        self.stack.close()

    @rule(holder=st.sampled_from(HOLDERS))
    def adopt(self, holder: HolderId) -> None:
        waiting = [row.cid for row in self.rows.values() if row.ready]
        due = [(self.do(self.backend.records.glance(cid)).ready_since_ms, cid) for cid in waiting]
        adopted = self.do(self.backend.store.adopt("default", holder, LEASE_MS, HERE))
        assert (None if adopted is None else adopted.cid) == min(due, default=(0, None))[1]
        if adopted is not None:
            self._take(adopted, holder)

    def _take(self, adopted: Adopted, holder: HolderId) -> None:
        row = self.rows[adopted.cid]
        row.sweep(self.now_ms)
        row.epoch, row.tries, row.holder = row.epoch + 1, row.tries + 1, holder
        row.ready, row.retry_ms = False, None
        row.controls_seen, row.mail_seen = len(row.controls), len(row.unread)
        assert (adopted.epoch, adopted.rev, adopted.tries) == (row.epoch, row.rev, row.tries)
        assert [mail.id for mail in adopted.controls] == [mail.id for mail in in_lanes(row.controls)]
        assert len(adopted.mail) == len(row.unread)
        assert [mail.id for mail in adopted.mail if not mail.id.startswith(("start", "timer"))] == [
            name for name in row.unread if not name.startswith(("start", "timer"))
        ]
        assert dict(adopted.journal) == row.journal
        self.leases[holder] = self.now_ms + LEASE_MS
        self.hands[row.cid] = adopted

    @rule(who=PICK, ordinal=st.integers(0, 1), price=AMOUNT)
    def record(self, who: int, ordinal: int, price: int) -> None:
        if not self.hands:
            return self._idle()
        adopted, row = self._held(who)
        entry = intent(ordinal, BudgetVector({"usd": price}))
        known = row.journal.get(ordinal)
        if known is not None and not known.failed:
            assert self._record(adopted, entry) == known
        elif price > row.free:
            assert self._record(adopted, entry) is None
        else:
            assert self._record(adopted, entry) == entry
            row.journal[ordinal], row.reserved[entry.call_id], row.batch = entry, price, True
        return None

    def _record(self, adopted: Adopted, entry: JournalEntry) -> JournalEntry | None:
        """None when there is not enough money."""
        try:
            return self.do(self.backend.store.record(adopted.cid, adopted.epoch, entry, batch_of(adopted)))  # type: ignore[no-any-return]
        except BudgetExceededError:
            return None

    @rule(who=PICK, ordinal=st.integers(0, 1), failed=st.booleans(), part=st.integers(0, 100), strange=st.booleans())
    def settle(self, who: int, ordinal: int, failed: bool, part: int, strange: bool) -> None:
        row = self._any(who)
        entry = row.journal.get(ordinal)
        call = CallId("call-of-nobody") if entry is None or strange else entry.call_id
        charge = row.reserved.get(call, 50) * part // 100
        told = self.do(
            self.backend.journals.settle(row.cid, ordinal, call, {"n": 1}, failed, BudgetVector({"usd": charge}))
        )
        if entry is None or strange:
            assert told is None
            return
        if not entry.answered:
            row.settle(call, charge)
            row.journal[ordinal] = replace(
                entry, answer={"n": 1}, answered=not failed, failed=failed, charge=BudgetVector({"usd": charge})
            )
        assert told == row.journal[ordinal]

    @rule(
        who=PICK,
        ending=st.sampled_from(["sleep", "sleep", "sleep", "hold", "finish"]),
        subscribe=st.booleans(),
        timer=st.sampled_from([None, 0, 1, 5]),
        child=st.none() | AMOUNT,
        then=st.none() | st.sampled_from(HOLDERS),
    )
    def commit(
        self, who: int, ending: str, subscribe: bool, timer: int | None, child: int | None, then: HolderId | None
    ) -> None:
        if not self.hands:
            return self._idle()
        adopted, row = self._held(who)
        wishes: dict[str, Any] = {}
        if subscribe and ending != "finish":
            wishes["subscriptions"] = ((SUBJECT, "interest", None),)
        due_ms = None if timer is None or ending == "finish" else self.now_ms + timer * STEP_MS + OFF_MS
        if due_ms is not None:
            wishes["timers"] = {"alarm": self.begun_ms + due_ms}
        if child is not None and ending != "finish":
            wishes["births"] = (child_birth(adopted, 0, BudgetVector({"usd": child})),)
        if ending == "finish" and row.subscribed:
            wishes["unsubscriptions"] = ((SUBJECT, "interest"),)  # as the fold does: the store asks nobody's status
        if ending == "finish" and row.parent is not None:
            wishes["family_mail"] = ((row.parent.cid, ended(row.cid)),)
        commit = finish(adopted, **wishes) if ending == "finish" else tick_end(adopted, **wishes)
        commit = replace(commit, hold=Hold.QUARANTINED) if ending == "hold" else commit
        next_ = None if then is None else ("default", then, LEASE_MS)
        try:
            committed = self.do(self.backend.store.commit(commit, next_))
        except BudgetExceededError:
            assert child is not None
            assert child > row.free
            return None
        assert not committed.duplicate
        assert child is None or ending == "finish" or child <= row.free
        self._committed(row, commit, due_ms, child if "births" in wishes else None)
        if committed.next is not None:
            assert then is not None
            self._take(committed.next, then)
        return None

    def _committed(self, row: Row, commit: Commit, due_ms: int | None, child: int | None) -> None:
        self.stale.append(self.hands.pop(row.cid))
        self.written.append(commit)
        row.rev, row.commit_epoch, row.tries, row.holder = commit.rev, row.epoch, 0, None
        row.controls, row.unread = row.controls[row.controls_seen :], row.unread[row.mail_seen :]
        row.waits, row.hold, row.owed, row.batch = True, commit.hold, False, False
        for call in tuple(row.reserved):
            row.settle(call)
        row.journal.clear()
        row.subscribed = row.subscribed or bool(commit.subscriptions)
        if due_ms is not None:
            row.timers["alarm"] = due_ms
        for birth in commit.births:
            row.lent += child or 0
            self.rows[birth.cid] = Row(birth.cid, row, child or 0, unread=["start"])
        for to, mail in commit.family_mail:
            if not self.rows[to].done:
                self.rows[to].put(None, mail.id)
        if commit.status is not Status.PENDING:
            self._end(row)
            return
        row.sweep(self.now_ms)
        if row.controls or (row.unread and row.hold is None):
            row.make_ready()

    def _end(self, row: Row) -> None:
        row.done, row.ready, row.subscribed, row.retry_ms = True, False, False, None
        row.controls, row.unread, row.timers = [], [], {}
        self._give_back(row)

    def _give_back(self, row: Row) -> None:
        while row.parent is not None and row.done:
            back = max(0, row.free)
            row.granted, row.parent.lent = row.granted - back, row.parent.lent - back
            row = row.parent

    @rule(who=PICK, retry=st.sampled_from([0, 1, 2]), counts=st.booleans())
    def release(self, who: int, retry: int, counts: bool) -> None:
        if not self.hands:
            return self._idle()
        adopted, row = self._held(who)
        retry_ms = retry * STEP_MS + OFF_MS if retry else 0
        self.do(self.backend.store.release(row.cid, adopted.epoch, retry_ms, "a test", counts))
        self.stale.append(self.hands.pop(row.cid))
        row.holder, row.tries = None, row.tries if counts else row.tries - 1
        row.journal = {n: entry for n, entry in row.journal.items() if not entry.failed}
        if retry_ms and len(row.controls) == row.controls_seen:
            row.retry_ms = self.now_ms + retry_ms
        else:
            row.make_ready()
        return None

    # ------------------------------------------------------------ what is stale, and what is repeated

    @rule(which=PICK, what=st.sampled_from(["commit", "record", "release"]))
    def stale_holder(self, which: int, what: str) -> None:
        if not self.stale:
            return self._idle()
        stale = self.stale[which % len(self.stale)]
        row, store = self.rows[stale.cid], self.backend.store
        repeat = what == "commit" and (stale.rev + 1, stale.epoch) == (row.rev, row.commit_epoch)
        try:
            if what == "commit":
                assert self.do(store.commit(tick_end(stale))).duplicate
            elif what == "record":
                self.do(store.record(stale.cid, stale.epoch, intent(0, BudgetVector({"usd": 1})), batch_of(stale)))
            else:
                self.do(store.release(stale.cid, stale.epoch, 0, "stale", True))
        except Fenced as fenced:
            assert not repeat
            assert (fenced.epoch, fenced.current) == (stale.epoch, row.epoch)  # noqa: PT017 - a rule, not a test
        else:
            assert repeat

    @rule(which=PICK)
    def repeated_commit(self, which: int) -> None:
        if not self.written:
            return self._idle()
        commit = self.written[which % len(self.written)]
        row = self.rows[commit.cid]
        try:
            assert self.do(self.backend.store.commit(commit)).duplicate
        except Fenced:
            assert (commit.rev, commit.epoch) != (row.rev, row.commit_epoch)
        else:
            assert (commit.rev, commit.epoch) == (row.rev, row.commit_epoch)

    @rule(who=PICK, off=st.sampled_from([-1, 1, 2]))
    def commit_of_a_wrong_rev(self, who: int, off: int) -> None:
        if not self.hands:
            return self._idle()
        adopted, row = self._held(who)
        try:
            self.do(self.backend.store.commit(replace(tick_end(adopted), rev=Rev(adopted.rev + 1 + off))))
        except Fenced as fenced:
            assert fenced.current == row.epoch  # noqa: PT017 - a rule, not a test
        else:
            raise AssertionError("a revision was skipped or written twice")

    # ------------------------------------------------------------ what must be so after every rule

    @invariant()
    def the_store_is_as_the_model_says(self) -> None:
        self.steps["done"] += 1
        for row, glance in zip(self.rows.values(), self.do(self._glances()), strict=True):
            usd = glance.ledger.account("usd")
            found = (glance.epoch, glance.rev, glance.tries, glance.holder, glance.frozen, glance.unread)
            assert found == (row.epoch, row.rev, row.tries, row.holder, row.frozen, len(row.controls) + len(row.unread))
            assert (glance.ready_since_ms is not None) == row.ready, f"{row.cid} ready: {row}"
            money = (usd.granted, usd.reserved, usd.spent, usd.lent)
            assert money == (row.granted, sum(row.reserved.values()), row.spent, row.lent)

    async def _glances(self) -> list[Any]:
        """Every row as the store has it, asked for in one go: nothing happens meanwhile."""
        return await asyncio.gather(*(self.backend.records.glance(cid) for cid in self.rows))

    def _idle(self) -> None:
        """The rule found nothing to do: it is no step. (A precondition would make what is drawn hang on real time.)."""
        self.steps["done"] -= 1
        self.steps["idle"] += 1

    def _any(self, pick: int) -> Row:
        return list(self.rows.values())[pick % len(self.rows)]

    def _held(self, pick: int) -> tuple[Adopted, Row]:
        adopted = list(self.hands.values())[pick % len(self.hands)]
        return adopted, self.rows[adopted.cid]
