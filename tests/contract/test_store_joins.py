"""The contract of the store: windows of interests, and joins of children."""

from maestro.continuation.mail import Kind
from tests.contract.support import World, ended, happening, letter


async def test_events_of_an_interest_with_a_window_wake_once_when_it_is_over(world: World) -> None:
    patient = (("arxiv.>", "slow", None),)
    cid = await world.sleeper(subscriptions=patient, windows=(("slow", 60_000),))
    for _ in range(3):
        await world.backend.router.route(happening(), world.partition)
        await world.advance(10_000)
    assert not await world.is_ready(cid)
    await world.advance(25_000)
    await world.backend.timers.fire(world.partition)
    await world.advance(10_000)
    assert not (await world.backend.timers.fire(world.partition)).count or await world.is_ready(cid)
    adopted = await world.take()
    assert len(adopted.mail) == 3
    await world.backend.router.route(happening(), world.partition)
    await world.commit(adopted, windows=(("slow", 60_000),))
    assert not await world.is_ready(cid), "what came in mid tick opens a window too"
    await world.advance(61_000)
    await world.backend.timers.fire(world.partition)
    assert len((await world.take()).mail) == 1


async def test_anything_else_wakes_at_once_and_takes_the_collected_events_along(world: World) -> None:
    cid = await world.sleeper(subscriptions=(("arxiv.>", "slow", None),), windows=(("slow", 60_000),))
    await world.backend.router.route(happening(), world.partition)
    await world.backend.store.deliver(cid, letter())
    adopted = await world.take()
    assert [mail.kind for mail in adopted.mail] == [Kind.EVENT, Kind.MESSAGE]
    await world.commit(adopted)
    await world.advance(61_000)
    assert (await world.backend.timers.fire(world.partition)).count == 0
    assert not await world.is_ready(cid), "the window went with the tick"


async def test_a_window_that_closes_over_another_wait_wakes_nobody(world: World) -> None:
    cid = await world.sleeper(subscriptions=(("arxiv.>", "slow", None),), windows=(("slow", 60_000),))
    adopted = await world.woken(cid)
    await world.backend.router.route(happening(), world.partition)
    await world.commit(adopted, wake=("reply:q-1",), windows=(("slow", 60_000),))
    await world.advance(61_000)
    await world.backend.timers.fire(world.partition)
    assert not await world.is_ready(cid)


async def test_an_interest_without_a_window_wakes_at_its_first_event(world: World) -> None:
    interests = (("arxiv.>", "quick", None), ("news.>", "slow", None))
    cid = await world.sleeper(subscriptions=interests, windows=(("slow", 60_000),))
    await world.backend.router.route(happening("news.a"), world.partition)
    assert not await world.is_ready(cid)
    await world.backend.router.route(happening(), world.partition)
    assert len((await world.take()).mail) == 2


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
