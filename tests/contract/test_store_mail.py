"""The contract of the store: mail, and whom it wakes."""

from dataclasses import replace

import orjson
import pytest

from maestro.continuation.mail import DEDUPE_MS, MAILBOX_LIMIT, MAILBOX_LIMIT_BYTES, Kind, reading_order
from maestro.errors import MailboxFull
from maestro.runtime.ports import ready_signal
from tests.contract.letters import about, causes, fill, until, written
from tests.contract.support import World, batch_of, control, ended, finish, happening, intent, letter


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
    assert (await world.take()).controls == (third, second), "a kill is read before what came before it"


async def test_at_most_a_thousand_mails_are_read_at_once_and_none_is_lost(world: World) -> None:
    cid = await world.sleeper(wake=("message",))
    mails = [letter() for _ in range(1_005)]
    for mail in mails:
        await world.backend.store.deliver(cid, mail)
    adopted = await world.take()
    assert list(adopted.mail) == mails[:1_000]
    await world.commit(adopted, wake=("message",))
    assert list((await world.take()).mail) == mails[1_000:]


async def test_orders_are_seen_in_lanes_and_in_each_as_they_came(world: World) -> None:
    cid = await world.sleeper(wake=())
    said = ["wake", "thaw", "cancel", "granted", "kill", "cancel", "wake"]
    orders = [control(subject) for subject in said]
    for order in orders:
        await world.backend.store.deliver(cid, order)
    seen = (await world.take()).controls
    assert [order.subject for order in seen] == ["kill", "cancel", "cancel", "wake", "thaw", "granted", "wake"]
    assert [order for order in seen if order.subject == "wake"] == [orders[0], orders[6]]


async def test_a_kill_behind_a_thousand_mails_and_a_hundred_orders_is_seen_at_once(world: World) -> None:
    cid = await world.sleeper(wake=())
    await fill(world, cid, 1_500)
    for _ in range(150):
        await world.backend.store.deliver(cid, control())
    await world.backend.store.deliver(cid, order := control("kill"))
    assert (await world.take()).controls[0] == order


async def test_what_is_read_first_is_seen_behind_a_thousand_mails_that_wake(world: World) -> None:
    cid = await world.sleeper(wake=("message", "child", "approval"))
    await fill(world, cid, 1_200)
    told = ended("c0").model_copy(update={"sender": "c0"})
    await world.backend.store.deliver(cid, told)
    await world.backend.store.deliver(cid, word := letter(Kind.APPROVAL, "a-1"))
    adopted = await world.take()
    read = [adopted.mail[place] for place in reading_order(adopted.mail)]
    assert read.index(told) < read.index(word)
    assert [mail.kind for mail in read[-2:]] == [Kind.MESSAGE, Kind.MESSAGE]


async def test_a_repetition_older_than_ids_are_kept_is_known_by_its_senders_number(world: World) -> None:
    cid, sender = await world.sleeper(wake=()), "0123456789abcdefghjkmn-z"
    first, second, third = (written(sender, rev, ordinal) for rev, ordinal in ((3, 0), (3, 1), (4, 0)))
    for mail in (first, second):
        assert not (await world.backend.store.deliver(cid, mail)).duplicate
    await world.advance(DEDUPE_MS + 60_000)
    await world.backend.timers.fire(world.partition)
    await world.backend.store.deliver(cid, letter())
    for mail in (first, second):
        assert (await world.backend.store.deliver(cid, mail)).duplicate
    assert not (await world.backend.store.deliver(cid, third)).duplicate, "what took weeks on its way is no repetition"
    stranger = written(sender.replace("n-z", "p-z"), 1, 0)
    assert not (await world.backend.store.deliver(cid, stranger)).duplicate
    assert await world.unread(cid) == 5


async def test_within_the_window_the_id_decides_and_not_the_number(world: World) -> None:
    cid, sender = await world.sleeper(wake=()), "0123456789abcdefghjkmn-z"
    late = written(sender, 4, 0).model_copy(update={"sent_ms": await world.now()})
    early = written(sender, 3, 0).model_copy(update={"sent_ms": await world.now()})
    for mail in (late, early):
        assert not (await world.backend.store.deliver(cid, mail)).duplicate


async def test_what_a_person_or_a_source_sent_is_new_again_after_the_window(world: World) -> None:
    cid = await world.sleeper(wake=())
    await world.backend.store.deliver(cid, mail := letter())
    await world.advance(DEDUPE_MS + 60_000)
    await world.backend.timers.fire(world.partition)
    await world.backend.store.deliver(cid, letter())
    assert not (await world.backend.store.deliver(cid, mail)).duplicate


async def test_an_unread_mail_gives_way_to_the_one_that_supersedes_it(world: World) -> None:
    cid = await world.sleeper(wake=())
    old, between, new = about("price"), letter(), about("price")
    other = about("price").model_copy(update={"sender": "somebody else"})
    for mail in (old, other, between, new):
        await world.backend.store.deliver(cid, mail)
    assert (await world.woken(cid)).mail == (other, between, new), "the newer stands where it came"
    assert await world.count("mail_superseded") == 1
    assert (await world.backend.store.deliver(cid, old)).duplicate, "what gave way is not new again"


async def test_what_a_tick_has_in_hand_gives_way_to_nothing(world: World) -> None:
    cid = await world.sleeper(wake=())
    await world.backend.store.deliver(cid, in_hand := about("price"))
    adopted = await world.woken(cid)
    for mail in (second := about("price"), third := about("price")):
        await world.backend.store.deliver(cid, mail)
    assert second != third
    await world.backend.store.record(cid, adopted.epoch, intent(), batch_of(adopted))
    await world.backend.store.release(cid, adopted.epoch, 0, "boom", counts=True)
    await world.backend.store.deliver(cid, fourth := about("price"))
    again = await world.take()
    assert again.mail == (in_hand, fourth), "a repeated tick sees what its first try saw"
    await world.commit(again, take=(0,), wake=())
    assert (await world.woken(cid)).mail == (fourth,)


async def test_a_full_mailbox_takes_what_supersedes_and_makes_room_of_what_expired(world: World) -> None:
    cid = await world.sleeper(wake=())
    await world.backend.store.deliver(cid, about("price"))
    await world.backend.store.deliver(cid, until(await world.now() + 600_000))
    await fill(world, cid, MAILBOX_LIMIT - 2)
    await world.backend.store.deliver(cid, about("price"))
    with pytest.raises(MailboxFull, match=cid) as refusal:
        await world.backend.store.deliver(cid, letter())
    assert refusal.value.facts["unread"] == MAILBOX_LIMIT
    assert refusal.value.hint is not None
    await world.advance(700_000)
    await world.backend.store.deliver(cid, letter())
    assert await world.unread(cid) == MAILBOX_LIMIT


async def test_a_mailbox_is_full_by_its_bytes_too_and_has_room_again_when_read(world: World) -> None:
    cid, body = await world.sleeper(wake=()), "x" * 1_000_000
    large = [letter().model_copy(update={"body": body}) for _ in range(68)]
    taken = 0
    with pytest.raises(MailboxFull, match="bytes"):
        for mail in large:
            await world.backend.store.deliver(cid, mail)
            taken += 1
    assert taken == MAILBOX_LIMIT_BYTES // 1_000_300
    await world.backend.store.deliver(cid, letter(Kind.RESULT, "op-1"))
    await world.commit(await world.woken(cid), take=(0,), wake=())
    await world.backend.store.deliver(cid, large[-1])
    with pytest.raises(MailboxFull):
        await world.backend.store.deliver(cid, letter().model_copy(update={"body": body}))


async def test_what_expired_unread_is_shown_to_nobody_and_is_a_dead_letter(world: World) -> None:
    cid = await world.sleeper(wake=())
    over, kept = until(await world.now() + 1_000), until(await world.now() + 60_000)
    for mail in (over, kept):
        await world.backend.store.deliver(cid, mail)
    await world.advance(1_500)
    assert (await world.woken(cid)).mail == (kept,)
    assert await causes(world) == ["expired"]
    assert await world.count("mail_expired") == 1


async def test_what_comes_too_late_wakes_nobody(world: World) -> None:
    cid = await world.sleeper()
    late = await world.backend.store.deliver(cid, until(await world.now()))
    assert (late.expired, late.duplicate) == (True, False)
    assert not await world.is_ready(cid)
    assert (await causes(world), await world.unread(cid)) == (["expired"], 0)


async def test_what_expired_during_a_tick_wakes_nobody_after_it(world: World) -> None:
    cid = await world.root()
    adopted = await world.take()
    await world.backend.store.deliver(cid, until(await world.now() + 1_000))
    await world.advance(1_500)
    await world.commit(adopted)
    assert not await world.is_ready(cid)
    assert await causes(world) == ["expired"]


async def test_a_repeated_tick_sees_what_expired_since_its_first_try(world: World) -> None:
    cid = await world.sleeper()
    await world.backend.store.deliver(cid, mail := until(await world.now() + 1_000))
    adopted = await world.take()
    await world.backend.store.record(cid, adopted.epoch, intent(), batch_of(adopted))
    await world.backend.store.release(cid, adopted.epoch, 0, "boom", counts=True)
    await world.advance(5_000)
    assert (await world.take()).mail == (mail,)


async def test_what_lies_unread_at_the_end_is_a_dead_letter(world: World) -> None:
    cid = await world.sleeper(wake=())
    read, unread, event = letter(), letter(), letter(Kind.EVENT, "i")
    for mail in (read, unread, event):
        await world.backend.store.deliver(cid, mail)
    adopted = await world.woken(cid)
    await world.backend.store.deliver(cid, control())
    await world.backend.store.commit(replace(finish(adopted), mail_taken=(0,)))
    letters = [orjson.loads(line) for line in await world.backend.records.dead_letters(world.partition)]
    assert [(dead["cause"], dead["to"], dead["id"]) for dead in letters] == [
        ("receiver_ended", cid, unread.id),
        ("receiver_ended", cid, event.id),
    ]
    assert orjson.loads(letters[0]["payload"])["body"] == {"n": 1}
    assert await world.count("mail_ended") == 3, "an order is counted, and nobody misses it"


async def test_every_mail_delivered_is_read_unread_over_superseded_or_left_at_the_end(world: World) -> None:
    one, other = await world.sleeper(wake=()), await world.sleeper(wake=())
    for cid in (one, other):
        for mail in (about("a"), about("a"), until(await world.now() + 1_000), letter(), letter(Kind.RESULT, "op")):
            await world.backend.store.deliver(cid, mail)
    await world.advance(2_000)
    await world.commit(await world.woken(one), take=(0,), wake=())
    await world.backend.store.commit(finish(await world.woken(other), mail_taken=(1,)))
    await world.balanced()
    assert await world.unread(one) == 2


async def test_a_message_inside_the_family_that_cannot_arrive_is_a_dead_letter(world: World) -> None:
    done = await world.root()
    await world.backend.store.commit(finish(await world.take()))
    gone = await world.birth()
    adopted = await world.woken(await world.sleeper())
    sent = ((done, letter()), (gone.cid, letter()), (done, control("granted")))
    await world.commit(adopted, family_mail=sent)
    assert await causes(world) == ["already_terminal", "not_found"], "only what somebody wrote"


async def test_a_full_mailbox_refuses_loudly_and_still_takes_orders_and_answers(world: World) -> None:
    writer = await world.woken(await world.sleeper())
    cid = await world.sleeper(wake=(), subscriptions=(("arxiv.>", "i", None),))
    mails = await fill(world, cid, MAILBOX_LIMIT)
    refused = letter()
    with pytest.raises(MailboxFull):
        await world.backend.store.deliver(cid, refused)
    assert (await world.backend.store.deliver(cid, mails[0])).duplicate
    for wanted in (control(), letter(Kind.RESULT, "op-1"), ended("child")):
        assert not (await world.backend.store.deliver(cid, wanted)).duplicate
    await world.backend.router.route(happening(), world.partition)
    await world.commit(writer, family_mail=((cid, letter()),))
    assert await causes(world) == ["mailbox_full", "mailbox_full"], (
        "an event or a message without room is a dead letter"
    )
    await world.commit(await world.take())
    assert not (await world.backend.store.deliver(cid, refused)).duplicate, "a refused mail was not accepted"


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
