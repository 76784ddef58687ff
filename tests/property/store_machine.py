"""A store under random rules, beside a dictionary that says what it should be.

One machine for every adapter, so that they cannot drift apart. The dictionary knows nothing of checkpoints and logs:
who is ready, who holds what under which epoch, what is unread, what is due, and where the money is.

Times: every due moment lies five seconds off every moment that the clock is moved to, so that the real milliseconds
which pass on Redis' clock decide nothing.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from maestro.budget.vector import BudgetVector
from maestro.continuation.lifecycle import Hold, Status
from maestro.continuation.mail import ENDING, Control, Mail, in_lanes
from maestro.errors import BudgetExceededError, ContinuationAlreadyTerminalError, Fenced, InvalidInput
from maestro.ids import CallId, ContinuationId, HolderId, Partition, Rev, TimeMs, drawn_from
from maestro.mesh.event import Event
from maestro.runtime.backend import Backend
from maestro.tick.store import Adopted, Commit, JournalEntry
from tests.contract.support import (
    World,
    batch_of,
    child_birth,
    control,
    ended,
    finish,
    happening,
    intent,
    letter,
    tick_end,
)

STEP_MS, OFF_MS = 10_000, 5_000
LEASE_MS = 3 * STEP_MS + OFF_MS
HOLDERS = (HolderId("alice"), HolderId("bob"), HolderId("carol"))
SUBJECT = "model.a"
HERE = Partition(0)
PICK = st.integers(0, 1_000)
AMOUNT = st.integers(0, 60)


@dataclass
class Row:
    """What the model knows of one continuation."""

    cid: ContinuationId
    parent: "Row | None"
    granted: int
    reserved: dict[CallId, int] = field(default_factory=dict)
    spent: int = 0
    lent: int = 0
    epoch: int = 0
    commit_epoch: int = 0
    rev: int = 0
    tries: int = 0
    holder: HolderId | None = None
    ready: bool = True
    frozen: bool = False
    owed: bool = False
    waits: bool = False
    hold: Hold | None = None
    done: bool = False
    subscribed: bool = False
    controls: list[Mail] = field(default_factory=list)
    controls_seen: int = 0
    unread: list[str] = field(default_factory=list)
    mail_seen: int = 0
    batch: bool = False
    """The mail of the open tick is fixed: a repeated try sees the same."""
    tags: dict[str, str] = field(default_factory=dict)
    over_ms: dict[str, int] = field(default_factory=dict)
    """Mail -> what it supersedes by; when it expires."""
    journal: dict[int, JournalEntry] = field(default_factory=dict)
    unknown: dict[CallId, int] = field(default_factory=dict)
    """What was charged in full, and may be refunded."""
    timers: dict[str, int] = field(default_factory=dict)
    retry_ms: int | None = None

    @property
    def free(self) -> int:
        return self.granted - sum(self.reserved.values()) - self.spent - self.lent

    def make_ready(self) -> None:
        if not self.done and self.holder is None:
            self.owed, self.ready = (True, self.ready) if self.frozen else (self.owed, True)

    def put(self, mail: Mail | None, name: str = "") -> None:
        """Control mail, or (None) other mail called `name`, came."""
        if mail is not None:
            self.controls.append(mail)
            self.make_ready()
        else:
            self.unread.append(name)
            if self.waits and self.hold is None:
                self.make_ready()

    def waiting(self) -> list[str]:
        """The unread mail that no tick has in hand."""
        return self.unread[self.mail_seen if self.holder is not None or self.batch else 0 :]

    def supersede(self, tag: str) -> None:
        """The newest unread mail of that tag gives way."""
        old = next((name for name in reversed(self.waiting()) if self.tags.get(name) == tag), None)
        if old is not None:
            self.unread.remove(old)

    def sweep(self, now_ms: int) -> None:
        """What has expired is gone."""
        for name in self.waiting():
            if name in self.over_ms and self.over_ms[name] <= now_ms:
                self.unread.remove(name)

    def settle(self, call: CallId, charge: int | None = None) -> None:
        if call in self.reserved:
            price = self.reserved.pop(call)
            self.spent += price if charge is None else charge
            if charge is None:
                self.unknown[call] = price

    def refund(self, call: CallId, actual: int) -> bool:
        if call not in self.unknown:
            return False
        self.spent += actual - self.unknown.pop(call)
        if self.holder is not None and not self.done:
            self.controls.append(_granted(f"refund:{call}"))
        return True


class StoreMachine(RuleBasedStateMachine):
    """The rules; `open` is set by whoever runs them."""

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

    # ------------------------------------------------------------ births, mail, events

    @initialize(budget=AMOUNT)
    def begin(self, budget: int) -> None:
        self.create(budget)

    @rule(budget=AMOUNT)
    def create(self, budget: int) -> None:
        if len(self.rows) >= 6:
            return self._idle()
        birth = self.do(self.world.birth(BudgetVector({"usd": budget})))
        assert self.do(self.backend.store.create(birth)) is True
        assert self.do(self.backend.store.create(birth)) is False
        self.rows[birth.cid] = Row(birth.cid, None, budget, unread=["start"])
        return None

    @rule(
        who=PICK,
        lane=st.sampled_from(["message", "message", "control", "cancel", "again"]),
        tag=st.none() | st.sampled_from(["price", "news"]),
        expires=st.sampled_from([None, None, -1, 0, 3]),
    )
    def deliver(self, who: int, lane: str, tag: str | None, expires: int | None) -> None:
        row = self._any(who)
        over_ms = None if expires is None else self.now_ms + expires * STEP_MS + OFF_MS
        mail = control("cancel" if lane == "cancel" else "wake") if lane in ("control", "cancel") else letter()
        if lane == "message":
            until_ms = None if over_ms is None else TimeMs(self.begun_ms + over_ms)
            mail = mail.model_copy(update={"supersedes": tag, "expires_ms": until_ms})
        if lane == "again" and self.letters:
            cid, mail = self.letters[who % len(self.letters)]
            row = self.rows[cid]
        try:
            delivered = self.do(self.backend.store.deliver(row.cid, mail))
        except ContinuationAlreadyTerminalError:
            assert row.done
            return
        duplicate = delivered.duplicate
        assert duplicate == ((row.cid, mail) in self.letters)
        assert not row.done or duplicate
        if duplicate:
            return
        self.letters.append((row.cid, mail))
        late = lane == "message" and over_ms is not None and over_ms <= self.now_ms
        assert delivered.expired == late
        if late:
            return
        if mail.tag is not None:
            row.supersede(mail.tag)
            row.tags[mail.id] = mail.tag
        if mail.expires_ms is not None and over_ms is not None:
            row.over_ms[mail.id] = over_ms
        row.put(mail if mail.is_order else None, mail.id)

    @rule(again=st.booleans(), which=PICK)
    def publish(self, again: bool, which: int) -> None:
        if again and self.events:
            assert self.do(self.backend.router.route(self.events[which % len(self.events)], HERE)).duplicate
            return
        event = happening(SUBJECT, key=f"{self.begun_ms}-{next(self.numbers)}")
        routed = self.do(self.backend.router.route(event, HERE))
        listening = [row for row in self.rows.values() if row.subscribed and not row.done]
        assert (routed.duplicate, routed.matched) == (False, len(listening))
        for row in listening:
            row.put(None, event.id)
        self.events.append(event)

    # ------------------------------------------------------------ a tick

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

    # ------------------------------------------------------------ leases and time

    @rule(holder=st.sampled_from(HOLDERS))
    def renew(self, holder: HolderId) -> None:
        renewal = self.do(self.backend.store.renew(holder, LEASE_MS))
        mine = [row for row in self.rows.values() if row.holder == holder]
        wanted = [
            row.cid
            for row in mine
            if {mail.subject for mail in row.controls[row.controls_seen :]}
            & set(ENDING) - {mail.subject for mail in row.controls[: row.controls_seen]}
        ]
        assert sorted(renewal.held) == sorted(row.cid for row in mine)
        assert sorted(renewal.urgent) == sorted(wanted)
        if mine:
            self.leases[holder] = self.now_ms + LEASE_MS
        else:
            self.leases.pop(holder, None)

    @rule(holder=st.sampled_from(HOLDERS))
    def reclaim(self, holder: HolderId) -> None:
        mine = [row for row in self.rows.values() if row.holder == holder]
        assert self.do(self.backend.leases.reclaim(holder, HERE)) == len(mine)
        self.leases.pop(holder, None)
        for row in mine:
            self.stale.append(self.hands.pop(row.cid))
            row.epoch, row.holder = row.epoch + 1, None
            row.make_ready()

    @rule(steps=st.integers(0, 6))
    def advance(self, steps: int) -> None:
        self.do(self.backend.steering.advance(steps * STEP_MS))
        self.now_ms += steps * STEP_MS
        over = {holder for holder, until_ms in self.leases.items() if until_ms <= self.now_ms}
        assert set(self.do(self.backend.leases.expired(HERE))) == over

    @rule()
    def fire(self) -> None:
        count = 0
        for row in self.rows.values():
            if row.retry_ms is not None and row.retry_ms <= self.now_ms:
                row.retry_ms, count = None, count + 1
                row.make_ready()
            for name in [name for name, due_ms in row.timers.items() if due_ms <= self.now_ms]:
                del row.timers[name]
                row.put(None, f"timer:{name}")
                count += 1
        assert self.do(self.backend.timers.fire(HERE)).count == count

    # ------------------------------------------------------------ people

    @rule(who=PICK, more=AMOUNT, less=AMOUNT, again=st.booleans())
    def rebudget(self, who: int, more: int, less: int, again: bool) -> None:
        row, key = self._any(who), f"key-{next(self.numbers)}"
        change = BudgetVector({"usd": more}), BudgetVector({"usd": less})
        try:
            self.do(self.backend.steering.rebudget(row.cid, *change, key))
        except BudgetExceededError:
            assert less > row.free
            return
        except ContinuationAlreadyTerminalError:
            assert row.done
            return
        assert not row.done
        assert less <= max(0, row.free)
        row.granted += more - less
        if more > 0 and row.holder is not None:
            row.controls.append(_granted(key))
        above = row.parent
        while above is not None:
            above.granted, above.lent = above.granted + more - less, above.lent + more - less
            above = above.parent
        if again:
            self.do(self.backend.steering.rebudget(row.cid, *change, key))

    @rule(who=PICK, part=st.integers(0, 100), late_answer=st.booleans())
    def refund(self, who: int, part: int, late_answer: bool) -> None:
        row = self._any(who)
        call = next(iter(row.unknown), CallId("call-of-nobody"))
        actual = row.unknown.get(call, 50) * part // 100
        amount = BudgetVector({"usd": actual})
        for first in (call in row.unknown, False):
            if late_answer:
                self.do(self.backend.journals.settle(row.cid, 99, call, {"n": 1}, failed=False, charge=amount))
            else:
                assert self.do(self.backend.journals.refund(row.cid, call, amount)) is first
            assert row.refund(call, actual) is first
            self._give_back(row)

    @rule(who=PICK, to=PICK, amount=AMOUNT)
    def transfer(self, who: int, to: int, amount: int) -> None:
        row, other, key = self._any(who), self._any(to), f"key-{next(self.numbers)}"
        try:
            self.do(self.backend.steering.transfer(row.cid, other.cid, BudgetVector({"usd": amount}), key))
        except (BudgetExceededError, ContinuationAlreadyTerminalError, InvalidInput):
            family = _line(row)[-1] is _line(other)[-1]
            assert row.done or other.done or not family or amount > max(0, row.free)
            return
        assert amount <= max(0, row.free)
        if other.holder is not None:
            other.controls.append(_granted(f"transfer:{key}"))
        for line, by in ((_line(row), -amount), (_line(other), amount)):
            line[0].granted += by
            for above in line[1:]:
                above.granted, above.lent = above.granted + by, above.lent + by

    @rule(who=PICK, frozen=st.booleans())
    def freeze(self, who: int, frozen: bool) -> None:
        row = self._any(who)
        self.do(self.backend.steering.freeze(row.cid, frozen))
        if frozen and not row.frozen and not row.done:
            row.frozen, row.owed, row.ready = True, row.ready, False
        elif row.frozen and not frozen and not row.done:  # what has ended stays as it is
            owed, row.frozen, row.owed = row.owed, False, False
            if owed:
                row.make_ready()

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


def _line(row: Row) -> list[Row]:
    """It, its parent, and so on to its root."""
    return [row] if row.parent is None else [row, *_line(row.parent)]


def _granted(key: str) -> Mail:
    mail = control(Control.GRANTED)
    return mail.model_copy(update={"id": f"granted:{key}"})
