"""The contract of the store: who is told when a continuation ends, once, in the step that ends it."""

import pytest

from maestro.continuation.lifecycle import Status
from maestro.continuation.mail import Kind
from maestro.ids import ContinuationId, MailId, Partition, Rev, TimeMs, new_continuation_id
from maestro.runtime.relay import Relay
from maestro.tick.moves import Member
from maestro.tick.store import Adopted, Committed
from maestro.tick.watches import Watch, last_word
from tests.contract.support import ALICE, World, finish, tick_end

BODY = {"status": "failed", "reason": "harness_error", "detail": "it broke"}


def monitor(watcher: ContinuationId, target: ContinuationId, ref: str = "monitor-1") -> Watch:
    return Watch(target, watcher, ref)


def link(one: ContinuationId, other: ContinuationId, ref: str = "link-1") -> tuple[Watch, Watch]:
    return Watch(one, other, ref, link=True), Watch(other, one, ref, link=True)


async def ties(world: World, who: ContinuationId, *watches: Watch) -> Committed:
    """A tick of `who` that wants these watches."""
    adopted = await world.woken(who)
    asked = tuple((watch, watch.answered(MailId(f"noproc:{watch.ref}"), TimeMs(1))) for watch in watches)
    return await world.commit(adopted, watches=asked)


async def fails(world: World, who: ContinuationId) -> None:
    adopted = await world.woken(who)
    word = last_word(who, "failed", "harness_error", "it broke", TimeMs(7))
    await world.backend.store.commit(tick_end(adopted, status=Status.FAILED, last_word=word))


async def reads(world: World, who: ContinuationId) -> Adopted:
    adopted = await world.take()
    assert adopted.cid == who
    return adopted


async def test_a_monitor_is_told_once_in_the_step_of_the_end(world: World) -> None:
    watcher, target = await world.sleeper(), await world.sleeper()
    await ties(world, watcher, monitor(watcher, target))
    assert not await world.is_ready(watcher)
    await fails(world, target)
    adopted = await reads(world, watcher)
    (mail,) = adopted.mail
    assert (mail.kind, mail.sender, mail.correlation, mail.wake_key) == (
        Kind.DOWN,
        target,
        "monitor-1",
        "down:monitor-1",
    )
    assert isinstance(mail.body, dict)
    assert mail.body == {"target": target, **BODY}
    await world.commit(adopted)
    assert not await world.is_ready(watcher)


async def test_who_had_ended_or_never_lived_is_answered_for_at_once(world: World) -> None:
    watcher, target = await world.sleeper(), await world.sleeper()
    await world.backend.store.commit(finish(await world.woken(target)))
    nobody = new_continuation_id(await world.now(), world.partition)
    await ties(world, watcher, monitor(watcher, target, "monitor-1"), monitor(watcher, nobody, "monitor-2"))
    adopted = await reads(world, watcher)
    assert [(mail.correlation, mail.subject) for mail in adopted.mail] == [
        ("monitor-1", "noproc"),
        ("monitor-2", "noproc"),
    ]
    await world.commit(adopted)


async def test_what_is_not_watched_any_more_tells_nothing_and_what_it_told_is_gone(world: World) -> None:
    watcher, target = await world.sleeper(), await world.sleeper()
    await ties(world, watcher, monitor(watcher, target, "monitor-1"), monitor(watcher, target, "monitor-2"))
    await world.commit(await world.woken(watcher), unwatched=(monitor(watcher, target, "monitor-1"),))
    adopted = await world.woken(watcher)  # the end comes while the tick that does not want to know is under way
    await fails(world, target)
    assert await world.unread(watcher) == 2  # the order that woke it, and monitor-2
    await world.commit(adopted, unwatched=(monitor(watcher, target, "monitor-2"),))
    assert await world.unread(watcher) == 0
    assert not await world.is_ready(watcher)


async def test_both_sides_of_a_link_are_told_and_whoever_is_told_is_woken_whatever_it_waits_for(world: World) -> None:
    one, other = await world.sleeper(), await world.sleeper(wake=("reply:q1",))
    await ties(world, one, *link(one, other))
    await fails(world, one)
    adopted = await reads(world, other)
    assert [(mail.kind, mail.correlation) for mail in adopted.mail] == [(Kind.EXIT, "link-1")]
    await world.backend.store.commit(
        tick_end(adopted, status=Status.FAILED, last_word=last_word(other, "failed", "harness_error", None, TimeMs(8)))
    )
    assert await world.count("dead_letters") == 0  # the first to end is not told of the second


async def test_a_link_that_either_side_undid_is_no_more(world: World) -> None:
    one, other = await world.sleeper(), await world.sleeper()
    await ties(world, one, *link(one, other))
    await world.commit(await world.woken(other), unwatched=link(one, other))
    await fails(world, one)
    assert not await world.is_ready(other)
    await fails(world, other)
    assert await world.count("mail_ended") == 0


async def test_a_link_with_one_that_has_ended_leaves_nothing_behind(world: World) -> None:
    one, other = await world.sleeper(), await world.sleeper()
    await world.backend.store.commit(finish(await world.woken(other)))
    await ties(world, one, *link(one, other))
    adopted = await reads(world, one)
    assert [(mail.kind, mail.subject) for mail in adopted.mail] == [(Kind.EXIT, "noproc")]
    await world.backend.store.commit(finish(adopted, last_word=last_word(one, "completed", "normal", None, TimeMs(8))))


async def test_an_end_that_is_refused_tells_nobody(world: World) -> None:
    watcher, target = await world.sleeper(), await world.sleeper()
    await ties(world, watcher, monitor(watcher, target))
    adopted = await world.woken(target)
    await world.backend.leases.reclaim(ALICE, world.partition)
    with pytest.raises(BaseException, match="epoch"):
        await world.backend.store.commit(finish(adopted, last_word=last_word(target, "", "", None, TimeMs(1))))
    assert await world.unread(watcher) == 0


async def test_whoever_has_one_open_end_is_told_of_nothing_after_its_own(world: World) -> None:
    watcher, target = await world.sleeper(), await world.sleeper()
    await ties(world, watcher, monitor(watcher, target))
    await world.backend.store.commit(finish(await world.woken(watcher)))
    await fails(world, target)
    assert await world.count("dead_letters") == 0


async def test_watches_reach_into_other_partitions_through_the_outbox(world: World) -> None:
    if world.backend.partitions == 1:
        pytest.skip("there is one partition only")
    target = await world.sleeper()
    away = World(world.backend)
    away.partition = Partition(0)
    watcher = await away.sleeper()
    assert await world.backend.store.watch(monitor(watcher, target))
    assert await world.backend.store.watch(monitor(watcher, target))  # a repetition changes nothing
    await fails(world, target)
    assert await away.unread(watcher) == 0
    await Relay(world.backend).step()
    assert [mail.kind for mail in (await reads(away, watcher)).mail] == [Kind.DOWN]
    assert not await world.backend.store.watch(monitor(watcher, target, "monitor-2"))
    nowhere = new_continuation_id(await world.now(), Partition(35))
    assert not await world.backend.store.watch(monitor(watcher, nowhere))
    await world.backend.store.unwatch(monitor(watcher, nowhere))


async def test_who_moves_away_is_as_ended_for_those_who_stay(world: World) -> None:
    watcher, target = await world.sleeper(), await world.sleeper()
    await ties(world, watcher, monitor(watcher, target))
    glance = await world.backend.records.glance(target)
    assert glance is not None
    await world.backend.moves.depart([Member(target, Rev(glance.rev), (), ())], "export-1", "elsewhere")
    adopted = await reads(world, watcher)
    assert [(mail.kind, mail.subject) for mail in adopted.mail] == [(Kind.DOWN, "moved")]
    await world.commit(adopted)
