"""The contract of the bounded-turn API, on both stores: how the end of a turn reaches its user."""

import importlib
from typing import Any

import pytest

from maestro.continuation.checkpoint import Checkpoint
from maestro.continuation.goal import GoalFrame
from maestro.continuation.lifecycle import Status
from maestro.errors import ContinuationExpiredError, ContinuationInvalidInputError, ContinuationStateError
from maestro.ids import ContinuationId, new_token
from maestro.runtime import verbs
from maestro.runtime.backend import Backend
from maestro.runtime.verbs import Start
from maestro.turns import ContinuationConfig, DeliveryState, create_continuation_runtime
from tests.contract.turns_support import DONE, HOUR_MS, QUESTION, Harness, Post, PostThatKnows, Trace, Turns, reply


class KilledHere(BaseException):
    """The process ends: nothing after this is done."""


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def turns(backend: Backend, post: Post) -> Turns:
    return Turns(backend, delivery=post)


@pytest.mark.spec("01.9")
async def test_without_an_adapter_delivery_does_not_apply(backend: Backend) -> None:
    turns = Turns(backend)
    resumed = await turns.resume(await turns.create(), reply())
    assert resumed.continuation.delivery.state is DeliveryState.NOT_APPLICABLE


@pytest.mark.spec("01.9")
@pytest.mark.parametrize("outcome", ["completed", "failed"])
async def test_an_end_that_a_user_can_see_is_delivered_once(turns: Turns, post: Post, outcome: str) -> None:
    created = await turns.create()
    turns.harness.script = [{"outcome": outcome, "content": "this is how it went"}]
    resumed = await turns.resume(created, reply())
    delivery = resumed.continuation.delivery
    assert (delivery.state, delivery.delivery_id, delivery.error) == (DeliveryState.DELIVERED, "D1", None)
    assert delivery.attempted_at is not None
    assert (post.calls, [result.content for result in post.arrived.values()]) == (1, ["this is how it went"])
    assert await turns.verify(created) == 4, "birth, first wait, the turn, the postscript"
    assert resumed == await turns.resume(created, reply())
    assert post.calls == 1


@pytest.mark.parametrize("result", [{"outcome": "completed"}, {"outcome": "needs_clarification", "content": "well?"}])
async def test_what_is_no_end_or_shows_a_user_nothing_is_not_delivered(
    turns: Turns, post: Post, result: dict[str, Any]
) -> None:
    created = await turns.create()
    turns.harness.script = [result]
    resumed = await turns.resume(created, reply())
    assert (post.calls, resumed.continuation.delivery.state) == (0, DeliveryState.NOT_APPLICABLE)


@pytest.mark.spec("01.9")
async def test_a_superseded_record_is_not_delivered(turns: Turns, post: Post) -> None:
    created = await turns.create()
    await turns.create(supersede=True)
    assert (await turns.get(created)).delivery.state is DeliveryState.SUPPRESSED_SUPERSEDED
    assert post.calls == 0


@pytest.mark.spec("01.9")
async def test_an_expired_record_is_not_delivered(turns: Turns, post: Post) -> None:
    created = await turns.create()
    await turns.advance(HOUR_MS + 1)
    with pytest.raises(ContinuationExpiredError):
        await turns.resume(created, reply())
    assert (await turns.get(created)).delivery.state is DeliveryState.SUPPRESSED_EXPIRED
    assert post.calls == 0


@pytest.mark.spec("01.9")
async def test_a_user_who_came_back_meanwhile_is_not_delivered_to(backend: Backend) -> None:
    post = PostThatKnows(came_back=True)
    turns = Turns(backend, delivery=post)
    began_ms = await turns.now_ms()
    resumed = await turns.resume(await turns.create(), reply())
    assert (post.calls, resumed.continuation.delivery.state) == (0, DeliveryState.SUPPRESSED_SESSION_REENGAGED)
    ((session, since),) = post.asked_about
    assert session == "session"
    assert since.timestamp() * 1000 >= began_ms - 1

    post.came_back = False
    resumed = await turns.resume(await turns.create(origin="turn-2"), reply())
    assert (post.calls, resumed.continuation.delivery.state) == (1, DeliveryState.DELIVERED)


@pytest.mark.spec("01.9")
@pytest.mark.parametrize(
    ("trouble", "told"), [("the mailbox is full", "the mailbox is full"), (OSError("no route"), "OSError: no route")]
)
async def test_a_delivery_that_failed_says_why_and_may_be_tried_again(
    turns: Turns, post: Post, trouble: Exception | str, told: str
) -> None:
    created = await turns.create()
    post.script = [trouble]
    failed = (await turns.resume(created, reply())).continuation
    assert (failed.status, failed.delivery.state) == (Status.COMPLETED, DeliveryState.DELIVERY_FAILED)
    assert failed.delivery.error == told
    delivery = await turns.runtime.redeliver({"continuation_id": created.id})
    assert (delivery.state, delivery.error, post.calls, len(post.arrived)) == (DeliveryState.DELIVERED, None, 2, 1)
    with pytest.raises(ContinuationStateError) as refusal:
        await turns.runtime.redeliver({"continuation_id": created.id})
    assert refusal.value.facts["got"] == "delivered"
    await turns.verify(created)


@pytest.mark.spec("01.9")
@pytest.mark.spec("01.13")
@pytest.mark.parametrize("arrived", [True, False], ids=["after it arrived", "before it left"])
async def test_a_crash_in_mid_delivery_leaves_it_pending_and_delivers_at_most_once(
    turns: Turns, post: Post, backend: Backend, arrived: bool
) -> None:
    created = await turns.create()
    post.script = [KilledHere()]
    if not arrived:
        post.arrived = _Refusing()
    with pytest.raises(KilledHere):
        await turns.resume(created, reply())
    pending = await turns.get(created)
    assert (pending.status, pending.delivery.state) == (Status.COMPLETED, DeliveryState.PENDING_DELIVERY)
    assert len(post.arrived) == int(arrived)

    after = Post(arrived=dict(post.arrived))
    delivery = await turns.with_(delivery=after).redeliver({"continuation_id": created.id})
    assert delivery.state is DeliveryState.DELIVERED
    assert list(after.arrived.values()) == [DONE], "one key, one delivery"
    assert (await turns.get(created)).delivery == delivery
    assert len(turns.harness.asked) == 1
    await turns.verify(created)


class _Refusing(dict[str, Any]):
    """Dies before anything has arrived."""

    def setdefault(self, key: str, default: Any = None) -> Any:
        raise KilledHere


async def test_what_has_nothing_to_deliver_is_not_redelivered(turns: Turns, backend: Backend) -> None:
    created = await turns.create()
    with pytest.raises(ContinuationStateError):
        await turns.runtime.redeliver({"continuation_id": created.id})
    with pytest.raises(ContinuationStateError, match="no delivery adapter"):
        await Turns(backend).runtime.redeliver({"continuation_id": created.id})


async def test_delivery_is_traced(backend: Backend, post: Post) -> None:
    trace = Trace()
    turns = Turns(backend, delivery=post, trace=trace)
    await turns.resume(await turns.create(), reply())
    assert trace.told == ["created", "resuming", "completed completed", "delivery delivered"]


async def test_a_trace_that_raises_is_only_missed(backend: Backend) -> None:
    class Broken:
        async def record(self, entry: object) -> None:
            raise OSError("no disk")

    turns = Turns(backend, trace=Broken())
    assert (await turns.resume(await turns.create(), reply())).continuation.status is Status.COMPLETED


async def test_any_continuation_can_be_looked_at_and_stopped_but_a_turn_alone_is_resumed(turns: Turns) -> None:
    cid = await verbs.start(turns.store.at, Start(behaviour="scout", goal=GoalFrame(goal="look about")))
    record = await turns.runtime.get({"continuation_id": cid})
    assert (record.program, record.status, record.session_id) == ("scout", Status.PENDING, None)
    with pytest.raises(ContinuationInvalidInputError, match="no bounded turn"):
        await turns.resume(cid, reply())
    stopped = await turns.runtime.stop({"continuation_id": cid, "reason": "cancelled_by_product"})
    assert (stopped.status, stopped.stop_reason) == (Status.CANCELLED, "cancelled_by_product")
    assert (await _checkpoint(turns, cid)).terminal


async def _checkpoint(turns: Turns, cid: ContinuationId) -> Checkpoint:
    return await verbs.checkpoint_of(turns.store.at, cid)


@pytest.mark.spec("01.15")
@pytest.mark.parametrize("kind", ["redis", "redis-6.2"])
async def test_a_record_in_redis_is_resumed_by_another_process_that_has_the_key(
    redis_servers: dict[str, str], kind: str
) -> None:
    if kind not in redis_servers:
        pytest.skip(f"no server for {kind}")
    opened = importlib.import_module("maestro.turns.redis").RedisContinuationStore.open
    tenant, key = new_token("tenant"), b"a key of thirty-two bytes to test"
    stores = [await opened(redis_servers[kind], key, tenant) for _ in range(2)]
    harness = Harness()
    here, there = (create_continuation_runtime(ContinuationConfig(store, harness)) for store in stores)
    turn = {"assistant_id": "agent", "session_id": "session", "origin_turn_id": "turn"}
    created = (await here.create({**turn, "harness_result": QUESTION})).continuation
    resumed = await there.resume({"continuation_id": created.id, "trigger": reply()})
    assert await here.get({"continuation_id": created.id}) == resumed.continuation
    assert resumed.continuation.status is Status.COMPLETED
    for store in stores:
        await store.close()
