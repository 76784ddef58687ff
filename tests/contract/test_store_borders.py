"""The contract of the store: borders of the budget, refunds and transfers. The books are audited after every test."""

import asyncio
from typing import Any

import orjson
import pytest

from maestro.continuation.mail import Control
from maestro.errors import (
    BudgetExceededError,
    ContinuationAlreadyTerminalError,
    ContinuationNotFoundError,
    InvalidInput,
)
from maestro.ids import ContinuationId
from tests.contract.support import World, batch_of, child_birth, finish, intent, letter, money

TOLD = ("budget_alert", "budget_pressure")


async def feed(world: World, *types: str) -> list[dict[str, Any]]:
    """The facts of these types, oldest first."""
    facts = [orjson.loads(fact.body) for fact in await world.backend.records.feed(world.partition, limit=10_000)]
    return [fact for fact in facts if fact["type"] in types]


async def told(world: World, cid: ContinuationId) -> list[tuple[str, ...]]:
    """Which borders of `cid` were told of, in order."""
    facts = [fact for fact in await feed(world, *TOLD) if fact["cid"] == cid]
    return [
        (f["resource"], "alert") if f["type"] == "budget_alert" else (f["resource"], f["from"], f["to"]) for f in facts
    ]


async def paid(world: World, cid: ContinuationId, **amounts: int) -> None:
    """One tick in which one call costs so much."""
    adopted = await world.woken(cid)
    entry = intent(0, money(**amounts))
    await world.backend.store.record(cid, adopted.epoch, entry, batch_of(adopted))
    await world.backend.journals.settle(cid, 0, entry.call_id, "ok", failed=False, charge=money(**amounts))
    await world.commit(adopted)


async def unknown(world: World, cid: ContinuationId, price: int) -> str:
    """A call of which nobody knows what it cost: its tick was committed while it was open."""
    adopted = await world.woken(cid)
    entry = intent(0, money(usd=price))
    await world.backend.store.record(cid, adopted.epoch, entry, batch_of(adopted))
    await world.commit(adopted)
    return entry.call_id


# ---- borders


@pytest.mark.spec("05.11")
async def test_each_border_is_told_of_once_when_it_is_reached(world: World) -> None:
    cid = await world.sleeper(money(usd=1_000))
    for spent, expected in ((399, 0), (1, 1), (299, 1), (1, 2), (99, 2), (1, 3), (150, 3), (50, 3)):
        await paid(world, cid, usd=spent)
        assert len(await told(world, cid)) == expected, spent
    assert await told(world, cid) == [("usd", "none", "downshift"), ("usd", "downshift", "floor"), ("usd", "alert")][:3]
    alert = (await feed(world, "budget_alert"))[0]
    assert {name: alert[name] for name in ("spent", "granted", "resource")} == {
        "spent": 800,
        "granted": 1_000,
        "resource": "usd",
    }


@pytest.mark.spec("05.11")
async def test_one_payment_across_all_borders_is_one_change_and_one_alert(world: World) -> None:
    cid = await world.sleeper(money(usd=1_000, tokens=10))
    await paid(world, cid, usd=900)
    assert await told(world, cid) == [("usd", "none", "floor"), ("usd", "alert")]


@pytest.mark.spec("05.11")
async def test_borders_are_counted_from_the_soft_cap_and_it_refuses_nothing(world: World) -> None:
    steering, cid = world.backend.steering, await world.sleeper(money(usd=1_000))
    await paid(world, cid, usd=100)
    ledger = await steering.soften(cid, money(usd=200, tokens=50))
    assert (ledger.account("usd").cap, ledger.account("usd").free) == (200, 900)
    assert await told(world, cid) == [("usd", "none", "downshift")], "100 of 200 are left"
    await paid(world, cid, usd=60)
    assert await told(world, cid) == [("usd", "none", "downshift"), ("usd", "downshift", "floor"), ("usd", "alert")]
    (alert,) = await feed(world, "budget_alert")
    assert (alert["granted"], alert["soft_cap"], alert["spent"]) == (1_000, 200, 160)
    await paid(world, cid, usd=700)
    assert (await world.ledger(cid)).account("usd").spent == 860, "beyond it, the hard cap alone refuses"
    await paid(world, cid, tokens=40)
    assert (await told(world, cid))[-2:] == [("tokens", "none", "floor"), ("tokens", "alert")], "with no hard cap, too"
    await steering.soften(cid, money(usd=5_000, tokens=50_000))
    assert (await told(world, cid))[3:] == [
        ("tokens", "none", "floor"),
        ("tokens", "alert"),
        ("tokens", "floor", "none"),
    ], "no soft cap lifts the hard one"
    with pytest.raises(ContinuationNotFoundError):
        await steering.soften(ContinuationId(f"{'0' * 22}-0"), money(usd=1))


async def test_what_is_reserved_and_given_back_crosses_nothing(world: World) -> None:
    cid = await world.sleeper(money(usd=1_000))
    adopted = await world.woken(cid)
    entry = intent(0, money(usd=1_000))
    await world.backend.store.record(cid, adopted.epoch, entry, batch_of(adopted))
    await world.backend.journals.settle(cid, 0, entry.call_id, "ok", failed=False, charge=money(usd=5))
    await world.commit(adopted)
    assert await told(world, cid) == []


async def test_a_grant_takes_the_pressure_off_and_arms_the_alert_again(world: World) -> None:
    cid = await world.sleeper(money(usd=1_000))
    await paid(world, cid, usd=800)
    await world.backend.steering.rebudget(cid, money(usd=9_000), money(), "k")
    await world.backend.steering.rebudget(cid, money(usd=9_000), money(), "k")
    await paid(world, cid, usd=7_200)
    assert await told(world, cid) == [
        ("usd", "none", "floor"),
        ("usd", "alert"),
        ("usd", "floor", "none"),
        ("usd", "none", "floor"),
        ("usd", "alert"),
    ]


async def test_what_is_lent_is_gone_and_what_comes_back_is_there_again(world: World) -> None:
    parent = await world.sleeper(money(usd=1_000))
    adopted = await world.woken(parent)
    birth = child_birth(adopted, grant=money(usd=500))
    await world.commit(adopted, births=(birth,))
    assert await told(world, parent) == [("usd", "none", "downshift")]
    await world.backend.store.commit(finish(await world.take()))
    assert (await told(world, parent))[1:] == [("usd", "downshift", "none")]
    assert await told(world, birth.cid) == [], "who has ended is told of no more"


async def test_what_was_forbidden_from_the_start_or_has_no_limit_crosses_nothing(world: World) -> None:
    cid = await world.sleeper(money(usd=0))
    await paid(world, cid, tokens=10**6)
    assert await told(world, cid) == []


async def test_each_resource_has_borders_of_its_own(world: World) -> None:
    cid = await world.sleeper(money(usd=1_000, tokens=1_000, expensive_model_calls=10))
    await paid(world, cid, usd=10, tokens=500, expensive_model_calls=8)
    assert await told(world, cid) == [
        ("expensive_model_calls", "none", "floor"),
        ("expensive_model_calls", "alert"),
        ("tokens", "none", "downshift"),
    ]


# ---- refunds


@pytest.mark.spec("05.10")
async def test_an_unknown_outcome_is_charged_in_full_and_refunded_once_when_the_provider_tells(world: World) -> None:
    cid = await world.sleeper(money(usd=100))
    call = await unknown(world, cid, 60)
    assert (await world.ledger(cid)).unknown == {call: money(usd=60)}
    refunds = [await world.backend.journals.refund(cid, call, money(usd=7)) for _ in range(3)]  # type: ignore[arg-type]
    assert refunds == [True, False, False]
    account = (await world.ledger(cid)).account("usd")
    assert (account.spent, account.reserved, account.free) == (7, 0, 93)
    (fact,) = await feed(world, "refunded")
    assert (fact["call_id"], fact["charged"], fact["actual"]) == (call, {"usd": 60}, {"usd": 7})


async def test_a_late_answer_is_what_the_provider_tells(world: World) -> None:
    cid = await world.sleeper(money(usd=100))
    call = await unknown(world, cid, 60)
    for _ in range(2):
        late = await world.backend.journals.settle(cid, 0, call, "late", failed=False, charge=money(usd=9))  # type: ignore[arg-type]
        assert late is None
    assert (await world.ledger(cid)).account("usd").spent == 9


async def test_a_refund_wakes_who_waits_for_money(world: World) -> None:
    cid = await world.sleeper(money(usd=100))
    call = await unknown(world, cid, 60)
    await world.commit(await world.woken(cid), wake=("budget",))
    await world.backend.journals.refund(cid, call, money())  # type: ignore[arg-type]
    adopted = await world.take()
    assert [order.subject for order in adopted.controls] == [Control.GRANTED]
    assert adopted.ledger.free == money(usd=100)


async def test_a_refund_to_one_that_has_ended_is_its_parents(world: World) -> None:
    parent, (child,) = await world.family(money(usd=100), money(usd=60))
    call = await unknown(world, child, 50)
    await world.backend.store.commit(finish(await world.woken(child)))
    assert (await world.ledger(parent)).free == money(usd=50)
    assert await world.backend.journals.refund(child, call, money(usd=20))  # type: ignore[arg-type]
    assert (await world.ledger(parent)).free == money(usd=80)


async def test_a_call_that_nobody_charged_in_full_is_refunded_nothing(world: World) -> None:
    cid = await world.sleeper(money(usd=100))
    assert not await world.backend.journals.refund(cid, intent().call_id, money())
    with pytest.raises(ContinuationNotFoundError):
        await world.backend.journals.refund((await world.birth()).cid, intent().call_id, money())


# ---- transfers


async def test_money_goes_from_one_of_a_family_to_another_once_per_key(world: World) -> None:
    root, (one, other) = await world.family(money(usd=100), money(usd=40), money(usd=10))
    for _ in range(2):
        ledgers = await world.backend.steering.transfer(one, other, money(usd=25), "k")
        assert [ledger.free for ledger in ledgers] == [money(usd=15), money(usd=35)]
    assert (await world.ledger(root)).account("usd").lent == 50
    (fact,) = await feed(world, "transferred")
    assert (fact["cid"], fact["to"], fact["amount"]) == (one, other, {"usd": 25})


async def test_money_goes_up_and_down_a_family_too(world: World) -> None:
    root, (child,) = await world.family(money(usd=100), money(usd=40))
    await world.backend.steering.transfer(child, root, money(usd=30), "up")
    assert [(await world.ledger(cid)).free for cid in (root, child)] == [money(usd=90), money(usd=10)]
    await world.backend.steering.transfer(root, child, money(usd=80), "down")
    assert [(await world.ledger(cid)).free for cid in (root, child)] == [money(usd=10), money(usd=90)]


async def test_a_transfer_wakes_who_waits_for_money_and_nobody_else(world: World) -> None:
    _, (one, other) = await world.family(money(usd=100), money(usd=40), money(usd=10))
    await world.commit(await world.woken(other), wake=("budget",))
    await world.backend.steering.transfer(one, other, money(usd=1), "k")
    assert await world.is_ready(other)
    assert not await world.is_ready(one)
    assert (await world.take()).controls[0].body == {"usd": 1}


async def test_a_transfer_of_more_than_is_free_moves_nothing_of_anything(world: World) -> None:
    _, (one, other) = await world.family(money(usd=100, tokens=9), money(usd=40, tokens=4), money(usd=10, tokens=5))
    with pytest.raises(BudgetExceededError) as refused:
        await world.backend.steering.transfer(one, other, money(usd=41, tokens=1), "k")
    assert refused.value.facts == {"resource": "usd", "asked": 41, "free": 40}
    assert (await world.ledger(one)).free == money(usd=40, tokens=4)
    await world.backend.steering.transfer(one, other, money(usd=40), "k")


async def test_nothing_goes_to_strangers_to_the_ended_or_to_those_without_a_limit(world: World) -> None:
    _, (one, other) = await world.family(money(usd=100), money(usd=40), money(usd=10))
    stranger, transfer = await world.sleeper(money(usd=5)), world.backend.steering.transfer
    with pytest.raises(InvalidInput, match="not of the family"):
        await transfer(one, stranger, money(usd=1), "k")
    with pytest.raises(InvalidInput, match="no limit of tokens"):
        await transfer(one, other, money(tokens=1), "k")
    await world.backend.store.commit(finish(await world.woken(other)))
    with pytest.raises(ContinuationAlreadyTerminalError):
        await transfer(one, other, money(usd=1), "k")
    with pytest.raises(ContinuationNotFoundError):
        await transfer(one, (await world.birth()).cid, money(usd=1), "k")
    assert (await world.ledger(one)).free == money(usd=40)


async def test_a_hundred_transfers_at_once_overdraw_nobody(world: World) -> None:
    root, kids = await world.family(money(usd=1_000), *[money(usd=100)] * 4)
    moves = [(kids[n % 2], kids[2 + n % 2], money(usd=3 + n % 5), f"k{n}") for n in range(100)]
    done = await asyncio.gather(*(world.backend.steering.transfer(*move) for move in moves), return_exceptions=True)
    assert {type(outcome) for outcome in done} == {tuple, BudgetExceededError}
    assert sum([(await world.ledger(kid)).free["usd"] for kid in kids]) == 400
    assert (await world.ledger(root)).account("usd").lent == 400


async def test_a_mail_to_a_sleeper_moves_no_money(world: World) -> None:
    cid = await world.sleeper(money(usd=1_000))
    await paid(world, cid, usd=700)
    await world.backend.store.deliver(cid, letter())
    await world.commit(await world.take())
    assert await told(world, cid) == [("usd", "none", "floor")]
