"""An answer by schema that does not fit is asked for once more, unless brake, deadline or store forbids it."""

import itertools
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest

from maestro.adapters.litellm import provider as adapter
from maestro.budget.vector import BudgetVector
from maestro.errors import MalformedAnswer, ProvidersExhausted, StoreUnavailable
from maestro.pager.advisor import CONSULT
from maestro.pager.failover import FailoverModelRouter
from maestro.pager.notices import Notice
from maestro.pager.prices import charge_of
from maestro.pager.request import ModelRequest
from maestro.policy.gradient import Step, Tier
from maestro.testing.provider import FakeProvider, Say
from tests.contract.models import WIRES, asking, router, target

pytestmark = pytest.mark.usefixtures("models_loaded")
SCHEMA = {"type": "object", "properties": {"why": {"type": "string"}}, "required": ["why"]}
FITS = Say('{"why": "so"}')
CONSULTS = Say("", 40, 10, stop="tool_calls", tool=(CONSULT.name, '{"question": "is it so?"}'))


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider(Say("I cannot say", input_tokens=50)) as fake:
        yield fake


@pytest.fixture(params=list(WIRES))
async def chain(request: pytest.FixtureRequest, provider: FakeProvider) -> AsyncIterator[FailoverModelRouter]:
    made = router({tier: [target(request.param, provider)] for tier in (Tier.HAIKU, Tier.OPUS)})
    yield made
    await made.close()


def wanted(chain: FailoverModelRouter, step: Step = Step.HAIKU) -> ModelRequest:
    """A request whose reservation pays a repair."""
    plenty = BudgetVector({"usd": 90_000, "tokens": 90_000, "cheap_model_calls": 9, "expensive_model_calls": 9})
    return asking(chain, step).model_copy(update={"answer_schema": SCHEMA, "price": plenty})


class Board:
    """Notices whose brake comes on after so many looks, or which nobody can read any more."""

    def __init__(self, looks: int, away: bool = False) -> None:
        self.looks, self.away = looks, away

    async def read(self, targets: Sequence[str]) -> Notice:
        self.looks -= 1
        if self.looks < 0 and self.away:
            raise StoreUnavailable("the store is away")
        return Notice(self.looks < 0, dict.fromkeys(targets, 0))

    async def cool(self, target: str, span_ms: int) -> None:
        return None


async def test_a_repair_is_not_asked_for_under_the_brake_and_what_was_answered_is_charged(
    chain: FailoverModelRouter, provider: FakeProvider
) -> None:
    chain.told_by(Board(looks=1))
    with pytest.raises(ProvidersExhausted, match="the brake is on") as refused:
        await chain.answer(wanted(chain))
    assert len(provider.calls) == 1
    assert charge_of(refused.value)["usd"] == provider.billed_usd_micros > 0


async def test_a_repair_is_not_asked_for_when_the_store_does_not_say_that_it_may_be(
    chain: FailoverModelRouter, provider: FakeProvider
) -> None:
    chain.told_by(Board(looks=1, away=True))
    with pytest.raises(MalformedAnswer) as refused:
        await chain.answer(wanted(chain))
    assert len(provider.calls) == 1
    assert charge_of(refused.value)["usd"] == provider.billed_usd_micros > 0


@pytest.mark.parametrize(("took_ms", "asked"), [(4_000, 2), (6_000, 1)])
async def test_a_repair_that_would_not_end_in_time_is_not_asked_for(
    chain: FailoverModelRouter, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, took_ms: int, asked: int
) -> None:
    provider.script(Say("I cannot say"), Say("still not"))
    hand = itertools.count(0, took_ms)  # each look at the clock is as much later as the first answer took
    monkeypatch.setattr(adapter, "_now_ms", lambda: next(hand))
    with pytest.raises(MalformedAnswer) as refused:
        await chain.answer(wanted(chain))
    assert len(provider.calls) == asked
    assert charge_of(refused.value)["usd"] == provider.billed_usd_micros > 0


async def test_after_the_advice_the_executor_is_not_asked_under_the_brake(
    chain: FailoverModelRouter, provider: FakeProvider
) -> None:
    provider.script(CONSULTS, Say("do not"), FITS)
    chain.told_by(Board(looks=2))
    with pytest.raises(ProvidersExhausted, match="the brake is on") as refused:
        await chain.answer(wanted(chain, Step.HAIKU_ADVISOR))
    assert len(provider.calls) == 2
    assert charge_of(refused.value)["usd"] == provider.billed_usd_micros > 0


async def test_with_money_time_and_no_brake_it_is_repaired(chain: FailoverModelRouter, provider: FakeProvider) -> None:
    provider.script(Say("I cannot say"), FITS)
    chain.told_by(Board(looks=9))
    assert (await chain.answer(wanted(chain))).content == '{"why":"so"}'
    assert len(provider.calls) == 2
