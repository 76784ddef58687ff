"""What pagers are told: cooldowns that all of them keep, and the brake."""

import importlib

import pytest

from maestro.errors import ProvidersExhausted, ProviderUnavailable, RateLimited
from maestro.ids import ContinuationId, TenantId
from maestro.pager.desk import PagerDesk
from maestro.pager.dispatch import ModelCallResult
from maestro.pager.failover import FailoverModelRouter
from maestro.policy.gradient import Tier
from maestro.runtime.backend import Backend
from maestro.tick.answers import JournaledAnswers
from tests.contract.support import World, batch_of, intent, money
from tests.unit.pager.scripted import ACTUAL, MAXIMUM, FakeTime, ScriptedProvider, request, table


async def test_a_cooldown_ends_by_the_clock_of_the_store(backend: Backend) -> None:
    await backend.notices.cool("anthropic/a", 10_000)
    assert 9_000 < (await backend.notices.read(["anthropic/a", "b"])).left_ms["anthropic/a"] <= 10_000
    assert (await backend.notices.read(["anthropic/a", "b"])).left_ms["b"] == 0
    await backend.steering.advance(10_000)
    assert (await backend.notices.read(["anthropic/a"])).left_ms == {"anthropic/a": 0}


async def test_the_longer_cooldown_stays(backend: Backend) -> None:
    await backend.notices.cool("a", 300_000)
    await backend.notices.cool("a", 15_000)
    assert (await backend.notices.read(["a"])).left_ms["a"] > 250_000


async def test_the_brake_is_told_until_it_is_off(backend: Backend) -> None:
    assert not (await backend.notices.read([])).braked
    await backend.steering.brake(True)
    assert (await backend.notices.read(["a"])).braked
    await backend.steering.brake(False)
    assert not (await backend.notices.read(["a"])).braked


def pager(backend: Backend, *providers: ScriptedProvider) -> FailoverModelRouter:
    """A router of its own process, told by the store."""
    names = [provider.target for provider in providers]
    return FailoverModelRouter(
        {Tier.HAIKU: providers}, table(*names), None, providers[0].time.timing(), notices=backend.notices
    )


async def test_a_target_that_refused_one_pager_is_left_alone_by_another(backend: Backend) -> None:
    time = FakeTime()
    refusing = ScriptedProvider("a", time, [RateLimited("429", retry_after_ms=240_000)])
    other, healthy = ScriptedProvider("a", time), ScriptedProvider("b", time)
    with pytest.raises(ProvidersExhausted):
        await pager(backend, refusing).answer(request())
    assert (await pager(backend, other, healthy).answer(request())).content == "b"
    assert other.calls == 0
    await backend.steering.advance(240_000)
    assert (await pager(backend, other, healthy).answer(request())).content == "a"


async def test_under_the_brake_no_attempt_leaves_and_a_retry_neither(backend: Backend) -> None:
    time = FakeTime()
    provider = ScriptedProvider("a", time, [ProviderUnavailable("500")] * 3)

    async def brake_while_it_waits(ms: int) -> None:
        await backend.steering.brake(True)

    timing = time.timing()
    router = FailoverModelRouter(
        {Tier.HAIKU: [provider]},
        table("a"),
        None,
        type(timing)(timing.now_ms, brake_while_it_waits, timing.chance),
        notices=backend.notices,
    )
    with pytest.raises(ProvidersExhausted, match="the brake is on") as caught:
        await router.answer(request())
    assert (provider.calls, caught.value.facts["retry_after_ms"]) == (1, 5_000)
    with pytest.raises(ProvidersExhausted, match="the brake is on"):
        await pager(backend, provider).answer(request(cid=ContinuationId("other")))
    assert provider.calls == 1
    await backend.steering.brake(False)
    provider.script.clear()
    assert (await pager(backend, provider).answer(request())).content == "a"


async def test_a_call_under_the_brake_is_settled_with_nothing_and_made_after_the_thaw(
    backend: Backend, world: World
) -> None:
    await world.root(money(usd=10_000))
    adopted = await world.take()
    provider = ScriptedProvider("a", FakeTime())

    async def call(ordinal: int) -> ModelCallResult:
        """By a pager that has only just started."""
        entry = await backend.store.record(adopted.cid, adopted.epoch, intent(ordinal, MAXIMUM), batch_of(adopted))
        asked = request(cid=adopted.cid, call_id=entry.call_id, ordinal=ordinal)
        desk = PagerDesk(pager(backend, provider).answer, JournaledAnswers(backend.journals))
        return await desk.call(asked)

    await call(0)
    await backend.steering.brake(True)
    with pytest.raises(ProvidersExhausted, match="the brake is on"):
        await call(1)
    account = (await world.ledger(adopted.cid)).accounts["usd"]
    assert (provider.calls, account.spent, account.reserved) == (1, ACTUAL["usd"], 0)
    await backend.steering.brake(False)
    assert (await call(2)).content == "a"
    assert provider.calls == 2


async def test_the_brake_outlives_whoever_pulled_it(redis_servers: dict[str, str]) -> None:
    if "redis" not in redis_servers:
        pytest.skip("no redis-server")
    opened = importlib.import_module("maestro.adapters.redis.backend").open_backend
    first = await opened(redis_servers["redis"], TenantId("braked"))
    await first.steering.brake(True)
    await first.notices.cool("a", 60_000)
    await first.close()
    second = await opened(redis_servers["redis"], TenantId("braked"))
    notice = await second.notices.read(["a"])
    assert notice.braked
    assert notice.left_ms["a"] > 0
    await second.steering.brake(False)
    await second.close()
