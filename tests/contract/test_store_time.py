"""The contract of the store: timers and the virtual clock. On Redis it also runs: times are bounds, not points."""

import asyncio

import pytest

from maestro.continuation.mail import Kind
from maestro.errors import InvalidInput
from maestro.ids import TimeMs
from maestro.runtime.ports import TIMERS, Fired
from tests.contract.support import World, finish

HOUR_MS = 3_600_000


async def fire(world: World, limit: int = 256) -> Fired:
    return await world.backend.timers.fire(world.partition, limit)


async def test_a_timer_fires_when_due_and_never_before(world: World) -> None:
    due = TimeMs(await world.now() + HOUR_MS)
    cid = await world.sleeper(timers={"poll": due}, wake=("timer:poll",))
    early = await fire(world)
    assert (early.count, early.next_due_ms) == (0, due)
    await world.advance(HOUR_MS)
    fired = await fire(world)
    assert (fired.count, fired.next_due_ms) == (1, None)
    assert fired.now_ms >= due
    assert fired.lateness_ms[0] == fired.now_ms - due
    adopted = await world.take()
    assert adopted.cid == cid
    mail = adopted.mail[0]
    assert (mail.id, mail.kind, mail.sender) == (f"timer:poll:{due}", Kind.TIMER, "timer")
    assert (mail.subject, mail.correlation, mail.body) == ("poll", "poll", {"due_ms": due})
    assert due <= mail.sent_ms <= fired.now_ms


async def test_a_timer_fires_once(world: World) -> None:
    cid = await world.sleeper(timers={"poll": TimeMs(await world.now() + 10)}, wake=())
    await world.advance(20)
    assert ((await fire(world)).count, (await fire(world)).count) == (1, 0)
    assert await world.unread(cid) == 1


async def test_timers_fire_earliest_first_and_at_most_so_many(world: World) -> None:
    now = await world.now()
    due = {f"t{n}": TimeMs(now + HOUR_MS - n) for n in range(5)}
    cid = await world.sleeper(timers=due, wake=())
    await world.advance(HOUR_MS)
    first = await fire(world, limit=3)
    assert (first.count, first.next_due_ms) == (3, due["t1"])
    assert (await fire(world)).count == 2
    fired = [mail.correlation for mail in (await world.woken(cid)).mail]
    assert fired == ["t4", "t3", "t2", "t1", "t0"]


async def test_a_timer_set_again_moves(world: World) -> None:
    now = await world.now()
    cid = await world.sleeper(timers={"poll": TimeMs(now + HOUR_MS)})
    later = TimeMs(now + 3 * HOUR_MS)
    await world.commit(await world.woken(cid), timers={"poll": later})
    await world.advance(2 * HOUR_MS)
    fired = await fire(world)
    assert (fired.count, fired.next_due_ms) == (0, later)


async def test_a_cancelled_timer_does_not_fire(world: World) -> None:
    cid = await world.sleeper(timers={"poll": TimeMs(await world.now() + 10)})
    await world.commit(await world.woken(cid), timers_cancelled=("poll",))
    await world.advance(20)
    assert (await fire(world)).count == 0


async def test_a_timer_that_was_cancelled_and_set_in_one_tick_is_set(world: World) -> None:
    now = await world.now()
    cid = await world.sleeper(timers={"poll": TimeMs(now + 10)})
    await world.commit(await world.woken(cid), timers_cancelled=("poll",), timers={"poll": TimeMs(now + HOUR_MS)})
    assert (await fire(world)).next_due_ms == now + HOUR_MS


async def test_a_timer_set_again_for_the_moment_at_which_it_fired_fires_again(world: World) -> None:
    due = TimeMs(await world.now() + 10)
    cid = await world.sleeper(timers={"poll": due})
    await world.advance(20)
    await fire(world)
    await world.commit(await world.take(), timers={"poll": due})
    assert (await fire(world)).count == 1
    assert await world.is_ready(cid), "a timer was lost"


async def test_two_continuations_may_name_their_timers_alike(world: World) -> None:
    due = TimeMs(await world.now() + 10)
    one, other = await world.sleeper(timers={"poll": due}), await world.sleeper(timers={"poll": due})
    await world.advance(20)
    assert (await fire(world)).count == 2
    assert await world.is_ready(one)
    assert await world.is_ready(other)


async def test_a_timer_of_a_frozen_one_fires_into_its_mailbox(world: World) -> None:
    cid = await world.sleeper(timers={"poll": TimeMs(await world.now() + 10)})
    await world.backend.steering.freeze(cid, True)
    await world.advance(20)
    assert (await fire(world)).count == 1
    assert await world.unread(cid) == 1
    assert not await world.is_ready(cid)
    await world.backend.steering.freeze(cid, False)
    assert await world.is_ready(cid)


async def test_a_timer_that_fires_in_mid_tick_wakes_after_it(world: World) -> None:
    cid = await world.sleeper(timers={"poll": TimeMs(await world.now() + 10)})
    adopted = await world.woken(cid)
    await world.advance(20)
    await fire(world)
    await world.commit(adopted)
    assert [mail.correlation for mail in (await world.take()).mail] == ["poll"]


async def test_a_back_off_that_ends_after_its_continuation_did_is_nothing(world: World) -> None:
    cid = await world.root()
    adopted = await world.take()
    await world.backend.store.release(cid, adopted.epoch, 1_000, "x", counts=True)
    await world.backend.store.commit(finish(await world.woken(cid)))
    await world.advance(2_000)
    await fire(world)
    assert not await world.is_ready(cid)


async def test_three_weeks_pass_in_a_moment(world: World) -> None:
    before = await world.now()
    after = await world.advance(21 * 24 * HOUR_MS)
    assert after >= before + 21 * 24 * HOUR_MS
    assert await world.now() >= after
    due = TimeMs(after + HOUR_MS)
    await world.sleeper(timers={"poll": due})
    await world.advance(HOUR_MS)
    assert (await fire(world)).count == 1


async def test_time_never_goes_back(world: World) -> None:
    with pytest.raises(InvalidInput) as refused:
        await world.advance(-1)
    assert refused.value.field == "by"


async def test_the_clock_lets_sleepers_on_when_it_was_moved(world: World) -> None:
    due = TimeMs(await world.now() + 50)
    await world.advance(100)
    await world.backend.clock.sleep_until(due)
    assert await world.now() >= due


async def test_moving_the_clock_rouses_who_looks_at_timers(world: World) -> None:
    await world.advance(1)
    assert await world.backend.signals.wait(TIMERS, 1_000)


async def test_a_timer_that_is_the_earliest_rouses_who_looks_at_timers(world: World) -> None:
    signals = world.backend.signals
    now = await world.now()
    cid = await world.sleeper(timers={"a": TimeMs(now + HOUR_MS)})
    while await signals.wait(TIMERS, 10):
        pass
    await world.commit(await world.woken(cid), timers={"b": TimeMs(now + 10)})
    assert await signals.wait(TIMERS, 1_000)


async def test_who_sleeps_on_the_clock_takes_no_signal_that_is_meant_for_the_timers(world: World) -> None:
    signals = world.backend.signals
    an_hour_on = TimeMs(await world.now() + HOUR_MS)
    sleeper = asyncio.create_task(world.backend.clock.sleep_until(an_hour_on))
    try:
        while await signals.wait(TIMERS, 1):
            pass  # what the birth of the world left behind
        for _ in range(20):
            await signals.rouse(TIMERS)
            assert await signals.wait(TIMERS, 1_000)
        assert not sleeper.done()
        await world.advance(HOUR_MS)
        async with asyncio.timeout(10):
            await sleeper
    finally:
        sleeper.cancel()


@pytest.mark.parametrize("timeout_ms", [0, 1, 2])
async def test_the_shortest_wait_for_a_signal_ends(world: World, timeout_ms: int) -> None:
    async with asyncio.timeout(10):
        assert not await world.backend.signals.wait("nobody rings this", timeout_ms)
