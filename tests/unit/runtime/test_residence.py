"""Where continuations wake: moved, kept, held for want of a node. On a store in memory."""

import pytest

from maestro.adapters.memory.backend import MemoryBackend
from maestro.clock import ManualClock
from maestro.continuation.directive import Closing, Sleep
from maestro.continuation.lifecycle import Hold
from maestro.continuation.mail import Mail
from maestro.errors import Conflict, InvalidInput, NotFound
from maestro.ids import ContinuationId, HolderId
from maestro.runtime import residence, verbs
from maestro.runtime.nodes import Seen, pinned_pool
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from tests.stage import ALICE, Stage

KEEPER = HolderId("node-keeper#1")
LABELS = {"default": {}, "private": {"zone": "private"}, "odd": {"zone": "!in(public, open)"}}
ONE = Seen("node-1", "id-1", True, {"zone": "public"}, None, (str(ALICE).partition("#")[0], "pool/default/2"))
TWO = Seen("node-2", "id-2", True, {"zone": "public"})
PRIVATE = Seen("node-3", "id-3", True, {"zone": "private"})


class Listener(Behaviour):  # type: ignore[type-arg]  # it keeps no state
    async def on_message(self, tick: Tick, message: Mail) -> Closing | None:  # type: ignore[type-arg]
        return Sleep.until_woken()


async def sleeper(stage: Stage) -> ContinuationId:
    cid = await stage.start(Listener)
    await stage.settle()
    return cid


async def woken(stage: Stage, cid: ContinuationId) -> None:
    await verbs.send(stage.at, cid, "hello")


async def hold(stage: Stage, cid: ContinuationId) -> Hold | None:
    return (await verbs.glance_of(stage.at, cid)).hold


@pytest.fixture
async def stage() -> Stage:
    made = Stage(MemoryBackend(clock=ManualClock()), Listener)
    await made.backend.nodes.see([ONE, TWO])
    return made


async def test_without_a_wish_it_goes_to_another_node_than_it_was_at(stage: Stage) -> None:
    cid = await sleeper(stage)
    assert await residence.migrate(stage.at, cid) == "node-2"
    assert "wakes at node node-2" in await stage.why(cid)
    await woken(stage, cid)
    assert await stage.adopt() is None
    assert "waiting for a place at node node-2" in await stage.why(cid)
    assert await stage.adopt(pool=pinned_pool(cid, "node-2")) is not None


async def test_a_node_that_does_not_live_is_refused_with_the_names_of_those_that_do(stage: Stage) -> None:
    cid = await sleeper(stage)
    await stage.backend.nodes.see([ONE, TWO, Seen("node-9", "x", False)])
    for name in ("node-9", "nowhere"):
        with pytest.raises(NotFound) as refused:
            await residence.migrate(stage.at, cid, name)
        assert (refused.value.field, refused.value.hint) == ("node", "living nodes: node-1, node-2")
    with pytest.raises(InvalidInput):
        await residence.migrate(stage.at, cid, "a b")


async def test_a_census_that_is_old_tells_nothing(stage: Stage) -> None:
    cid = await sleeper(stage)
    await stage.advance(residence.STALE_MS + 1)
    with pytest.raises(NotFound, match="no cluster has shown its nodes lately"):
        await residence.migrate(stage.at, cid)


async def test_nobody_is_sent_to_a_node_that_is_drained_and_the_last_one_is_not_drained(stage: Stage) -> None:
    cid = await sleeper(stage)
    assert await residence.drain(stage.at, "node-2", "dusty")
    assert not await residence.drain(stage.at, "node-2", "dusty")
    drained = Seen("node-2", "id-2", True, {}, "drained by person: dusty")
    await stage.backend.nodes.see([ONE, drained])
    with pytest.raises(Conflict, match="takes no work: drained by person: dusty"):
        await residence.migrate(stage.at, cid, "node-2")
    with pytest.raises(Conflict, match="nobody would take over"):
        await residence.drain(stage.at, "node-1")
    assert await residence.undrain(stage.at, "node-2")


@pytest.mark.spec("02.10")
async def test_one_whose_label_no_node_has_is_held_visibly_and_tried_again_when_one_has_it(stage: Stage) -> None:
    cid = await stage.start(Listener, pool="private")
    plain = await stage.start(Listener)
    assert await residence.hold_unserved(stage.at, [ONE, TWO], LABELS, KEEPER) == 1
    assert await hold(stage, cid) is Hold.UNSERVABLE
    assert await stage.why(cid) == "held, unservable: no living node has the label zone=private"
    assert await hold(stage, plain) is None
    assert await residence.thaw_served(stage.at, [ONE, TWO], LABELS) == 0
    assert await stage.adopt(pool="private") is None
    assert await residence.thaw_served(stage.at, [ONE, PRIVATE], LABELS) == 1
    assert await residence.hold_unserved(stage.at, [ONE, PRIVATE], LABELS, KEEPER) == 0
    adopted = await stage.adopt(pool="private")
    assert adopted is not None
    assert (adopted.cid, adopted.tries) == (cid, 1)


async def test_a_label_may_be_asked_for_as_ray_reads_it(stage: Stage) -> None:
    cid = await stage.start(Listener, pool="odd")
    assert await residence.hold_unserved(stage.at, [ONE, TWO], LABELS, KEEPER) == 1
    assert await residence.thaw_served(stage.at, [ONE, TWO], LABELS) == 0
    assert await residence.thaw_served(stage.at, [PRIVATE], LABELS) == 1
    assert await hold(stage, cid) is Hold.UNSERVABLE  # until it is adopted
    assert await stage.adopt(pool="odd") is not None


async def test_who_is_kept_at_a_lost_node_is_held_and_who_was_to_wake_there_once_wakes_anywhere(stage: Stage) -> None:
    kept, once = await sleeper(stage), await sleeper(stage)
    await residence.migrate(stage.at, kept, "node-2", stays=True)
    await residence.migrate(stage.at, once, "node-2")
    await woken(stage, kept)
    await woken(stage, once)
    assert await residence.hold_unserved(stage.at, [ONE], LABELS, KEEPER) == 1
    assert await stage.why(kept) == "held, unservable: no living node is called node-2"
    adopted = await stage.adopt()
    assert adopted is not None
    assert adopted.cid == once
    assert await residence.thaw_served(stage.at, [ONE, TWO], LABELS) == 1
    assert await stage.adopt(pool=pinned_pool(kept, "node-2")) is not None


async def test_who_is_taken_back_wakes_anywhere_and_is_not_held_any_more(stage: Stage) -> None:
    cid = await sleeper(stage)
    await residence.migrate(stage.at, cid, "node-2", stays=True)
    await woken(stage, cid)
    await residence.hold_unserved(stage.at, [ONE], LABELS, KEEPER)
    assert await residence.settle(stage.at, cid)
    assert not await residence.settle(stage.at, cid)
    assert await residence.thaw_served(stage.at, [ONE], LABELS) == 1
    assert await stage.adopt() is not None
