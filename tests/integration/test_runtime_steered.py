"""Steered by people while all runs by itself, in memory and on a real Redis: frozen, forked, paid, killed, asked."""

from maestro.behaviours.counter import Counter
from maestro.budget.vector import BudgetVector
from maestro.continuation.lifecycle import Status
from maestro.continuation.mail import Control
from maestro.runtime import steer, verbs
from tests.integration.families import NOTHING, USD, Parent, _quick, redis, runtime, stage
from tests.integration.runtime_support import Runtime

__all__ = ["_quick", "redis", "runtime", "stage"]


async def test_frozen_it_sleeps_through_everything_and_thawed_it_reads_all_of_it(runtime: Runtime) -> None:
    stage = runtime.stage
    cid = await stage.start(Counter)
    await runtime.until_quiet()
    await stage.backend.steering.freeze(cid, True)
    for n in range(3):
        await verbs.send(stage.at, cid, n)
    await runtime.until_quiet()
    frost = (await stage.view(cid)).glance.frost
    assert frost is not None
    before = "asleep until an event, a message, a timer or a child's end"
    told = f"frozen by person at {frost.at_ms} ms; 3 unread; before: {before}"
    assert ((await stage.state(cid))["n"], await stage.why(cid)) == (0, told)
    await stage.backend.steering.freeze(cid, False)
    await runtime.until_state(cid, n=3)


async def test_a_fork_of_a_past_tick_goes_on_from_there_and_its_origin_from_here(runtime: Runtime) -> None:
    stage = runtime.stage
    origin = await stage.start(Counter, budget=USD, input={"subscribe": "news.*"})
    for n in range(1, 4):
        await verbs.send(stage.at, origin, n)
        await runtime.until_state(origin, n=n)
        await runtime.until_quiet()
    fork = await steer.fork(stage.at, origin, rev=2, share=0.5)
    await runtime.until_quiet()
    assert ((await stage.state(fork))["n"], (await stage.state(origin))["n"]) == (1, 3)
    await stage.publish("news.today", "both")
    await verbs.send(stage.at, fork, "only the fork")
    await runtime.until_state(fork, n=3, events=1)
    await runtime.until_state(origin, n=4, events=1)
    assert (await stage.ledger(fork)).account("usd").granted == (await stage.ledger(origin)).account("usd").granted


async def test_a_fork_of_one_that_waits_for_its_children_does_not_wait_for_those_of_another(runtime: Runtime) -> None:
    stage = runtime.stage
    origin = await stage.start(Parent, input=1, budget=USD)
    await runtime.until_quiet()
    fork = await steer.fork(stage.at, origin, rev=None, share=0.1)
    await runtime.until_quiet()
    assert (await stage.why(fork)).startswith("asleep until an event")
    await verbs.order(stage.at, origin, Control.KILL)
    await runtime.until_ended(origin)


async def test_without_money_it_waits_for_it_and_a_grant_wakes_it(runtime: Runtime) -> None:
    stage = runtime.stage
    cid = await stage.start(Counter, budget=BudgetVector({"usd": 1}))
    await runtime.until_quiet()
    await verbs.send(stage.at, cid, {"think": "of something"})
    await runtime.until_quiet()
    assert (await stage.why(cid)).startswith("waiting on budget: ")
    assert stage.model.asked == 0
    await stage.publish("news.today", "unheard")
    await verbs.rebudget(stage.at, cid, USD, NOTHING)
    await runtime.until_state(cid, answers=["ok"])
    await runtime.until_quiet()
    assert (await stage.why(cid)).startswith("asleep until an event")
    await verbs.send(stage.at, cid, "and on it goes")
    await runtime.until_state(cid, n=2)


async def test_a_kill_stops_the_whole_family_and_its_money_comes_home(runtime: Runtime) -> None:
    stage = runtime.stage
    root = await stage.start(Counter, budget=USD)
    await verbs.send(stage.at, root, {"spawn": "child", "share": 0.5})
    await runtime.until_quiet()
    (child,) = (await stage.checkpoint(root)).children
    await verbs.send(stage.at, child, {"spawn": "grandchild", "share": 0.5})
    await runtime.until_quiet()
    (grandchild,) = (await stage.checkpoint(child)).children
    await verbs.order(stage.at, root, Control.KILL)
    for cid in (root, child, grandchild):
        await runtime.until_ended(cid)
        assert (await stage.checkpoint(cid)).status is Status.CANCELLED
    assert (await stage.ledger(root)).account("usd").free == 1_000_000
    assert (await stage.ledger(root)).account("usd").lent == 0


async def test_an_approval_is_asked_given_once_and_acted_on(runtime: Runtime) -> None:
    stage = runtime.stage
    cid = await stage.start(Counter)
    await verbs.send(stage.at, cid, {"ask": "buy"})
    await runtime.until_quiet()
    asked = [a for p in verbs.partitions(stage.at) for a in (await stage.backend.records.waiting(p)).values()]
    assert len(asked) == 1
    why = await stage.why(cid)
    await verbs.decide(stage.at, cid, why.split()[4].rstrip(":"), approved=True)
    await runtime.until_state(cid, decisions=["approved"])
    await runtime.until_quiet()
    assert not [a for p in verbs.partitions(stage.at) for a in (await stage.backend.records.waiting(p)).values()]
