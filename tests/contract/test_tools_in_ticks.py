"""A tick that asks in its midst, on every store: the journal stays open over the question, and the word is found."""

from collections import Counter

import pytest
from pydantic import BaseModel, JsonValue

from maestro.budget.vector import BudgetVector
from maestro.continuation.artifact import MAX_ARTIFACT_BYTES
from maestro.continuation.directive import Closing, Finish
from maestro.errors import ToolError
from maestro.ids import ContinuationId, Partition
from maestro.runtime import verbs
from maestro.runtime.backend import Backend
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from maestro.tick.runner import run
from maestro.tools.spec import tool
from tests.stage import ALICE, Stage

SENT: Counter[str] = Counter()
DIED: Counter[str] = Counter()


class Died(BaseException):
    """The process ended in the middle of the call."""


@tool(side_effect="unsafe", risk="high", cost=BudgetVector({"usd": 70}))
async def send(to: str) -> str:
    """Goes out, once more each time."""
    SENT[to] += 1
    if to == "abyss" and SENT[to] == 1:
        raise Died
    return "x" * (MAX_ARTIFACT_BYTES + 1) if to == "everybody" else f"{to} {SENT[to]}"


class Told(BaseModel):
    told: JsonValue = None


class Sender(Behaviour[Told]):
    async def start(self, tick: Tick[Told]) -> Closing | None:
        try:
            tick.state.told = await tick.use("send", to=str(tick.about.input))
        except ToolError as error:
            tick.state.told = error.code
            DIED["everybody"] += str(tick.about.input) == "everybody"
            if DIED["everybody"] == 1:
                raise Died from error
        return Finish(result=tick.state.told)


@pytest.fixture
def stage(backend: Backend) -> Stage:
    SENT.clear()
    DIED.clear()
    return Stage(backend, Sender, tools=[send])


async def asked(stage: Stage, to: str) -> ContinuationId:
    """One that waits for leave to send."""
    cid = await stage.start(Sender, input=to)
    await stage.settle()
    wait = (await stage.checkpoint(cid)).wait
    assert wait is not None
    assert wait.type == "approval_resolution"
    assert (await stage.ledger(cid)).account("usd").reserved == 70
    return cid


async def died_in_mid_tick(stage: Stage, cid: ContinuationId) -> None:
    """It had leave and made the call, its process died in it, and whoever took it up anew has come to rest."""
    await verbs.decide(stage.at, cid, "", approved=True)
    adopted = await stage.taken()
    with pytest.raises(Died):
        await run(adopted, stage.around)
    for number in range(stage.backend.partitions):
        await stage.backend.leases.reclaim(ALICE, Partition(number))
    await stage.settle()


@pytest.mark.parametrize(("approved", "result", "spent"), [(True, "bob 1", 70), (False, "tool_denied", 0)])
async def test_the_tick_goes_on_with_a_persons_word(stage: Stage, approved: bool, result: str, spent: int) -> None:
    cid = await asked(stage, "bob")
    await verbs.decide(stage.at, cid, "", approved=approved)
    await stage.settle()
    done = await stage.checkpoint(cid)
    assert (done.status, done.result) == ("completed", result)
    account = (await stage.ledger(done.id)).account("usd")
    assert (account.reserved, account.spent) == (0, spent)
    await stage.audit()


@pytest.mark.parametrize(
    ("answer", "result", "sent"), [("yes", None, 1), ("no", "tool_declined", 1), ("again", "abyss 2", 2)]
)
async def test_an_unknown_outcome_is_asked_for_and_the_tick_goes_on(
    stage: Stage, answer: str, result: JsonValue, sent: int
) -> None:
    cid = await asked(stage, "abyss")
    await died_in_mid_tick(stage, cid)
    assert SENT["abyss"] == 1
    assert "nobody knows whether it happened" in await stage.why(cid)

    await verbs.reply(stage.at, cid, answer)
    await stage.settle()
    done = await stage.checkpoint(cid)
    assert (done.status, done.result, SENT["abyss"]) == ("completed", result, sent)
    account = (await stage.ledger(done.id)).account("usd")
    assert (account.reserved, account.spent) == (0, 0 if answer == "no" else 70)
    await stage.audit()


async def test_what_was_done_is_known_though_its_result_is_too_large_to_keep(stage: Stage) -> None:
    cid = await asked(stage, "everybody")
    await died_in_mid_tick(stage, cid)
    done = await stage.checkpoint(cid)
    assert (done.status, done.result, SENT["everybody"]) == ("completed", "tool_failed", 1)
    assert (await stage.ledger(cid)).account("usd").spent == 70
    await stage.audit()
