"""Show 4: kill -9 at every port call of a tick. The test counts the calls itself; nothing is listed by hand.

The process that ticks dies before and after the n-th call, for every n; so does Redis, under a process that lives on.
"""

from collections.abc import Iterator

import pytest

from tests.chaos.arena import Arena, own_redis
from tests.chaos.doomed import Moment
from tests.chaos.redis_server import OwnRedis

PORTS = {
    *("store.adopt", "store.record", "store.commit", "store.renew"),
    *("pager.call", "shelf.top", "shelf.mark", "blocks.put"),
}


@pytest.fixture(scope="module")
def redis() -> Iterator[OwnRedis]:
    yield from own_redis()


async def undisturbed(redis: OwnRedis, name: str) -> tuple[list[str], str]:
    """The port calls of a run in which nothing dies, and what it leads to."""
    async with Arena(redis, name) as arena:
        await arena.until_done()
        await arena.audit()
        return arena.calls, await arena.outcome()


async def test_undisturbed_it_calls_every_port(redis: OwnRedis) -> None:
    calls, _ = await undisturbed(redis, "plain")
    assert set(calls) == PORTS
    assert calls.count("pager.call") == 2
    assert calls.count("store.commit") == 3, "the root's first tick, its child's, the root's last"


@pytest.mark.spec("01.3")
@pytest.mark.spec("05.12")
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_killed_at_any_port_call_it_leads_to_the_same(redis: OwnRedis, moment: Moment) -> None:
    calls, outcome = await undisturbed(redis, f"measure-{moment}")
    for number, name in enumerate(calls):
        async with Arena(redis, f"{moment}-{number}") as arena:
            try:
                code = await arena.life(call=number, moment=moment)
                assert code == -9, f"it died of {code}"
                await arena.until_done()
                await arena.audit()
                assert await arena.outcome() == outcome
                assert len(arena.calls) > number
            except BaseException as error:
                error.add_note(f"killed {moment} call {number}, {name}; calls: {arena.calls}")
                raise


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_killed_at_every_port_call_of_its_life_one_after_the_other_it_leads_to_the_same(redis: OwnRedis) -> None:
    """The same continuation, a new death in each life, each one call further: tries are used up, promises are not."""
    _, outcome = await undisturbed(redis, "measure-series")
    async with Arena(redis, "series") as arena:
        for number in (1, 2):  # a third death in the same tick is a hold, which is another promise
            await arena.life(call=number, moment="after")
        await arena.until_done()
        await arena.audit()
        assert await arena.outcome() == outcome


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_redis_killed_at_any_port_call_loses_nothing_acknowledged(redis: OwnRedis, moment: Moment) -> None:
    calls, outcome = await undisturbed(redis, f"measure-redis-{moment}")
    for number, name in enumerate(calls):
        async with Arena(redis, f"redis-{moment}-{number}") as arena:
            try:
                assert await arena.life(call=number, moment=moment, victim="redis") == 0
                await arena.until_done()
                await arena.audit()
                assert await arena.outcome() == outcome
            except BaseException as error:
                error.add_note(f"Redis killed {moment} call {number}, {name}; calls: {arena.calls}")
                raise


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_request_or_a_reply_lost_at_any_port_call_leads_to_the_same(redis: OwnRedis, moment: Moment) -> None:
    """The process lives and knows only that it does not know; nothing of what it holds unknowingly is stranded."""
    calls, outcome = await undisturbed(redis, f"measure-reply-{moment}")
    for number, name in enumerate(calls):
        async with Arena(redis, f"reply-{moment}-{number}") as arena:
            try:
                assert await arena.life(call=number, moment=moment, victim="reply") == 0
                await arena.until_done()
                assert await arena.stage.total("fenced") == 0, "a commit that is repeated is recognised"
                await arena.audit()
                assert await arena.outcome() == outcome
            except BaseException as error:
                error.add_note(f"lost {moment} call {number}, {name}; calls: {arena.calls}")
                raise
