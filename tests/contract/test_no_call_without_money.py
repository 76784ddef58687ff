"""C-26: a model call for which nothing is reserved is not made, whoever asks for it."""

import pytest

from maestro.budget.vector import BudgetVector
from maestro.continuation.directive import Closing, Sleep
from maestro.errors import ContinuationStateError
from maestro.ids import CallId
from maestro.pager.dispatch import Message
from maestro.pager.request import ModelRequest
from maestro.policy.gradient import Step, Tier
from maestro.runtime.backend import Backend
from maestro.tick.behaviour import Behaviour, NoState
from maestro.tick.context import Tick
from tests.stage import Stage


class Idle(Behaviour[NoState]):
    async def start(self, tick: Tick[NoState]) -> Closing | None:
        await tick.think("is it so?")
        return Sleep.until_woken()


@pytest.mark.spec("05.4")
async def test_the_pager_asks_no_provider_for_a_call_that_has_no_open_reservation(backend: Backend) -> None:
    stage = Stage(backend, Idle)
    cid = await stage.start(Idle, budget=BudgetVector({"usd": 10_000_000, "tokens": 100_000}))
    await stage.settle()
    before, spent = stage.model.asked, (await stage.ledger(cid)).spent
    settled = next(iter(stage.model.answered))
    for call in ("call-that-nobody-reserved", settled):
        request = ModelRequest(
            call_id=CallId(call),
            cid=cid,
            ordinal=0,
            tenant=backend.tenant,
            tier=Tier.HAIKU,
            step=Step.HAIKU,
            messages=(Message(role="user", content="for nothing?"),),
            max_output_tokens=10,
            price=BudgetVector({"usd": 1_000}),
        )
        with pytest.raises(ContinuationStateError, match="no open call"):
            await stage.desk.call(request)
    assert stage.model.asked == before
    assert (await stage.ledger(cid)).spent == spent
    await stage.audit()
