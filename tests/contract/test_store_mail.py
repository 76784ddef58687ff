"""The contract of the store: mail, and whom it wakes."""

import asyncio

import pytest

from maestro.continuation.mail import MAILBOX_LIMIT, Kind
from maestro.errors import MailboxFull
from maestro.runtime.ports import ready_signal
from tests.contract.support import World, control, ended, finish, happening, letter


async def test_mail_wakes_who_waits_for_its_kind(world: World) -> None:
    cid = await world.sleeper(wake=("message",))
    await world.backend.store.deliver(cid, letter(Kind.RESULT, "op-1"))
    assert not await world.is_ready(cid)
    await world.backend.store.deliver(cid, mail := letter())
    adopted = await world.take()
    assert adopted.wake_keys == ("message",)
    assert adopted.mail[1] == mail
    assert [m.kind for m in adopted.mail] == [Kind.RESULT, Kind.MESSAGE]


async def test_mail_wakes_who_waits_for_exactly_this_answer(world: World) -> None:
    cid = await world.sleeper(wake=("approval:a-1", "result:op-1"))
    for stranger in (letter(Kind.APPROVAL, "a-2"), letter(Kind.APPROVAL, "a-11"), letter(Kind.RESULT), letter()):
        await world.backend.store.deliver(cid, stranger)
    assert not await world.is_ready(cid)
    await world.backend.store.deliver(cid, letter(Kind.APPROVAL, "a-1"))
    assert await world.is_ready(cid)


async def test_control_mail_wakes_whatever_the_wait(world: World) -> None:
    cid = await world.sleeper(wake=())
    await world.backend.store.deliver(cid, letter())
    assert not await world.is_ready(cid)
    await world.backend.store.deliver(cid, order := control("kill"))
    adopted = await world.take()
    assert adopted.controls == (order,)
    assert len(adopted.mail) == 1


async def test_the_same_mail_twice_is_one_mail(world: World) -> None:
    cid = await world.sleeper(wake=())
    mail = letter()
    first = await world.backend.store.deliver(cid, mail)
    again = await world.backend.store.deliver(cid, mail)
    assert (first.duplicate, again.duplicate) == (False, True)
    assert await world.unread(cid) == 1


async def test_a_mail_is_known_again_after_it_was_read(world: World) -> None:
    cid = await world.sleeper()
    mail = letter()
    await world.backend.store.deliver(cid, mail)
    await world.commit(await world.take())
    assert (await world.backend.store.deliver(cid, mail)).duplicate
    assert not await world.is_ready(cid)
    adopted = await world.woken(cid)
    await world.backend.store.commit(finish(adopted))
    assert (await world.backend.store.deliver(cid, mail)).duplicate, "a repeated delivery learns that it had arrived"


async def test_the_same_id_to_two_receivers_is_two_mails(world: World) -> None:
    one, other = await world.sleeper(), await world.sleeper()
    mail = letter()
    assert not (await world.backend.store.deliver(one, mail)).duplicate
    assert not (await world.backend.store.deliver(other, mail)).duplicate


async def test_mail_to_a_busy_one_waits_for_the_end_of_the_tick(world: World) -> None:
    cid = await world.root()
    adopted = await world.take()
    await world.backend.store.deliver(cid, late := letter())
    assert not await world.is_ready(cid)
    await world.commit(adopted)
    assert (await world.take()).mail == (late,)


async def test_mail_that_came_during_the_tick_does_not_wake_a_wait_for_something_else(world: World) -> None:
    cid = await world.root()
    adopted = await world.take()
    await world.backend.store.deliver(cid, letter())
    await world.commit(adopted, wake=("reply:q-1",))
    assert not await world.is_ready(cid)
    assert await world.unread(cid) == 1


async def test_a_tick_consumes_by_position_and_leaves_the_rest_in_order(world: World) -> None:
    cid = await world.sleeper(wake=())
    mails = [letter() for _ in range(5)]
    for mail in mails:
        await world.backend.store.deliver(cid, mail)
    adopted = await world.woken(cid)
    assert list(adopted.mail) == mails
    await world.backend.store.deliver(cid, late := letter())
    await world.commit(adopted, take=(0, 2, 3), wake=())
    assert (await world.woken(cid)).mail == (mails[1], mails[4], late)


async def test_control_mail_has_a_lane_of_its_own(world: World) -> None:
    cid = await world.sleeper()
    first, second = control(), control("thaw")
    await world.backend.store.deliver(cid, first)
    await world.backend.store.deliver(cid, second)
    adopted = await world.take()
    await world.backend.store.deliver(cid, third := control("kill"))
    await world.commit(adopted, controls_taken=1)
    assert (await world.take()).controls == (second, third)


async def test_at_most_a_thousand_mails_are_read_at_once_and_none_is_lost(world: World) -> None:
    cid = await world.sleeper(wake=("message",))
    mails = [letter() for _ in range(1_005)]
    for mail in mails:
        await world.backend.store.deliver(cid, mail)
    adopted = await world.take()
    assert list(adopted.mail) == mails[:1_000]
    await world.commit(adopted, wake=("message",))
    assert list((await world.take()).mail) == mails[1_000:]


async def test_a_full_mailbox_refuses_loudly_and_still_takes_orders_and_answers(world: World) -> None:
    cid = await world.sleeper(wake=(), subscriptions=(("arxiv.>", "i", None),))
    mails = [letter() for _ in range(MAILBOX_LIMIT)]
    for start in range(0, MAILBOX_LIMIT, 500):
        await asyncio.gather(*(world.backend.store.deliver(cid, mail) for mail in mails[start : start + 500]))
    refused = letter()
    with pytest.raises(MailboxFull):
        await world.backend.store.deliver(cid, refused)
    assert (await world.backend.store.deliver(cid, mails[0])).duplicate
    for wanted in (control(), letter(Kind.RESULT, "op-1"), ended("child")):
        assert not (await world.backend.store.deliver(cid, wanted)).duplicate
    await world.backend.router.route(happening(), world.partition)
    assert len(await world.backend.records.dead_letters(world.partition)) == 1, "an event without room is a dead letter"
    await world.commit(await world.take())
    assert not (await world.backend.store.deliver(cid, refused)).duplicate, "a refused mail was not accepted"


async def test_a_join_wakes_with_the_last_child_that_it_needs(world: World) -> None:
    cid = await world.sleeper(wake=("child",), join=3)
    for n in range(2):
        await world.backend.store.deliver(cid, ended(f"c{n}"))
        assert not await world.is_ready(cid)
    await world.backend.store.deliver(cid, ended("c2"))
    assert len((await world.take()).mail) == 3


async def test_the_same_childs_end_counts_once(world: World) -> None:
    cid = await world.sleeper(wake=("child",), join=2)
    told = ended("c0")
    await world.backend.store.deliver(cid, told)
    await world.backend.store.deliver(cid, told)
    assert not await world.is_ready(cid)


async def test_a_join_counts_the_ends_that_were_told_before_it(world: World) -> None:
    cid = await world.root()
    adopted = await world.take()
    for n in range(2):
        await world.backend.store.deliver(cid, ended(f"c{n}"))
    await world.commit(adopted, wake=("child",), join=3)
    assert not await world.is_ready(cid)
    await world.backend.store.deliver(cid, ended("c2"))
    assert await world.is_ready(cid)


async def test_a_join_that_was_reached_before_it_began_wakes_at_once(world: World) -> None:
    cid = await world.root()
    adopted = await world.take()
    for n in range(2):
        await world.backend.store.deliver(cid, ended(f"c{n}"))
    await world.commit(adopted, wake=("child",), join=2)
    assert await world.is_ready(cid)


async def test_a_join_counts_each_child_once_over_a_freeze(world: World) -> None:
    cid = await world.sleeper(wake=("child",), join=3)
    await world.backend.store.deliver(cid, ended("c0"))
    await world.backend.steering.freeze(cid, True)
    await world.backend.store.deliver(cid, ended("c1"))
    await world.backend.steering.freeze(cid, False)
    assert not await world.is_ready(cid)
    await world.backend.store.deliver(cid, ended("c2"))
    assert await world.is_ready(cid)


async def test_a_join_counts_on_through_a_try_that_was_handed_back(world: World) -> None:
    cid = await world.sleeper(wake=("child", "message"), join=2)
    await world.backend.store.deliver(cid, letter())
    adopted = await world.take()
    await world.backend.store.deliver(cid, ended("c0"))
    await world.backend.store.release(cid, adopted.epoch, 60_000, "boom", counts=True)
    assert not await world.is_ready(cid)
    await world.backend.store.deliver(cid, ended("c1"))
    assert await world.is_ready(cid)


async def test_a_join_beside_another_wait_ends_with_whichever_comes_first(world: World) -> None:
    cid = await world.sleeper(wake=("child", "message"), join=5)
    await world.backend.store.deliver(cid, ended("c0"))
    assert not await world.is_ready(cid)
    await world.backend.store.deliver(cid, letter())
    assert await world.is_ready(cid)


async def test_without_a_join_the_first_childs_end_wakes(world: World) -> None:
    cid = await world.sleeper()
    await world.backend.store.deliver(cid, ended("c0"))
    assert await world.is_ready(cid)


async def test_mail_inside_the_family_arrives_with_the_commit(world: World) -> None:
    receiver, gone, sender = await world.sleeper(), await world.birth(), await world.sleeper()
    adopted = await world.woken(sender)
    mail = letter()
    await world.commit(adopted, family_mail=((receiver, mail), (gone.cid, letter())))
    assert (await world.take()).mail == (mail,)


async def test_mail_inside_the_family_to_one_who_is_done_is_dropped(world: World) -> None:
    await world.root()
    done = await world.take()
    await world.backend.store.commit(finish(done))
    adopted = await world.woken(await world.sleeper())
    await world.commit(adopted, family_mail=((done.cid, letter()),))
    assert await world.unread(done.cid) == 0


async def test_whoever_gets_ready_rouses_an_idle_actor_of_its_pool(world: World) -> None:
    signals = world.backend.signals
    cid = await world.sleeper(pool="swarm")
    while await signals.wait(ready_signal("swarm"), 10):
        pass
    await world.backend.store.deliver(cid, letter())
    assert await signals.wait(ready_signal("swarm"), 1_000)
    assert not await signals.wait(ready_signal("default"), 10)


async def test_what_wakes_is_seen_although_a_thousand_other_mails_lie_before_it(world: World) -> None:
    cid = await world.sleeper(wake=("approval",))
    for _ in range(1_001):
        await world.backend.store.deliver(cid, letter())
    assert not await world.is_ready(cid)
    await world.backend.store.deliver(cid, letter(kind=Kind.APPROVAL))
    adopted = await world.take()
    assert [mail.kind for mail in adopted.mail].count(Kind.APPROVAL) == 1, "it would tick without end and never see it"
