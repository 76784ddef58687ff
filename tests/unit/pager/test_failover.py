"""The fault table of spec/05 section 7, without real time."""

import pytest

from maestro.budget.vector import BudgetVector
from maestro.errors import (
    AnswerLost,
    AuthRefused,
    BadRequest,
    BudgetExceededError,
    ContentPolicy,
    InvalidInput,
    MalformedAnswer,
    ModelError,
    ProvidersExhausted,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    UnpricedModel,
)
from maestro.pager.dispatch import Message, ModelDispatch
from maestro.pager.failover import FailoverModelRouter
from maestro.pager.prices import PriceTable
from maestro.pager.retries import RetryPolicy
from maestro.policy.gradient import Step, Tier
from tests.unit.pager.scripted import FakeTime, ScriptedProvider, names, request, table

RECOVERABLE = [RateLimited("429"), ProviderUnavailable("500"), ProviderUnavailable("529"), ProviderTimeout("slow")]
TERMINAL = [AuthRefused("401"), BadRequest("400"), ContentPolicy("no"), MalformedAnswer("not JSON"), AnswerLost("cut")]


def chain(
    *scripts: list[ModelError | str], policy: RetryPolicy | None = None, takes_ms: int = 10
) -> tuple[FakeTime, list[ScriptedProvider], FailoverModelRouter]:
    time = FakeTime()
    providers = [ScriptedProvider(f"p{place}", time, script, takes_ms) for place, script in enumerate(scripts, 1)]
    router = FailoverModelRouter({Tier.HAIKU: providers}, table(*names(providers)), policy, time.timing())
    return time, providers, router


@pytest.mark.parametrize("error", RECOVERABLE, ids=lambda e: e.message)
async def test_a_recoverable_error_is_retried_and_then_goes_to_the_next_provider(error):
    _, (first, second), router = chain([error] * 4, [])
    answer = await router.answer(request())
    assert (answer.content, answer.attempts) == ("p2", 5)
    assert (first.calls, second.calls) == (4, 1)


async def test_one_failure_is_answered_by_the_same_provider():
    time, (_, second), router = chain([ProviderUnavailable("500")], [])
    answer = await router.answer(request())
    assert (answer.content, answer.attempts, second.calls) == ("p1", 2, 0)
    assert time.slept_ms == [500]


@pytest.mark.parametrize("error", TERMINAL, ids=lambda e: e.code)
async def test_any_other_error_surfaces_and_nobody_else_is_asked(error):
    _, (first, second), router = chain([error], [])
    with pytest.raises(type(error)):
        await router.answer(request())
    assert (first.calls, second.calls) == (1, 0)


async def test_back_off_doubles_with_jitter_and_is_capped():
    policy = RetryPolicy(max_retries=6, backoff_cap_ms=3_000)
    time, _, router = chain([ProviderUnavailable("500")] * 6, policy=policy)
    await router.answer(request())
    assert time.slept_ms == [500, 1_000, 2_000, 3_000, 3_000, 3_000]
    half = FakeTime()
    provider = ScriptedProvider("p1", half, [ProviderUnavailable("500")])
    await FailoverModelRouter({Tier.HAIKU: [provider]}, table("p1"), None, half.timing(chance=0.0)).answer(request())
    assert half.slept_ms == [250]


async def test_retry_after_is_honoured_within_patience():
    time, (first,), router = chain([RateLimited("429", retry_after_ms=3_000)])
    await router.answer(request())
    assert (time.slept_ms, first.calls) == ([3_000], 2)


async def test_a_long_retry_after_is_not_waited_for_when_another_provider_is_there():
    time, (first, second), router = chain([RateLimited("429", retry_after_ms=40_000)], [])
    assert (await router.answer(request())).content == "p2"
    assert (time.slept_ms, first.calls, second.calls) == ([], 1, 1)


async def test_a_target_that_failed_cools_down_and_is_asked_again_afterwards():
    time, (first, second), router = chain([ProviderUnavailable("500")] * 4, [])
    await router.answer(request())
    await router.answer(request())
    assert (first.calls, second.calls) == (4, 2)
    time.now_ms += 15_000
    assert (await router.answer(request())).content == "p1"


async def test_a_target_that_lost_an_answer_cools_down_too():
    _, _, router = chain([AnswerLost("cut")], [])
    with pytest.raises(AnswerLost):
        await router.answer(request())
    assert (await router.answer(request())).content == "p2"


async def test_all_out_says_when_to_come_back():
    _, providers, router = chain([ProviderUnavailable("500")] * 4, [RateLimited("429", retry_after_ms=40_000)])
    with pytest.raises(ProvidersExhausted) as caught:
        await router.answer(request())
    assert caught.value.facts["retry_after_ms"] in range(14_000, 15_001)
    assert caught.value.facts["attempts"] == 5
    assert "call-1: 500; 429" in caught.value.message
    with pytest.raises(ProvidersExhausted, match="cooling down"):
        await router.answer(request())
    assert [provider.calls for provider in providers] == [4, 1]


async def test_a_retry_after_of_hours_is_capped_at_five_minutes():
    _, _, router = chain([RateLimited("429", retry_after_ms=36_000_000)])
    with pytest.raises(ProvidersExhausted) as caught:
        await router.answer(request())
    assert caught.value.facts["retry_after_ms"] == 300_000


async def test_the_deadline_covers_all_providers_and_retries_together():
    time, (first, second), router = chain([ProviderTimeout("slow")] * 9, [ProviderTimeout("slow")] * 9, takes_ms=40_000)
    with pytest.raises(ProvidersExhausted):
        await router.answer(request(deadline_ms=60_000))
    assert time.now_ms <= 60_000
    assert first.limits_ms == [60_000, 19_500]
    assert second.calls == 0


async def test_a_deadline_that_is_over_cools_nobody_down():
    _, (first,), router = chain([ProviderTimeout("slow")], takes_ms=5_000)
    with pytest.raises(ProvidersExhausted):
        await router.answer(request(deadline_ms=1_000))
    assert (await router.answer(request())).content == "p1"
    assert first.calls == 2


async def test_without_failover_only_the_first_provider_is_asked():
    _, (_, second), router = chain([ProviderUnavailable("500")] * 4, [], policy=RetryPolicy(failover=False))
    with pytest.raises(ProvidersExhausted):
        await router.answer(request())
    assert second.calls == 0


async def test_a_refused_tier_is_not_asked():
    time = FakeTime()
    provider = ScriptedProvider("p1", time)
    prices = PriceTable(tiers={}, refused={Tier.HAIKU: "p1 is listed with a price that is not above 0"})
    router = FailoverModelRouter({Tier.HAIKU: [provider]}, prices, None, time.timing())
    with pytest.raises(UnpricedModel, match="not above 0"):
        await router.answer(request())
    assert (provider.calls, router.supported_tiers()) == (0, [])


MESSAGES = [Message(role="user", content="hello")]


async def test_the_router_is_a_model_dispatch():
    _, providers, router = chain([], [ProviderUnavailable("x")])
    assert isinstance(router, ModelDispatch)
    assert router.supported_tiers() == ["haiku"]
    assert await router.health_check() == {"p1": True, "p2": False}
    answer = await router.call("haiku", MESSAGES, None, BudgetVector({}), "sync", use_advisor=True, system="be brief")
    assert (answer.content, answer.step, answer.advisor_consulted) == ("p1", Step.HAIKU_ADVISOR, False)
    await router.close()
    assert all(provider.closed for provider in providers)


async def test_a_wrong_tier_or_mode_is_refused_with_the_allowed_ones():
    _, (first,), router = chain([])
    with pytest.raises(InvalidInput, match=r"unknown tier 'gpt' \(use one of opus, sonnet, haiku\)"):
        await router.call("gpt", MESSAGES, None, BudgetVector({}), "sync")
    with pytest.raises(InvalidInput, match=r"unknown mode 'now' \(use one of sync, async, batch\)"):
        await router.call("haiku", MESSAGES, None, BudgetVector({}), "now")
    with pytest.raises(InvalidInput, match="use adaptive, off or a number of tokens"):
        await router.call("haiku", MESSAGES, None, BudgetVector({}), "sync", thinking=-1)
    assert first.calls == 0


async def test_a_budget_that_does_not_cover_the_maximum_price_is_refused_before_the_call():
    _, (first,), router = chain([])
    with pytest.raises(BudgetExceededError) as caught:
        await router.call("haiku", MESSAGES, None, BudgetVector({"usd": 100}), "sync")
    assert caught.value.field == "budget.usd"
    with pytest.raises(BudgetExceededError):
        await router.call("haiku", MESSAGES, None, BudgetVector({"cheap_model_calls": 0}), "sync")
    assert first.calls == 0


@pytest.mark.spec("05.18")
async def test_a_target_that_refuses_the_key_is_asked_no_more_and_the_call_surfaces():
    time = FakeTime()
    locked, other = ScriptedProvider("a", time, [AuthRefused("401")]), ScriptedProvider("b", time)
    router = FailoverModelRouter({Tier.HAIKU: (locked, other)}, table("a", "b"), None, time.timing())
    with pytest.raises(AuthRefused):
        await router.answer(request())
    assert (await router.answer(request())).content == "b"
    assert (locked.calls, other.calls) == (1, 1)
    time.now_ms += RetryPolicy().refused_key_ms
    assert (await router.answer(request())).content == "a"
