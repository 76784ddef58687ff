"""The contract of the store: a mailbox with very many in it is not looked through again and again, and tells all."""

import asyncio

import pytest

from maestro.continuation.mail import Kind, Mail
from maestro.errors import MailboxFull
from maestro.ids import ContinuationId
from tests.contract.support import World, ended, letter

MANY, READ_AT_ONCE = 110, 1_000
LARGE = "x" * 1_000_000


def large() -> Mail:
    return letter().model_copy(update={"body": LARGE})


async def fill(world: World, cid: ContinuationId, count: int) -> list[Mail]:
    """So many small letters lie there."""
    mails = [letter() for _ in range(count)]
    for start in range(0, count, 500):
        await asyncio.gather(*(world.backend.store.deliver(cid, mail) for mail in mails[start : start + 500]))
    return mails


async def test_what_expires_sooner_than_all_that_lay_there_makes_room_when_it_does(world: World) -> None:
    cid = await world.sleeper(wake=())
    await fill(world, cid, MANY)
    await world.commit(await world.woken(cid), take=(), wake=())  # looked through: nothing will expire
    soon = large().model_copy(update={"expires_ms": await world.now() + 600_000})
    await world.backend.store.deliver(cid, soon)
    with pytest.raises(MailboxFull):
        for _ in range(70):
            await world.backend.store.deliver(cid, large())
    with pytest.raises(MailboxFull):
        await world.backend.store.deliver(cid, large())
    await world.advance(600_500)
    assert not (await world.backend.store.deliver(cid, large())).duplicate
    with pytest.raises(MailboxFull):
        await world.backend.store.deliver(cid, large())
    assert await world.count("mail_expired") == 1


async def test_what_is_read_before_older_mail_is_found_however_far_behind_it_lies(world: World) -> None:
    cid = await world.sleeper(wake=("message",))
    mails = await fill(world, cid, READ_AT_ONCE + 5)
    adopted = await world.take()
    assert list(adopted.mail) == mails[:READ_AT_ONCE], "nothing is urgent"
    await world.commit(adopted, wake=("message",))
    more = await fill(world, cid, READ_AT_ONCE + 5)
    await world.backend.store.deliver(cid, last := ended("child"))
    adopted = await world.take()
    assert last in adopted.mail
    assert len(adopted.mail) == 5 + len(more) + 1
    await world.commit(adopted, wake=("message",))
    third = await fill(world, cid, READ_AT_ONCE + 5)
    assert list((await world.take()).mail) == third[:READ_AT_ONCE], "and it is not urgent for ever"


async def test_after_a_tick_a_long_mailbox_wakes_by_what_lies_at_its_end(world: World) -> None:
    cid = await world.sleeper(wake=())
    await fill(world, cid, 3 * MANY)
    adopted = await world.woken(cid)
    await world.backend.store.deliver(cid, letter(Kind.RESULT, "op-1"))
    await world.commit(adopted, take=(), wake=("result:op-2",))
    assert not await world.is_ready(cid)
    await world.commit(await world.woken(cid), take=(), wake=("result:op-1",))
    assert await world.is_ready(cid)
