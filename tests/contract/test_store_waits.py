"""The contract of the store: the silent timer that watches a wait, and what a commit itself costs."""

from dataclasses import replace

import pytest

from maestro.budget.vector import BudgetVector
from maestro.continuation.lifecycle import Hold
from maestro.continuation.wait import TTL_TIMER
from maestro.errors import BudgetExceededError
from maestro.ids import TimeMs
from tests.contract.support import World, child_birth, finish, tick_end

HOUR_MS = 3_600_000
ONE = BudgetVector({"human.approvals": 1})


async def test_the_silent_timer_makes_ready_and_brings_no_mail(world: World) -> None:
    due = TimeMs(await world.now() + HOUR_MS)
    cid = await world.sleeper(timers={TTL_TIMER: due}, wake=("reply:q",))
    await world.backend.timers.fire(world.partition)
    assert not await world.is_ready(cid)
    await world.advance(HOUR_MS)
    fired = await world.backend.timers.fire(world.partition)
    assert fired.count == 1
    adopted = await world.take()
    assert (adopted.cid, adopted.mail, adopted.controls) == (cid, (), ())
    assert adopted.now_ms >= due


async def test_the_silent_timer_leaves_a_held_one_alone(world: World) -> None:
    due = TimeMs(await world.now() + 10)
    cid = await world.sleeper(timers={TTL_TIMER: due}, wake=(), hold=Hold.QUARANTINED)
    await world.advance(20)
    assert (await world.backend.timers.fire(world.partition)).count == 1
    assert not await world.is_ready(cid)


async def test_the_silent_timer_of_a_frozen_one_is_kept_for_its_thaw(world: World) -> None:
    cid = await world.sleeper(timers={TTL_TIMER: TimeMs(await world.now() + 10)}, wake=())
    await world.backend.steering.freeze(cid, True)
    await world.advance(20)
    await world.backend.timers.fire(world.partition)
    assert not await world.is_ready(cid)
    await world.backend.steering.freeze(cid, False)
    assert await world.is_ready(cid)


async def test_set_again_in_the_past_it_fires_at_once(world: World) -> None:
    due = TimeMs(await world.now() + 10)
    cid = await world.sleeper(timers={TTL_TIMER: due}, wake=())
    adopted = await world.woken(cid)
    await world.advance(20)
    await world.backend.timers.fire(world.partition)  # it finds its continuation in a tick
    await world.commit(adopted, timers={TTL_TIMER: due}, wake=())
    assert not await world.is_ready(cid)
    assert (await world.backend.timers.fire(world.partition)).count == 1
    assert await world.is_ready(cid)


async def test_cancelled_or_ended_it_does_not_fire(world: World) -> None:
    due = TimeMs(await world.now() + 10)
    cid = await world.sleeper(timers={TTL_TIMER: due}, wake=())
    await world.commit(await world.woken(cid), timers_cancelled=(TTL_TIMER,))
    other = await world.sleeper(timers={TTL_TIMER: due}, wake=())
    await world.backend.store.commit(finish(await world.woken(other), timers_cancelled=(TTL_TIMER,)))
    await world.advance(20)
    assert (await world.backend.timers.fire(world.partition)).count == 0


async def test_what_a_commit_costs_is_spent_in_the_same_step_and_once(world: World) -> None:
    cid = await world.root(BudgetVector({"human.approvals": 2}))
    commit = replace(tick_end(await world.take()), spend=ONE)
    await world.backend.store.commit(commit)
    assert (await world.backend.store.commit(commit)).duplicate
    account = (await world.ledger(cid)).account("human.approvals")
    assert (account.granted, account.spent, account.free) == (2, 1, 1)


@pytest.mark.spec("01.17")
async def test_a_commit_that_costs_more_than_is_free_writes_nothing(world: World) -> None:
    cid = await world.root(BudgetVector({"human.approvals": 1}))
    adopted = await world.take()
    child = child_birth(adopted, 0, ONE)
    with pytest.raises(BudgetExceededError) as caught:
        await world.backend.store.commit(replace(tick_end(adopted), spend=ONE, births=(child,)))
    assert caught.value.facts["resource"] == "human.approvals"
    glance = await world.backend.records.glance(cid)
    assert glance is not None
    assert (glance.rev, glance.ledger.account("human.approvals").spent) == (0, 0)
    await world.backend.store.commit(replace(tick_end(adopted), spend=ONE))


async def test_what_nothing_limits_is_counted(world: World) -> None:
    cid = await world.root()
    await world.backend.store.commit(replace(tick_end(await world.take()), spend=ONE))
    account = (await world.ledger(cid)).account("human.approvals")
    assert (account.granted, account.spent) == (None, 1)
