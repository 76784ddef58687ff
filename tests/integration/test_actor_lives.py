"""What actors are composed of, without a cluster: their lives, how an end reads as an exit, obituaries."""

import asyncio

import pytest
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayTaskError

from actors import obituary
from actors.exits import EndedByShutdown, classify, unreachable_only
from actors.lifecycle import Lifecycle
from actors.obituary import Obituaries
from maestro.ids import HolderId, new_holder_id

HEARD: list[str] = []


async def hears(incarnation: str, reason: str) -> None:
    HEARD.append(f"{incarnation} {reason}")


async def deaf(incarnation: str, reason: str) -> None:
    raise ConnectionError("the store does not answer")


async def test_a_life_ends_with_its_vital_work() -> None:
    life = Lifecycle("relay#1")
    life.run(asyncio.sleep(0))
    await life.ended()


async def test_a_life_fails_with_any_of_its_work_and_keeps_the_first_reason() -> None:
    async def fail() -> None:
        raise ValueError("first")

    life = Lifecycle("relay#1")
    life.run(asyncio.sleep(0), vital=False)
    life.run(fail(), vital=False)
    with pytest.raises(ValueError, match="first"):
        await life.ended()
    life.end()
    with pytest.raises(ValueError, match="first"):
        await life.ended()


async def test_a_stopped_life_has_ended_normally_and_its_work_is_gone() -> None:
    life = Lifecycle("relay#1")
    work = life.run(asyncio.Event().wait())  # type: ignore[arg-type]  # any coroutine that never returns
    watching = asyncio.create_task(life.ended())
    await life.stop("shutdown")
    await watching
    assert work.cancelled()
    assert life.stopping.is_set()


async def test_one_watcher_that_goes_away_does_not_end_the_life_of_the_others() -> None:
    life = Lifecycle("relay#1")
    gone, stays = asyncio.create_task(life.ended()), asyncio.create_task(life.ended())
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait([gone])
    life.end()
    await stays


def test_an_incarnation_is_never_named_twice() -> None:
    names = {new_holder_id("pool/default/2") for _ in range(1000)}
    assert len(names) == 1000
    assert all(name.startswith("pool/default/2#") for name in names)


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (None, "normal", ""),
        (EndedByShutdown("gave up"), "shutdown", "gave up"),
        (ValueError("x"), "error", "ValueError: x"),
        (RayTaskError("watch", "trace", KeyError("k")), "error", "KeyError: 'k'"),
        (ActorDiedError(), "killed", "The actor died unexpectedly before finishing this task."),
    ],
)
def test_an_end_reads_as_an_exit(error: BaseException | None, kind: str, text: str) -> None:
    assert classify(error) == (kind, text)


def test_an_end_that_crossed_a_process_border_reads_the_same() -> None:
    crossed = RayTaskError("watch", "trace", EndedByShutdown("gave up")).as_instanceof_cause()
    assert classify(crossed) == ("shutdown", "gave up")


def test_a_lost_node_is_told_apart() -> None:
    lost = ActorDiedError()
    lost.error_msg = "The actor died because its node has died. Node Id: 00ff"
    assert classify(lost)[0] == "node_lost"


def test_an_actor_that_ray_cannot_reach_is_not_dead_yet() -> None:
    assert unreachable_only(ActorUnavailableError("rpc failed", None))
    assert not unreachable_only(ActorDiedError())


async def test_an_obituary_is_told_once_to_a_listener_that_hears() -> None:
    HEARD.clear()
    told = Obituaries(f"{__name__}:hears")
    told.tell(HolderId("a#1"), "killed")
    await told.settle(within_s=5)
    assert HEARD == ["a#1 killed"]


async def test_an_obituary_that_nobody_hears_is_given_up_when_the_supervisor_ends() -> None:
    told = Obituaries(f"{__name__}:deaf")
    told.tell(HolderId("a#1"), "killed")
    await told.settle(within_s=0.01)
    Obituaries(None).tell(HolderId("a#1"), "killed")


def test_a_listener_that_does_not_exist_is_refused_at_once() -> None:
    with pytest.raises(AttributeError):
        obituary.listener(f"{__name__}:nobody")
