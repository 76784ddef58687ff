"""A sleeper and the edits of its source: today's code after its migrations, or not one byte changed."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import orjson
import pytest

from maestro.adapters.memory.backend import backend_over, empty_memory
from maestro.adapters.redis.backend import open_backend
from maestro.clock import ManualClock
from maestro.continuation.lifecycle import Activity, Hold
from maestro.continuation.mail import Control
from maestro.ids import ContinuationId, Partition, TenantId, new_token
from maestro.pane import views
from maestro.runtime import verbs
from maestro.runtime.retry import try_held_again
from maestro.tick.behaviour import Repertoire
from tests.chaos.redis_server import OwnRedis
from tests.integration.code_change_support import (
    Broken4,
    Pupil,
    Ranger,
    Scout1,
    Scout2,
    Scout3,
    Scout4,
    everything_in_memory,
    everything_in_redis,
)
from tests.stage import BOB, Stage

Everything = Callable[[ContinuationId], dict[str, Any]]


@pytest.fixture(scope="module")
def redis() -> Iterator[OwnRedis]:
    redis = OwnRedis()
    yield redis
    redis.close()


@pytest.fixture(params=["memory", "redis"])
async def place(request: pytest.FixtureRequest, redis: OwnRedis) -> AsyncIterator[tuple[Stage, Everything]]:
    """A stage, and all that its store holds of one continuation; audited after the test."""
    everything: Everything
    if request.param == "memory":
        memory = empty_memory(1, ManualClock())
        backend, everything = backend_over(memory), lambda cid: everything_in_memory(memory, cid)
    else:
        tenant = TenantId(new_token("tenant"))
        backend = await open_backend(redis.url, tenant, virtual=True)
        everything = lambda cid: everything_in_redis(redis.url, tenant, cid)  # noqa: E731 - one per store
    stage = Stage(backend, Scout1, Pupil)
    yield stage, everything
    await stage.audit()
    await backend.close()


async def asleep(stage: Stage, goal: str = "sleep") -> ContinuationId:
    """A scout of version 1, asleep with a subscription, a timer and a child."""
    stage.around = stage.surroundings(Scout1, Pupil)
    cid = await stage.start(Scout1, goal)
    await stage.settle()
    assert (await stage.checkpoint(cid)).behaviour_version == 1
    return cid


async def told(stage: Stage, cid: ContinuationId) -> list[dict[str, Any]]:
    facts = await stage.backend.records.feed(Partition(0))
    return [fact for fact in (orjson.loads(entry.body) for entry in facts) if fact["cid"] == cid]


@pytest.mark.shows("3.4")
async def test_a_sleeper_of_version_1_wakes_under_version_4_through_three_migrations(
    place: tuple[Stage, Everything],
) -> None:
    stage, _ = place
    cid = await asleep(stage, "three steps")
    stage.around = stage.surroundings(Scout4, Pupil)
    await verbs.send(stage.at, cid, "wake")
    await stage.settle()
    after = await stage.checkpoint(cid)
    assert after.state == {"papers": [{"title": "three steps", "kept": True}], "read": 1}
    assert (after.behaviour_version, after.hold) == (4, None)
    record = (await verbs.records(stage.at, cid))[-1]
    assert record.reason.endswith("; migrated from version 1 to 4")
    await verbs.send(stage.at, cid, "again")
    await stage.settle()
    assert "migrated" not in (await verbs.records(stage.at, cid))[-1].reason, "once"


@pytest.mark.shows("3.4")
async def test_a_broken_migration_changes_not_one_byte_and_the_sleeper_works_after_the_fix(
    place: tuple[Stage, Everything],
) -> None:
    stage, everything = place
    cid = await asleep(stage, "untouched")
    await verbs.send(stage.at, cid, "wake")
    before = everything(cid)
    stage.around = stage.surroundings(Broken4, Pupil)
    assert (await stage.held()).hold is Hold.NEEDS_MIGRATION
    assert everything(cid) == before
    for _ in range(5):  # every `maestro up` with the same mistake
        assert await try_held_again(stage.at, Repertoire([Broken4, Pupil])) == 1
        await stage.settle()
    assert everything(cid) == before
    await stage.advance(60_000)
    await stage.settle()
    assert everything(cid) == before, "no back-off runs: it waits for code"

    stage.around = stage.surroundings(Scout4, Pupil)
    assert await try_held_again(stage.at, Repertoire([Scout4, Pupil])) == 1
    await stage.settle()
    after = await stage.view(cid)
    assert after.checkpoint.state == {"papers": [{"title": "untouched", "kept": True}], "read": 1}
    assert (after.hold, after.glance.error, after.glance.unread) == (None, None, 0)
    assert await stage.backend.records.waiting(Partition(0)) == {}
    assert await try_held_again(stage.at, Repertoire([Scout4, Pupil])) == 0


@pytest.mark.shows("3.4")
async def test_any_order_that_wakes_it_after_the_fix_is_enough(place: tuple[Stage, Everything]) -> None:
    stage, _ = place
    cid = await asleep(stage)
    stage.around = stage.surroundings(Broken4, Pupil)
    await verbs.send(stage.at, cid, "wake")
    await stage.settle()
    stage.around = stage.surroundings(Scout4, Pupil)
    await verbs.order(stage.at, cid, Control.WAKE)
    await stage.settle()
    state: Any = await stage.state(cid)
    assert state["read"] == 1, "its mail was kept for it"


async def test_everybody_is_told_that_it_is_held_and_why(place: tuple[Stage, Everything]) -> None:
    stage, _ = place
    cid = await asleep(stage)
    stage.around = stage.surroundings(Broken4, Pupil)
    await verbs.send(stage.at, cid, "wake")
    await stage.settle()
    why = await stage.why(cid)
    assert why.startswith("held, needs_migration: scout: the migration from version 2 failed: KeyError: 'titles'")
    view = await stage.view(cid)
    assert (view.activity, view.hold) == (Activity.WAITING_ON_YOU, Hold.NEEDS_MIGRATION)
    row, shown = views.row(view), views.show(view, ())
    assert (row["hold"], row["activity"], row["reason"]) == ("needs_migration", "waiting_on_you", why)
    assert shown["hold"] == "needs_migration"
    assert str(shown["hold_detail"]).startswith("scout: the migration from version 2 failed")
    asked = orjson.loads((await stage.backend.records.waiting(Partition(0)))[cid])
    assert (asked["hold"], asked["reason"]) == ("needs_migration", why)
    assert [(fact["type"], fact.get("hold")) for fact in await told(stage, cid)][-1] == ("held", "needs_migration")


async def test_older_code_leaves_a_newer_state_untouched_and_newer_code_serves_it(
    place: tuple[Stage, Everything],
) -> None:
    stage, everything = place
    cid = await asleep(stage)
    stage.around = stage.surroundings(Scout4, Pupil)
    await verbs.send(stage.at, cid, "migrate")
    await stage.settle()
    await verbs.send(stage.at, cid, "read")
    before = everything(cid)
    stage.around = stage.surroundings(Scout3, Pupil)
    await stage.settle()
    assert everything(cid) == before
    assert "scout state has version 4, this code has 3 (deploy newer code)" in await stage.why(cid)
    stage.around = stage.surroundings(Scout4, Pupil)
    await try_held_again(stage.at, Repertoire([Scout4, Pupil]))
    await stage.settle()
    state: Any = await stage.state(cid)
    assert state["read"] == 2


async def test_without_its_code_it_is_held_untouched_and_a_kill_still_ends_it(place: tuple[Stage, Everything]) -> None:
    stage, everything = place
    cid = await asleep(stage)
    await verbs.send(stage.at, cid, "wake")
    before = everything(cid)
    stage.around = stage.surroundings(Pupil)
    await stage.settle()
    assert everything(cid) == before
    assert (await stage.why(cid)).startswith("held, unservable: no behaviour 'scout' here; known: pupil")
    assert await try_held_again(stage.at, Repertoire([Pupil])) == 0, "nothing new is known of it"
    await verbs.order(stage.at, cid, Control.KILL)
    await stage.settle()
    assert (await stage.checkpoint(cid)).terminal
    assert cid not in await stage.backend.records.waiting(Partition(0))


async def test_a_migration_that_ends_its_process_is_held_after_three_tries_and_tried_again_after_the_fix(
    place: tuple[Stage, Everything],
) -> None:
    stage, everything = place
    cid = await asleep(stage)
    await verbs.send(stage.at, cid, "wake")
    before = everything(cid)
    for _ in range(3):
        await stage.taken(BOB)
        await stage.backend.leases.reclaim(BOB, Partition(0))
    stage.around = stage.surroundings(Scout4, Pupil)
    assert (await stage.held()).hold is Hold.NEEDS_MIGRATION
    assert everything(cid) == before
    assert "3 tries ended without a word, in or after the migration from version 1 to 4" in await stage.why(cid)
    await try_held_again(stage.at, Repertoire([Scout4, Pupil]))
    await stage.settle()
    assert (await stage.checkpoint(cid)).behaviour_version == 4


async def test_a_renamed_behaviour_wakes_its_sleepers_and_they_take_the_new_name(
    place: tuple[Stage, Everything],
) -> None:
    stage, _ = place
    cid = await asleep(stage, "renamed")
    stage.around = stage.surroundings(Ranger, Pupil)
    await verbs.send(stage.at, cid, "wake")
    await stage.settle()
    after = await stage.checkpoint(cid)
    assert (after.behaviour, after.behaviour_version) == ("ranger", 4)
    record = (await verbs.records(stage.at, cid))[-1]
    assert record.behaviour == "ranger"
    assert record.reason.endswith("; renamed from scout to ranger, migrated from version 1 to 4")
    last = (await told(stage, cid))[-1]
    assert (last["behaviour"], last["reason"]) == ("ranger", record.reason)
    assert (await verbs.checkpoint_at(stage.at, cid, 1)).behaviour == "scout", "the log keeps what it was called then"


async def test_a_chain_may_be_walked_in_stages(place: tuple[Stage, Everything]) -> None:
    stage, _ = place
    cid = await asleep(stage, "step by step")
    for code in (Scout2, Scout3, Scout4):
        stage.around = stage.surroundings(code, Pupil)
        await verbs.order(stage.at, cid, Control.WAKE)
        await stage.settle()
        assert (await stage.checkpoint(cid)).behaviour_version == code.version
    assert await stage.state(cid) == {"papers": [{"title": "step by step", "kept": True}], "read": 0}
