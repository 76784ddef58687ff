"""Calls that are refused for good: nobody asks again blindly, and each behaviour says what becomes of its tick."""

import orjson
import pytest

from maestro.adapters.memory.backend import backend_over, empty_memory
from maestro.clock import ManualClock
from maestro.continuation.directive import Closing, Sleep
from maestro.continuation.lifecycle import Hold, Status
from maestro.continuation.mail import Control, Mail
from maestro.errors import AuthRefused, BadRequest, ContentPolicy, ModelError
from maestro.ids import ContinuationId, Partition
from maestro.runtime import verbs
from maestro.tick.behaviour import Behaviour, NoState
from maestro.tick.context import Tick
from maestro.tick.refusals import Refusals
from tests.stage import Stage

REFUSED: list[ModelError] = [
    AuthRefused("anthropic/a: 401 invalid x-api-key"),
    BadRequest("anthropic/a: max_tokens: must be below 64000"),
    ContentPolicy("anthropic/a: output blocked by content filtering policy"),
]


class Careful(Behaviour[NoState]):
    async def start(self, tick: Tick[NoState]) -> Closing | None:
        return Sleep.until_woken()

    async def on_message(self, tick: Tick[NoState], message: Mail) -> Closing | None:
        await tick.think(str(message.body), step="haiku", mode=message.subject or None)  # type: ignore[arg-type]
        return Sleep.until_woken()


class Firm(Careful):
    on_refusal = Refusals(auth="fail", bad_request="fail", content_policy="mark")


class Stubborn(Careful):
    on_refusal = Refusals(bad_request="retry")


async def asking(error: ModelError, behaviour: type[Careful], subject: str = "") -> tuple[Stage, ContinuationId]:
    stage = Stage(backend_over(empty_memory(1, ManualClock())), Careful, Firm, Stubborn)
    stage.model.script = [error]
    cid = await stage.start(behaviour)
    await stage.settle()
    await verbs.send(stage.at, cid, "what of it?", subject=subject)
    await stage.settle()
    return stage, cid


@pytest.mark.spec("05.18")
@pytest.mark.parametrize("subject", ["", "async"], ids=["in the tick", "placed"])
@pytest.mark.parametrize("error", REFUSED, ids=lambda error: error.code)
async def test_a_person_is_asked_with_the_providers_words_and_nobody_asks_again(error: ModelError, subject: str):
    stage, cid = await asking(error, Careful, subject)
    checkpoint = await stage.checkpoint(cid)
    assert checkpoint.hold is Hold.QUARANTINED
    assert error.message in str(checkpoint.hold_detail)
    assert error.message in (await stage.backend.records.waiting(Partition(0)))[cid].decode()
    await stage.advance(600_000)
    await stage.settle()
    assert stage.model.asked == 1


@pytest.mark.spec("05.18")
@pytest.mark.parametrize("subject", ["", "async"], ids=["in the tick", "placed"])
async def test_when_a_person_has_mended_it_the_same_mail_is_worked_on(subject: str):
    stage, cid = await asking(REFUSED[0], Careful, subject)
    await verbs.order(stage.at, cid, Control.THAW)
    await stage.settle()
    assert (await stage.checkpoint(cid)).hold is None
    assert (stage.model.asked, (await stage.ledger(cid)).account("usd").spent > 0) == (2, True)


@pytest.mark.spec("05.18")
@pytest.mark.parametrize("error", REFUSED[:2], ids=lambda error: error.code)
async def test_a_program_may_fail_by_it(error: ModelError):
    stage, cid = await asking(error, Firm)
    checkpoint = await stage.checkpoint(cid)
    assert checkpoint.status is Status.FAILED
    assert error.message in str(checkpoint.stop_detail)


@pytest.mark.spec("05.18")
async def test_a_program_may_mark_its_finding_and_go_on():
    stage, cid = await asking(REFUSED[2], Firm)
    (finding,) = await stage.backend.records.findings(cid)
    assert orjson.loads(finding)["title"].startswith(f"not answered: {REFUSED[2].message}")
    checkpoint = await stage.checkpoint(cid)
    assert (checkpoint.hold, checkpoint.status) == (None, Status.PENDING)
    assert stage.model.asked == 1


@pytest.mark.spec("05.18")
async def test_a_program_may_have_it_tried_again_as_any_failure():
    stage, cid = await asking(REFUSED[1], Stubborn)
    await stage.advance(2_000)
    await stage.settle()
    assert (await stage.checkpoint(cid)).hold is None
    assert stage.model.asked == 2
