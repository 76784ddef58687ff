"""Host, timekeeper, relay, projector and reaper together, on memory and on a real Redis: a continuation's life.

At every look, everybody must have a reason: done, held, ready, leased, or waiting for what can come (`Runtime.until`).
"""

from collections.abc import Sequence
from dataclasses import fields, replace

import pytest
from pydantic import JsonValue

from maestro.behaviours.counter import Counter
from maestro.continuation.directive import Closing, Finish
from maestro.continuation.mail import Control
from maestro.errors import StoreUnavailable
from maestro.ids import ContinuationId, HolderId, Partition, partition_of
from maestro.runtime import verbs
from maestro.runtime.backend import Backend
from maestro.runtime.ports import Outbox
from maestro.runtime.relay import Relay
from maestro.tick.behaviour import Behaviour, NoState
from maestro.tick.context import Tick
from maestro.tick.runner import run
from maestro.tick.store import OutboxRow
from tests.integration.families import BEHAVIOURS, DAY_MS, USD, Listener, Parent, _quick, redis, runtime, stage
from tests.integration.runtime_support import Runtime, in_limbo
from tests.stage import CHARGE_USD_MICROS, LEASE_MS, Stage

__all__ = ["_quick", "redis", "runtime", "stage"]

GOAL = "durable checkpoints of sleeping actors"
RELEVANT: JsonValue = {
    "title": "Durable checkpoints let actors sleep",
    "abstract": "Sleeping actors and their checkpoints.",
}
IRRELEVANT: JsonValue = {"title": "A recipe for plum cake", "abstract": "Butter, sugar, plums and an hour in the oven."}


async def test_only_what_is_relevant_wakes_and_the_rest_is_in_the_field(runtime: Runtime) -> None:
    stage = runtime.stage
    cid = await stage.start(Listener, goal=GOAL)
    await runtime.until_quiet()
    await stage.publish("papers.cs", "cake", IRRELEVANT)
    await stage.publish("papers.cs.deeper", "not matched", RELEVANT)
    await runtime.until_quiet()
    assert (await stage.view(cid)).glance.rev == 1, "it slept through the cake"
    await stage.publish("papers.cs", "sleep", RELEVANT)
    await stage.publish("papers.cs", "sleep", RELEVANT)
    await runtime.until_ended(cid)
    assert ((await stage.checkpoint(cid)).result, (await stage.view(cid)).glance.rev) == ("sleep", 2)
    now_ms = await stage.backend.clock.now_ms()
    top = await stage.backend.shelf.top(cid, 5, now_ms)
    assert [weighed.entry.title for weighed in top] == [RELEVANT["title"], IRRELEVANT["title"]]  # type: ignore[index,call-overload]


async def test_many_events_while_asleep_are_few_ticks_and_none_is_lost(runtime: Runtime) -> None:
    stage = runtime.stage
    cid = await stage.start(Counter, input={"subscribe": "news.*"})
    await runtime.until_quiet()
    await stage.backend.steering.freeze(cid, True)
    for n in range(300):
        await stage.publish("news.today", f"k{n}", n)
    await runtime.until_quiet()
    await stage.backend.steering.freeze(cid, False)
    await runtime.until_state(cid, events=300)
    assert (await stage.view(cid)).glance.rev == 2, "one tick with all of them"


async def test_children_end_the_parent_is_told_and_the_money_comes_home(runtime: Runtime) -> None:
    stage = runtime.stage
    cid = await stage.start(Parent, input=3, budget=USD)
    await runtime.until_quiet()
    zero = ContinuationId((await stage.state(cid))["children"][0])
    assert await stage.why(cid) == "waiting for 3 of 3 children; 2 unread that do not wake it"
    lent = (await stage.ledger(cid)).account("usd").lent
    assert lent > 2 * CHARGE_USD_MICROS
    await verbs.send(stage.at, zero, "now")
    await runtime.until_ended(cid)
    assert (await stage.checkpoint(cid)).result == 3
    ledger = await stage.ledger(cid)
    assert (ledger.account("usd").lent, ledger.account("usd").free) == (
        3 * CHARGE_USD_MICROS,
        1_000_000 - 3 * CHARGE_USD_MICROS,
    )


async def test_three_weeks_pass_and_a_timer_is_neither_early_nor_lost(runtime: Runtime) -> None:
    stage = runtime.stage
    cid = await stage.start(Counter)
    await runtime.until_quiet()
    due = await stage.backend.clock.now_ms() + 21 * DAY_MS
    await verbs.send(stage.at, cid, {"timer": due})
    await runtime.until_state(cid, n=1)
    await stage.advance(21 * DAY_MS - 600_000)
    await runtime.until_quiet()
    assert (await stage.state(cid))["timers"] == 0, "not early"
    await stage.advance(600_000)
    await runtime.until_state(cid, timers=1)
    await stage.advance(DAY_MS)
    await runtime.until_quiet()
    assert (await stage.state(cid))["timers"] == 1, "once"
    assert stage.timekeeper.worst_lateness_ms >= 0


async def in_partition(stage: Stage, number: int) -> ContinuationId:
    """A counter of its own family, in that partition."""
    while True:
        cid = await stage.start(Counter)
        if partition_of(cid) == number:
            return cid
        await verbs.order(stage.at, cid, Control.KILL)


class Writer(Behaviour[NoState]):
    """Sends its message to whom the input names, three times."""

    async def start(self, tick: Tick[NoState]) -> Closing | None:
        for n in range(3):
            tick.send(str(tick.about.input), {"n": n})
        return Finish()


async def test_mail_and_events_cross_from_family_to_family(stage: Stage) -> None:
    async with Runtime(stage, *BEHAVIOURS, Writer) as runtime:
        there = [await in_partition(stage, number) for number in (0, 1)]
        for cid in there:
            await verbs.send(stage.at, cid, {"subscribe": "news.*"})
        await runtime.until_quiet()
        for cid in there:
            await stage.start(Writer, input=cid)
        await stage.publish("news.today", "k", None)
        for cid in there:
            await runtime.until_state(cid, n=5, events=1)


class Forgetful:
    """An outbox that forgets, so many times, that rows arrived: as a relay that dies between delivery and its note."""

    def __init__(self, outbox: Outbox, deaths: int) -> None:
        self._outbox = outbox
        self.deaths = deaths

    async def done(self, partition: Partition, positions: Sequence[str]) -> None:
        if positions and self.deaths > 0:
            self.deaths -= 1
            raise StoreUnavailable("the relay died here")
        await self._outbox.done(partition, positions)

    async def pending(self, partition: Partition, limit: int = 256) -> Sequence[tuple[str, OutboxRow]]:
        return await self._outbox.pending(partition, limit)

    async def bury(self, partition: Partition, position: str, row: OutboxRow, cause: str) -> None:
        await self._outbox.bury(partition, position, row, cause)


async def test_what_a_dying_relay_delivers_twice_is_applied_once(stage: Stage) -> None:
    ports = {port.name: getattr(stage.backend, port.name) for port in fields(Backend)}
    forgetful = Forgetful(stage.backend.outbox, deaths=4)
    stage.relay = Relay(Backend(**ports | {"outbox": forgetful}))
    async with Runtime(stage, *BEHAVIOURS, Writer) as runtime:
        cid = await in_partition(stage, 1)
        await verbs.send(stage.at, cid, {"subscribe": "news.*"})
        await runtime.until_quiet()
        await stage.publish("news.today", "k")
        await stage.start(Writer, input=cid)

        async def died_enough() -> bool:
            return forgetful.deaths == 0 and await stage.total("outbox") == 0

        await runtime.until(died_enough)
        await runtime.until_quiet()
        assert ((await stage.state(cid))["n"], (await stage.state(cid))["events"]) == (5, 1)


async def test_what_can_never_arrive_is_a_dead_letter_with_its_cause(stage: Stage) -> None:
    async with Runtime(stage, *BEHAVIOURS, Writer) as runtime:
        done = await stage.start(Counter, input={"finish": True})
        await runtime.until_ended(done)
        nobody = "0123456789abcdefghjkmn-0"
        beyond = "0123456789abcdefghjkmn-zz"
        for to in (done, nobody, beyond):
            await stage.start(Writer, input=to)

        async def buried() -> bool:
            return await stage.total("dead_letters") == 9

        await runtime.until(buried)
        letters = [letter for p in verbs.partitions(stage.at) for letter in await stage.backend.records.dead_letters(p)]
        causes = sorted({letter.partition(b'"cause":"')[2].partition(b'"')[0] for letter in letters})
        assert causes == [b"already_terminal", b"not_found"]
        assert await stage.total("outbox") == 0


async def test_a_poisoned_child_is_held_and_its_siblings_do_not_notice(runtime: Runtime) -> None:
    stage = runtime.stage
    bad, good = await stage.start(Counter), await stage.start(Counter)
    await verbs.send(stage.at, bad, {"fail": "poison"})
    await verbs.send(stage.at, good, 1)
    await runtime.until_state(good, n=1)

    async def held() -> bool:
        await stage.advance(10_000)
        return (await stage.checkpoint(bad)).hold is not None

    await runtime.until(held)
    assert "quarantined: RuntimeError: poison" in await stage.why(bad)
    await verbs.send(stage.at, good, 2)
    await runtime.until_state(good, n=2)


@pytest.mark.spec("01.4")
async def test_what_a_dead_holder_held_goes_on_elsewhere(stage: Stage) -> None:
    cid = await stage.start(Counter)
    adopted = await stage.adopt(HolderId("pool/default/9#gone"))
    assert adopted is not None
    async with Runtime(stage, *BEHAVIOURS) as runtime:
        await stage.advance(LEASE_MS + 1)
        await runtime.until_state(cid, n=0)
        assert stage.reaper.reclaimed == 1


async def test_limbo_is_seen(stage: Stage) -> None:
    """The checker is able to fail: one whose wake was lost is in limbo."""
    cid = await stage.start(Counter)
    assert in_limbo(await stage.view(cid)) is None
    adopted = await stage.adopt()
    assert adopted is not None
    assert in_limbo(await stage.view(cid)) is None
    held = await stage.view(cid)
    lost = replace(held, glance=replace(held.glance, holder=None))
    assert in_limbo(lost) == "it never began, and is not ready"
    await stage.write(adopted, await run(adopted, stage.around))
    assert in_limbo(await stage.view(cid)) is None
