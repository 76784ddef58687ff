"""The contract of the store: money. The books are audited after every test, in every resource (World.audit)."""

from dataclasses import replace

import pytest

from maestro.continuation.mail import Control
from maestro.errors import BudgetExceededError, ContinuationAlreadyTerminalError, ContinuationNotFoundError
from maestro.tick.steering import Forked
from tests.contract.support import World, batch_of, child_birth, finish, intent, letter, money


async def test_a_reservation_is_no_longer_free(world: World) -> None:
    cid = await world.root(money(usd=100, tokens=50))
    adopted = await world.take()
    await world.backend.store.record(cid, adopted.epoch, intent(0, money(usd=60, tokens=50)), batch_of(adopted))
    assert (await world.ledger(cid)).free == money(usd=40, tokens=0)


async def test_a_price_above_what_is_free_is_refused_and_not_journaled(world: World) -> None:
    cid = await world.root(money(usd=100))
    adopted = await world.take()
    await world.backend.store.record(cid, adopted.epoch, intent(0, money(usd=60)), batch_of(adopted))
    with pytest.raises(BudgetExceededError) as refused:
        await world.backend.store.record(cid, adopted.epoch, intent(1, money(usd=41, tokens=5)), batch_of(adopted))
    assert refused.value.facts == {"resource": "usd", "asked": 41, "free": 40}
    await world.backend.store.release(cid, adopted.epoch, 0, None, counts=False)
    assert list((await world.take()).journal) == [0]
    assert (await world.ledger(cid)).free == money(usd=40)


async def test_a_refusal_in_one_resource_reserves_nothing_of_another(world: World) -> None:
    cid = await world.root(money(usd=100, tokens=5))
    adopted = await world.take()
    with pytest.raises(BudgetExceededError):
        await world.backend.store.record(cid, adopted.epoch, intent(0, money(tokens=6, usd=1)), batch_of(adopted))
    assert (await world.ledger(cid)).free == money(usd=100, tokens=5)


async def test_a_resource_without_a_grant_is_counted_and_never_refused(world: World) -> None:
    cid = await world.root(money(usd=100))
    adopted = await world.take()
    entry = intent(0, money(tokens=10**9))
    await world.backend.store.record(cid, adopted.epoch, entry, batch_of(adopted))
    await world.backend.journals.settle(cid, 0, entry.call_id, "ok", failed=False, charge=money(tokens=10**8))
    account = (await world.ledger(cid)).account("tokens")
    assert (account.granted, account.reserved, account.spent) == (None, 0, 10**8)


async def test_a_resource_granted_with_zero_is_forbidden(world: World) -> None:
    cid = await world.root(money(expensive_model_calls=0))
    adopted = await world.take()
    with pytest.raises(BudgetExceededError):
        await world.backend.store.record(
            cid, adopted.epoch, intent(0, money(expensive_model_calls=1)), batch_of(adopted)
        )


async def test_an_answer_settles_its_reservation_and_frees_the_rest(world: World) -> None:
    cid = await world.root(money(usd=100))
    adopted = await world.take()
    entry = intent(0, money(usd=60))
    await world.backend.store.record(cid, adopted.epoch, entry, batch_of(adopted))
    settled = await world.backend.journals.settle(
        cid, 0, entry.call_id, {"text": "yes"}, failed=False, charge=money(usd=25)
    )
    assert settled == replace(entry, answer={"text": "yes"}, answered=True, charge=money(usd=25))
    account = (await world.ledger(cid)).account("usd")
    assert (account.free, account.reserved, account.spent) == (75, 0, 25)


async def test_a_failure_is_charged_what_it_cost(world: World) -> None:
    cid = await world.root(money(usd=100))
    adopted = await world.take()
    entry = intent(0, money(usd=60))
    await world.backend.store.record(cid, adopted.epoch, entry, batch_of(adopted))
    failed = await world.backend.journals.settle(
        cid, 0, entry.call_id, {"code": "timeout"}, failed=True, charge=money(usd=3)
    )
    assert failed is not None
    assert (failed.answered, failed.failed, failed.charge) == (False, True, money(usd=3))
    assert (await world.ledger(cid)).account("usd").spent == 3


async def test_a_bill_above_the_maximum_is_booked_and_the_next_call_refused(world: World) -> None:
    world.overbilled = True
    cid = await world.root(money(usd=100))
    adopted = await world.take()
    entry = intent(0, money(usd=100))
    await world.backend.store.record(cid, adopted.epoch, entry, batch_of(adopted))
    await world.backend.journals.settle(cid, 0, entry.call_id, "ok", failed=False, charge=money(usd=130))
    account = (await world.ledger(cid)).account("usd")
    assert (account.spent, account.free) == (130, -30)
    with pytest.raises(BudgetExceededError):
        await world.backend.store.record(cid, adopted.epoch, intent(1, money(usd=1)), batch_of(adopted))


async def test_a_reservation_that_is_open_at_the_commit_is_charged_in_full(world: World) -> None:
    cid = await world.root(money(usd=100))
    adopted = await world.take()
    entry = intent(0, money(usd=60))
    await world.backend.store.record(cid, adopted.epoch, entry, batch_of(adopted))
    await world.commit(adopted)
    account = (await world.ledger(cid)).account("usd")
    assert (account.reserved, account.spent) == (0, 60)
    late = await world.backend.journals.settle(cid, 0, entry.call_id, "late", failed=False, charge=money(usd=1))
    assert late is None
    assert (await world.ledger(cid)).account("usd").spent == 1, "the provider has told after all"
    assert (await world.woken(cid)).journal == {}


async def test_a_tick_that_waits_for_money_keeps_its_journal_and_reservations(world: World) -> None:
    cid = await world.root(money(usd=100))
    adopted = await world.take()
    entry = intent(0, money(usd=60))
    await world.backend.store.record(cid, adopted.epoch, entry, batch_of(adopted))
    await world.commit(adopted, take=(), wake=("budget",), keep_journal=True)
    assert (await world.ledger(cid)).account("usd").reserved == 60
    again = await world.woken(cid)
    assert again.journal == {0: entry}
    assert again.batch == batch_of(adopted)
    assert again.mail == adopted.mail


async def test_an_ended_one_keeps_no_reservation_open(world: World) -> None:
    cid = await world.root(money(usd=100))
    adopted = await world.take()
    await world.backend.store.record(cid, adopted.epoch, intent(0, money(usd=60)), batch_of(adopted))
    await world.backend.store.commit(finish(adopted))
    account = (await world.ledger(cid)).account("usd")
    assert (account.reserved, account.spent) == (0, 60)


async def test_children_get_no_more_than_their_parent_has_free(world: World) -> None:
    cid = await world.root(money(usd=100))
    adopted = await world.take()
    await world.backend.store.record(cid, adopted.epoch, intent(0, money(usd=30)), batch_of(adopted))
    births = tuple(child_birth(adopted, n, money(usd=36)) for n in range(2))
    with pytest.raises(BudgetExceededError) as refused:
        await world.commit(adopted, births=births, timers={"t": adopted.now_ms})
    assert refused.value.facts == {"resource": "usd", "asked": 72, "free": 70}
    glance = await world.backend.records.glance(cid)
    assert glance is not None
    assert (glance.rev, glance.holder is not None) == (0, True), "nothing was written"
    assert await world.backend.records.glance(births[0].cid) is None
    assert (await world.backend.timers.fire(world.partition)).count == 0
    await world.commit(adopted, births=births[:1])
    assert (await world.ledger(cid)).account("usd").lent == 36


async def test_births_and_grants_draw_on_the_same_free_money(world: World) -> None:
    parent, (child,) = await world.family(money(usd=100), money(usd=30))
    adopted = await world.woken(parent)
    birth = child_birth(adopted, grant=money(usd=40))
    with pytest.raises(BudgetExceededError):
        await world.commit(adopted, births=(birth,), grants=((child, money(usd=31)),))
    await world.commit(adopted, births=(birth,), grants=((child, money(usd=30)),))
    assert (await world.ledger(parent)).free == money(usd=0)
    assert (await world.ledger(child)).free == money(usd=60)


async def test_a_parent_without_a_limit_lends_what_it_likes(world: World) -> None:
    parent, (child,) = await world.family(money(), money(usd=30))
    assert (await world.ledger(parent)).account("usd").lent == 30
    assert (await world.ledger(child)).free == money(usd=30)


async def test_a_grant_to_a_child_that_is_done_stays_with_its_parent(world: World) -> None:
    parent, (child,) = await world.family(money(usd=100), money(usd=30))
    await world.backend.store.commit(finish(await world.woken(child)))
    await world.commit(await world.woken(parent), grants=((child, money(usd=50)),))
    assert (await world.ledger(parent)).free == money(usd=100)


async def test_an_ended_child_gives_back_what_it_has_free_and_not_what_it_spent(world: World) -> None:
    parent, (child,) = await world.family(money(usd=100, tokens=10), money(usd=30, tokens=10))
    adopted = await world.woken(child)
    entry = intent(0, money(usd=20))
    await world.backend.store.record(child, adopted.epoch, entry, batch_of(adopted))
    await world.backend.journals.settle(child, 0, entry.call_id, "ok", failed=False, charge=money(usd=12))
    await world.backend.store.commit(finish(adopted))
    assert (await world.ledger(parent)).free == money(usd=88, tokens=10)
    assert (await world.ledger(parent)).account("usd").lent == 12
    account = (await world.ledger(child)).account("usd")
    assert (account.granted, account.spent, account.free) == (12, 12, 0)


async def test_money_of_a_grandchild_passes_through_parents_that_are_done(world: World) -> None:
    root, (child,) = await world.family(money(usd=100), money(usd=60))
    adopted = await world.woken(child)
    birth = child_birth(adopted, grant=money(usd=50))
    await world.backend.store.commit(finish(adopted, births=(birth,)))
    assert (await world.ledger(root)).free == money(usd=50), "the child's own rest came back at once"
    grandchild = await world.take()
    assert grandchild.cid == birth.cid
    await world.backend.store.commit(finish(grandchild))
    assert (await world.ledger(root)).free == money(usd=100)
    assert (await world.ledger(child)).granted == money(usd=0)


async def test_money_of_an_ended_root_stays_on_its_books(world: World) -> None:
    cid = await world.root(money(usd=100))
    await world.backend.store.commit(finish(await world.take()))
    assert (await world.ledger(cid)).free == money(usd=100)


async def test_people_give_and_take_once_per_key(world: World) -> None:
    cid = await world.sleeper(money(usd=100))
    rebudget = world.backend.steering.rebudget
    assert (await rebudget(cid, money(usd=50), money(), "k1")).free == money(usd=150)
    assert (await rebudget(cid, money(usd=50), money(), "k1")).free == money(usd=150)
    assert (await rebudget(cid, money(), money(usd=120), "k2")).free == money(usd=30)
    with pytest.raises(BudgetExceededError) as refused:
        await rebudget(cid, money(), money(usd=31), "k3")
    assert refused.value.facts == {"resource": "usd", "asked": 31, "free": 30}
    assert (await world.ledger(cid)).free == money(usd=30)
    assert not await world.is_ready(cid)


async def test_a_refused_change_may_be_tried_again_under_its_key(world: World) -> None:
    cid = await world.sleeper(money(usd=100))
    with pytest.raises(BudgetExceededError):
        await world.backend.steering.rebudget(cid, money(), money(usd=101), "k")
    assert (await world.backend.steering.rebudget(cid, money(), money(usd=100), "k")).free == money(usd=0)


async def test_what_people_give_a_child_is_lent_on_by_its_ancestors(world: World) -> None:
    root, (child,) = await world.family(money(usd=100), money(usd=60))
    ledger = await world.backend.steering.rebudget(child, money(usd=40), money(usd=10), "k")
    assert ledger.free == money(usd=90)
    assert (await world.ledger(root)).free == money(usd=40), "people's money is not taken from the parent"
    await world.backend.store.commit(finish(await world.woken(child)))
    assert (await world.ledger(root)).free == money(usd=130)


async def test_a_wait_for_money_ends_with_a_grant(world: World) -> None:
    cid = await world.sleeper(money(usd=1), wake=("budget",))
    await world.backend.store.deliver(cid, letter())
    assert not await world.is_ready(cid)
    await world.backend.steering.rebudget(cid, money(usd=50), money(), "k")
    adopted = await world.take()
    assert [order.subject for order in adopted.controls] == [Control.GRANTED]
    assert adopted.controls[0].body == {"usd": 50}
    assert adopted.ledger.free == money(usd=51)


async def test_a_first_tick_that_waits_for_money_is_not_woken_by_its_own_start(world: World) -> None:
    cid = await world.root(money(usd=1))
    adopted = await world.take()
    await world.commit(adopted, take=(), wake=("budget",), keep_journal=True)
    assert not await world.is_ready(cid), "it would tick without end until somebody pays"
    await world.backend.steering.rebudget(cid, money(usd=50), money(), "k")
    assert (await world.take()).mail == adopted.mail


async def test_a_grant_that_comes_while_the_tick_runs_out_of_money_is_not_slept_through(world: World) -> None:
    cid = await world.sleeper(money(usd=1))
    await world.backend.store.deliver(cid, letter())
    adopted = await world.take()
    with pytest.raises(BudgetExceededError):
        await world.backend.store.record(cid, adopted.epoch, intent(0, money(usd=5)), batch_of(adopted))
    await world.backend.steering.rebudget(cid, money(usd=50), money(), "k")
    await world.commit(adopted, take=(), wake=("budget",), keep_journal=True)
    assert await world.is_ready(cid)


async def test_a_fork_takes_its_grant_along_once(world: World) -> None:
    origin = await world.sleeper(money(usd=100))
    birth = await world.birth(money(usd=40, tokens=9))
    fork = world.backend.steering.fork
    assert await fork(origin, birth) == Forked(birth.cid)
    assert await fork(origin, birth) == Forked(birth.cid, duplicate=True)
    assert (await world.ledger(origin)).granted == money(usd=60)
    adopted = await world.take()
    assert (adopted.cid, adopted.ledger.free) == (birth.cid, money(usd=40, tokens=9))


async def test_a_fork_of_a_child_takes_its_grant_out_of_the_whole_path(world: World) -> None:
    root, (child,) = await world.family(money(usd=100), money(usd=60))
    await world.backend.steering.fork(child, await world.birth(money(usd=50)))
    account = (await world.ledger(root)).account("usd")
    assert (account.granted, account.lent, account.free) == (50, 10, 40)


async def test_a_fork_gets_no_more_than_its_origin_has_free(world: World) -> None:
    origin = await world.sleeper(money(usd=100))
    birth = await world.birth(money(usd=101))
    with pytest.raises(BudgetExceededError) as refused:
        await world.backend.steering.fork(origin, birth)
    assert refused.value.facts == {"resource": "usd", "asked": 101, "free": 100}
    assert await world.backend.records.glance(birth.cid) is None
    with pytest.raises(ContinuationNotFoundError):
        await world.backend.steering.fork((await world.birth()).cid, birth)


async def test_a_closed_budget_and_a_stranger_take_no_money(world: World) -> None:
    cid = await world.root(money(usd=1))
    await world.backend.store.commit(finish(await world.take()))
    with pytest.raises(ContinuationAlreadyTerminalError):
        await world.backend.steering.rebudget(cid, money(usd=1), money(), "k")
    with pytest.raises(ContinuationNotFoundError):
        await world.backend.steering.rebudget((await world.birth()).cid, money(usd=1), money(), "k")
