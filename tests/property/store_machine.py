"""A store under random rules, beside a dictionary that says what it should be.

One machine for every adapter, so that they cannot drift apart. The dictionary knows nothing of checkpoints and logs:
who is ready, who holds what under which epoch, what is unread, what is due, and where the money is.

Times: every due moment lies five seconds off every moment that the clock is moved to, so that the real milliseconds
which pass on Redis' clock decide nothing.
"""

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from maestro.budget.vector import BudgetVector
from maestro.continuation.mail import ENDING
from maestro.errors import BudgetExceededError, ContinuationAlreadyTerminalError, InvalidInput
from maestro.ids import CallId, HolderId, TimeMs
from tests.contract.support import control, happening, letter
from tests.property.store_model import Row, granted, line_of
from tests.property.store_ticks import AMOUNT, HERE, HOLDERS, LEASE_MS, OFF_MS, PICK, STEP_MS, SUBJECT, Ticks


class StoreMachine(Ticks):
    """All rules: those of a tick, and what comes from elsewhere while it goes on."""

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
            row.controls.append(granted(key))
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
            family = line_of(row)[-1] is line_of(other)[-1]
            assert row.done or other.done or not family or amount > max(0, row.free)
            return
        assert amount <= max(0, row.free)
        if other.holder is not None:
            other.controls.append(granted(f"transfer:{key}"))
        for line, by in ((line_of(row), -amount), (line_of(other), amount)):
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
