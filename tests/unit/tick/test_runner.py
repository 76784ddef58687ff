"""The runner: one adopted continuation to the commit that ends its tick, or back.

Everything here runs on a whole store in memory, with the real mind, desk and journal; the model alone is scripted.
"""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from maestro.continuation.directive import Closing, Finish, Sleep, Wait
from maestro.continuation.envelope import Seal
from maestro.continuation.lifecycle import Hold, Status
from maestro.continuation.mail import Control, Mail
from maestro.continuation.wait import StreamEvent, UserReply
from maestro.errors import Fenced, StoreUnavailable
from maestro.ids import Partition
from maestro.runtime import verbs
from maestro.tick.behaviour import Behaviour, NoState
from maestro.tick.context import Tick
from maestro.tick.migration import RawState, migrates
from maestro.tick.runner import MAX_TRIES, RETRY_MS, HandBack, run
from maestro.tick.store import JournalEntry
from tests.stage import BOB, CHARGE_USD_MICROS, LEASE_MS, Stage
from tests.unit.tick.thinkers import RAN, Seen, Thinker, _nothing_ran, retried

__all__ = ["_nothing_ran"]


class Poison(Behaviour[Seen]):
    """Falls at every message, after a thought and with a directive under way."""

    async def on_message(self, tick: Tick[Seen], message: Mail) -> Closing | None:
        RAN.append("message")
        tick.state.answers.append(await tick.think("before the fall"))
        tick.publish("never.seen")
        raise ZeroDivisionError("poisoned")


class Fickle(Behaviour[NoState]):
    """Asks something else in every try."""

    async def start(self, tick: Tick[NoState]) -> Closing | None:
        RAN.append("start")
        await tick.think(f"question {len(RAN)}")
        raise RuntimeError("and then falls")


class Hanging(Behaviour[NoState]):
    async def start(self, tick: Tick[NoState]) -> Closing | None:
        await asyncio.Event().wait()
        return None


class Greedy(Behaviour[NoState]):
    """Catches whatever it can."""

    async def start(self, tick: Tick[NoState]) -> Closing | None:
        try:
            await tick.think("anything")
        except Exception:  # noqa: BLE001 - that is the point
            RAN.append("caught")
        return Finish()


class Asking(Behaviour[NoState]):
    """Asks a person, and says nothing more when it is answered."""

    async def start(self, tick: Tick[NoState]) -> Closing | None:
        return Wait.reply("Shall I?")


class Waker(Behaviour[NoState]):
    """Sleeps until a moment, and says nothing more when it has come."""

    async def start(self, tick: Tick[NoState]) -> Closing | None:
        return Sleep.until(tick.now_ms + 1_000)

    async def on_timer(self, tick: Tick[NoState], timer_id: str) -> Closing | None:
        RAN.append(timer_id)
        return None


class Old(Behaviour[NoState]):
    name = "growing"


class New(Behaviour[Seen]):
    name = "growing"
    version = 2

    @migrates(1)
    @staticmethod
    def _grow(state: RawState) -> RawState:
        return {"answers": ["from version 1"]}


@pytest.fixture
def staged(stage: Stage) -> Stage:
    stage.around = stage.surroundings(Thinker, Poison, Fickle, Hanging, Greedy, Asking, Waker)
    return stage


async def test_a_tick_ends_in_a_commit_with_its_effects_in_the_log(staged: Stage) -> None:
    cid = await staged.start(Thinker)
    commit = await staged.committed()
    assert (commit.rev, await staged.state(cid)) == (1, {"answers": ["ok", "ok"]})
    record = (await verbs.records(staged.at, cid))[-1]
    assert [effect.outcome for effect in record.effects] == ["answered", "answered"]
    assert record.charges["usd"] == 2 * CHARGE_USD_MICROS
    assert (await staged.ledger(cid)).account("usd").spent == 2 * CHARGE_USD_MICROS


async def test_a_kill_runs_no_line_of_user_code(staged: Stage) -> None:
    cid = await staged.start(Thinker)
    await verbs.order(staged.at, cid, Control.KILL)
    await staged.committed()
    assert (RAN, (await staged.checkpoint(cid)).status) == ([], Status.CANCELLED)
    assert await staged.why(cid) == "cancelled: kill by person"


async def test_a_kill_tells_its_reason_and_a_product_kill_its_own(staged: Stage) -> None:
    one, two = await staged.start(Thinker), await staged.start(Thinker)
    await verbs.order(staged.at, one, Control.KILL, "too dear")
    await verbs.order(staged.at, two, Control.KILL, "cancelled_by_product")
    await staged.settle()
    first, second = await staged.checkpoint(one), await staged.checkpoint(two)
    assert (first.stop_reason, first.stop_detail) == ("cancelled_by_user", "kill by person: too dear")
    assert (second.status, second.stop_reason) == (Status.CANCELLED, "cancelled_by_product")


async def test_an_unknown_behaviour_is_held_with_its_mail_and_goes_on_where_it_is_known(staged: Stage) -> None:
    cid = await staged.start("stranger")
    assert (await staged.held()).hold is Hold.UNSERVABLE
    assert (await verbs.glance_of(staged.at, cid)).unread == 1
    assert "no behaviour 'stranger' here" in await staged.why(cid)
    stranger = type("Stranger", (Thinker,), {"name": "stranger"})
    staged.around = staged.surroundings(stranger)
    await verbs.order(staged.at, cid, Control.THAW)
    await staged.committed()
    assert (RAN, (await staged.checkpoint(cid)).hold) == (["start"], None)


async def test_a_wake_runs_todays_code_on_the_migrated_state(staged: Stage) -> None:
    staged.around = staged.surroundings(Old)
    cid = await staged.start(Old)
    await staged.settle()
    staged.around = staged.surroundings(New)
    await verbs.send(staged.at, cid, "hi")
    await staged.settle()
    after = await staged.checkpoint(cid)
    assert (after.behaviour_version, after.state) == (2, {"answers": ["from version 1"]})


async def test_a_state_newer_than_the_code_is_held_untouched(staged: Stage) -> None:
    staged.around = staged.surroundings(New)
    cid = await staged.start(New)
    await staged.settle()
    before = await staged.checkpoint(cid)
    staged.around = staged.surroundings(Old)
    await verbs.send(staged.at, cid, "hi")
    assert (await staged.held()).hold is Hold.NEEDS_MIGRATION
    assert await staged.checkpoint(cid) == before
    assert (await verbs.glance_of(staged.at, cid)).unread == 1


async def test_poison_is_held_on_the_third_try_with_its_reason_its_mail_and_nothing_of_what_it_decided(
    staged: Stage,
) -> None:
    cid = await staged.start(Poison)
    await staged.settle()
    await verbs.send(staged.at, cid, "drink")
    for back_off in RETRY_MS:
        back = await staged.handed_back()
        assert (back.retry_in_ms, back.counts) == (back_off, True)
        assert "ZeroDivisionError: poisoned" in await staged.why(cid)
        await retried(staged, back_off)
    commit = await staged.committed()
    assert (commit.hold, commit.outbox, commit.mail_taken) == (Hold.QUARANTINED, (), ())
    assert len(RAN) == MAX_TRIES
    assert sum(staged.model.answered.values()) == 1, "the answered call was paid for once in three tries"
    assert (await verbs.glance_of(staged.at, cid)).unread == 1
    why = await staged.why(cid)
    assert why.startswith("held, quarantined: ZeroDivisionError: poisoned at ")
    assert "test_runner.py" in why, "it tells the line that raised"
    assert (await staged.state(cid)) == {"answers": []}
    await verbs.send(staged.at, cid, "more")
    assert await staged.adopt() is None, "mail does not wake what is held"


async def test_tries_that_died_without_a_word_count_too(staged: Stage) -> None:
    cid = await staged.start(Thinker)
    for _ in range(MAX_TRIES):
        await staged.taken(BOB)
        await staged.backend.leases.reclaim(BOB, Partition(0))
    commit = await staged.committed()
    assert (commit.hold, RAN) == (Hold.QUARANTINED, [])
    assert "3 tries ended without a word" in await staged.why(cid)


async def test_who_is_held_after_deaths_is_not_said_to_be_held_for_what_interrupted_it_before(staged: Stage) -> None:
    cid = await staged.start(Thinker)
    interrupted = await staged.taken(BOB)
    await staged.backend.store.release(cid, interrupted.epoch, 0, "interrupted by an order", counts=False)
    for _ in range(MAX_TRIES):
        await staged.taken(BOB)
        await staged.backend.leases.reclaim(BOB, Partition(0))
    assert (await staged.committed()).hold is Hold.QUARANTINED
    said = "the last of 3 tries ended without a word; heard before: interrupted by an order"
    assert said in await staged.why(cid)


async def test_what_was_held_goes_on_with_its_mail_and_does_not_pay_again(staged: Stage) -> None:
    cid = await staged.start(Poison)
    await staged.settle()
    await verbs.send(staged.at, cid, "drink")
    for back_off in RETRY_MS:
        await staged.tick()
        await retried(staged, back_off)
    await staged.tick()

    async def cured(self: Poison, tick: Tick[Seen], message: Mail) -> Closing | None:
        tick.state.answers.append(await tick.think("before the fall"))
        return None

    staged.around = staged.surroundings(type("Poison", (Poison,), {"name": "poison", "on_message": cured}))
    await verbs.order(staged.at, cid, Control.THAW)
    await staged.settle()
    assert await staged.state(cid) == {"answers": ["ok"]}
    assert staged.model.asked == 1
    assert (await verbs.glance_of(staged.at, cid)).unread == 0


async def test_a_wake_or_a_grant_does_not_lift_a_hold_and_loses_no_answer(staged: Stage) -> None:
    cid = await staged.start(Poison)
    await staged.settle()
    await verbs.send(staged.at, cid, "drink")
    for back_off in (*RETRY_MS, 0):
        await staged.tick()
        await retried(staged, back_off)
    for order in (Control.WAKE, Control.GRANTED):
        await verbs.order(staged.at, cid, order)
        assert (await staged.committed()).hold is Hold.QUARANTINED
    assert len(RAN) == MAX_TRIES
    await verbs.order(staged.at, cid, Control.THAW)
    await staged.tick()
    assert staged.model.asked == 1, "the answer that was paid for is still there"


async def test_one_that_asks_something_else_in_its_next_try_is_stopped_and_freed_by_a_thaw(staged: Stage) -> None:
    cid = await staged.start(Fickle)
    for back_off in (*RETRY_MS, 0):
        await staged.tick()
        await retried(staged, back_off)
    assert "asks for another model than in the first try" in await staged.why(cid)
    assert staged.model.asked == 1, "a stranger's answer was not given, and no other was bought"
    staged.around = staged.surroundings(type("Fickle", (Thinker,), {"name": "fickle"}))
    await verbs.order(staged.at, cid, Control.THAW)
    await staged.settle()
    assert (await staged.checkpoint(cid)).hold is None, "an edit of the source strands nobody"
    assert (await staged.checkpoint(cid)).state == {"answers": ["ok", "ok"]}


async def test_a_store_that_goes_away_in_mid_tick_is_no_fault_of_the_tick(staged: Stage) -> None:
    await staged.start(Thinker)
    adopted = await staged.taken()

    class Away:
        async def record(self, *_: Any) -> JournalEntry:
            raise StoreUnavailable("gone")

    around = replace(staged.around, store=Away())  # type: ignore[arg-type]  # only `record` is asked of it
    back = await run(adopted, around)
    assert isinstance(back, HandBack)
    assert back.counts is False
    await staged.write(adopted, back)


async def test_a_tick_that_does_not_end_is_ended_by_its_deadline(staged: Stage) -> None:
    cid = await staged.start(Hanging)
    staged.around = replace(staged.around, tick_deadline_ms=10)
    back = await staged.handed_back()
    assert back.counts
    assert "the tick took longer than its deadline of 10 ms" in await staged.why(cid)


async def test_a_greedy_except_does_not_swallow_a_fence(staged: Stage) -> None:
    await staged.start(Greedy)
    adopted = await staged.taken(BOB)
    await staged.backend.leases.reclaim(BOB, Partition(0))
    with pytest.raises(Fenced):
        await run(adopted, staged.around)
    assert RAN == []
    assert await staged.total("fenced") == 1


async def test_a_checkpoint_that_was_changed_is_not_run_and_waits_longer_each_time(staged: Stage) -> None:
    await staged.start(Thinker)
    adopted = await staged.taken()
    damaged = replace(adopted, checkpoint=adopted.checkpoint.replace(b"a test", b"a jest"))
    back = await run(damaged, staged.around)
    assert isinstance(back, HandBack)
    assert (RAN, back.counts) == ([], True)
    assert "changed after it was written" in str(back.error)
    again = await run(replace(damaged, tries=5), staged.around)
    assert isinstance(again, HandBack)
    assert again.retry_in_ms > back.retry_in_ms
    other = await run(adopted, replace(staged.around, seal=Seal(b"another key")))
    assert isinstance(other, HandBack)
    await staged.write(adopted, back)


async def test_an_answered_question_is_not_asked_again_by_silence(staged: Stage) -> None:
    cid = await staged.start(Asking)
    await staged.settle()
    assert isinstance((await staged.checkpoint(cid)).wait, UserReply)
    await verbs.reply(staged.at, cid, "yes")
    await staged.settle()
    assert (await staged.checkpoint(cid)).wait == StreamEvent()
    assert await staged.backend.records.waiting(Partition(0)) == {}


async def test_a_moment_that_has_passed_is_not_waited_for_again_by_silence(staged: Stage) -> None:
    cid = await staged.start(Waker)
    await staged.settle()
    await staged.advance(1_000)
    await staged.settle()
    assert RAN == ["wake"], "it woke once and did not spin"
    assert (await staged.checkpoint(cid)).wait == StreamEvent()


async def test_two_ticks_at_once_on_one_continuation_cannot_both_commit(staged: Stage) -> None:
    cid = await staged.start(Thinker)
    stale = await staged.taken(BOB)
    outcome = await run(stale, staged.around)
    await staged.advance(2 * LEASE_MS)
    await staged.reaper.step()
    await staged.committed()
    with pytest.raises(Fenced):
        await staged.write(stale, outcome)
    assert [record.rev for record in await verbs.records(staged.at, cid)] == [0, 1]
