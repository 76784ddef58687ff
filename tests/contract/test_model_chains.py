"""Both tenant profiles under faults: who was asked, how often, what it billed, by the providers' own logs."""

from collections.abc import Iterator

import pytest

from maestro.errors import (
    AnswerLost,
    AuthRefused,
    BadRequest,
    ContentPolicy,
    MalformedAnswer,
    ModelError,
    ProvidersExhausted,
    UnpricedModel,
)
from maestro.pager.dispatch import ModelCallResult
from maestro.pager.failover import FailoverModelRouter
from maestro.pager.prices import charge_of
from maestro.pager.retries import RetryPolicy
from maestro.policy.gradient import Step, Tier
from maestro.testing.provider import Act, Cut, Drop, FakeProvider, Hang, Junk, Say, Status, Trickle
from tests.contract.models import HASTY, PROFILES, WIRES, asking, router, target

BRIEF = RetryPolicy(max_retries=0, attempt_timeout_ms=1_000)  # for providers that hang
HANGING = ("trickles", "hangs after its headers")
pytestmark = pytest.mark.usefixtures("models_loaded")

RECOVERABLE: dict[str, Act] = {
    "429": Status(429),
    "429 with Retry-After": Status(429, retry_after_s=240),
    "500": Status(500),
    "503": Status(503),
    "529": Status(529),
    "408": Status(408),
    "dropped": Drop(),
    "hangs": Hang(),
}
TERMINAL: dict[str, tuple[Act, type[ModelError]]] = {
    "401": (Status(401, "bad key"), AuthRefused),
    "403": (Status(403, "not for you"), AuthRefused),
    "400": (Status(400, "no such field"), BadRequest),
    "policy": (Status(400, "Output blocked by content filtering policy"), ContentPolicy),
    "cut": (Cut(), AnswerLost),
    "trickles": (Trickle(every_s=0.2), AnswerLost),
    "hangs after its headers": (Hang(after_headers=True), AnswerLost),
    "junk": (Junk(), MalformedAnswer),
    "empty": (Say(""), MalformedAnswer),
}


@pytest.fixture
def fakes() -> Iterator[list[FakeProvider]]:
    made = [FakeProvider(Say(f"from place {place}", input_tokens=10 * place)) for place in (1, 2, 3)]
    yield made
    for fake in made:
        fake.close()


@pytest.fixture(params=list(PROFILES))
def wires(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return PROFILES[request.param]


def chained(wires: tuple[str, ...], fakes: list[FakeProvider], policy: RetryPolicy = HASTY) -> FailoverModelRouter:
    return router({Tier.HAIKU: [target(wire, fake) for wire, fake in zip(wires, fakes, strict=True)]}, policy)


def calls(fakes: list[FakeProvider]) -> list[int]:
    return [len(fake.calls) for fake in fakes]


@pytest.mark.shows("6.3")
@pytest.mark.spec("05.9")
@pytest.mark.parametrize("fault", RECOVERABLE)
async def test_a_recoverable_fault_goes_down_the_chain_and_one_provider_bills(
    wires: tuple[str, ...], fakes: list[FakeProvider], fault: str
):
    for fake in fakes[:2]:
        fake.script(*[RECOVERABLE[fault]] * 2)
    chain = chained(wires, fakes, BRIEF if fault == "hangs" else HASTY)
    answer = await chain.answer(asking(chain))
    tries = 1 if fault in ("hangs", "429 with Retry-After") else 2
    assert (answer.content, answer.provider, calls(fakes)) == ("from place 3", wires[2], [tries, tries, 1])
    assert [fake.billed_usd_micros for fake in fakes] == [0, 0, answer.cost_usd_micros]
    again = await chain.answer(asking(chain))
    assert (again.content, calls(fakes)) == ("from place 3", [tries, tries, 2])


@pytest.mark.shows("6.3")
@pytest.mark.spec("05.9")
@pytest.mark.parametrize("fault", TERMINAL)
async def test_any_other_fault_surfaces_nobody_else_is_asked_and_what_was_billed_is_charged(
    wires: tuple[str, ...], fakes: list[FakeProvider], fault: str
):
    act, kind = TERMINAL[fault]
    fakes[0].script(act)
    chain = chained(wires, fakes)
    request = asking(chain, deadline_ms=1_500 if fault in HANGING else 20_000)
    with pytest.raises(kind) as caught:
        await chain.answer(request)
    assert calls(fakes) == [1, 0, 0]
    charged = charge_of(caught.value)["usd"]
    assert fakes[0].billed_usd_micros <= charged <= request.price["usd"]
    assert bool(charged) is (kind in (AnswerLost, MalformedAnswer))


@pytest.mark.shows("6.3")
@pytest.mark.spec("05.9")
async def test_all_three_out_is_said_with_the_time_to_come_back_and_bills_nothing(
    wires: tuple[str, ...], fakes: list[FakeProvider]
):
    for fake, seconds in zip(fakes, (200, 100, 3_000), strict=True):
        fake.script(Status(429, retry_after_s=seconds))
    chain = chained(wires, fakes)
    with pytest.raises(ProvidersExhausted) as caught:
        await chain.answer(asking(chain))
    assert caught.value.facts["retry_after_ms"] in range(90_000, 100_001)
    assert (calls(fakes), [fake.billed_usd_micros for fake in fakes]) == ([1, 1, 1], [0, 0, 0])


@pytest.mark.shows("6.4")
@pytest.mark.spec("05.6")
async def test_provider_and_tier_change_in_mid_run_and_every_provider_leaves_the_same_trail(fakes: list[FakeProvider]):
    """A run of four calls; each is all that its provider is told, so none needs what came before it elsewhere."""
    trail: list[ModelCallResult] = []
    for wire, step in zip(WIRES, (Step.OPUS, Step.SONNET, Step.HAIKU, Step.SONNET), strict=True):
        changed = router({step.tier: [target(wire, fakes[0])]})
        trail.append(await changed.answer(asking(changed, step)))
    assert [record.provider for record in trail] == list(WIRES)
    assert [record.tier for record in trail] == [Tier.OPUS, Tier.SONNET, Tier.HAIKU, Tier.SONNET]
    told_apart = {"provider", "model", "tier", "step", "latency_ms", "charge"}
    alike = [record.model_dump(exclude=told_apart) for record in trail]
    assert alike == [alike[0]] * 4
    assert all(record.charge["usd"] == record.cost_usd_micros == 10 + 5 * 5 for record in trail)
    assert all("What of it?" in str(seen.body) and "robots" in str(seen.body) for seen in fakes[0].calls)


@pytest.mark.spec("05.5")
@pytest.mark.parametrize("wire", WIRES)
async def test_a_stored_request_makes_the_identical_call(fakes: list[FakeProvider], wire: str):
    made = router({Tier.HAIKU: [target(wire, fakes[0])]})
    request = asking(made)
    await made.answer(request)
    await made.answer(type(request).model_validate_json(request.model_dump_json()))
    first, second = fakes[0].calls
    assert (first.path, first.body) == (second.path, second.body)


@pytest.mark.shows("6.8")
@pytest.mark.parametrize("wire", WIRES)
async def test_a_model_without_a_price_is_charged_the_configured_maximum_with_a_warning(
    fakes: list[FakeProvider], wire: str, capsys: pytest.CaptureFixture[str]
):
    unlisted = target(wire, fakes[0], price=None)
    made = router({Tier.HAIKU: [unlisted]})
    assert "unknown_price" in capsys.readouterr().out
    answer = await made.answer(asking(made))
    assert answer.cost_usd_micros == 10 * 15 + 5 * 75
    with pytest.raises(UnpricedModel):
        await made.call("opus", [], None, asking(made).price, "sync")
    assert calls(fakes) == [1, 0, 0]


@pytest.mark.parametrize("wire", WIRES)
async def test_cached_tokens_are_accounted_and_cost_what_the_provider_bills(fakes: list[FakeProvider], wire: str):
    created = 0 if wire == "openai" else 4_000
    fakes[0].script(Say("cached", 10_000, 20, cache_read_tokens=5_000, cache_creation_tokens=created))
    made = router({Tier.HAIKU: [target(wire, fakes[0])]})
    answer = await made.answer(asking(made, system="robots " * 2_000))
    usage = answer.usage
    assert (usage.executor_input_tokens, usage.cache_read_tokens, usage.cache_creation_tokens) == (
        10_000,
        5_000,
        created,
    )
    assert (
        answer.cost_usd_micros == fakes[0].billed_usd_micros == 10_000 - 5_000 - created + 500 + created * 5 // 4 + 100
    )
