"""The desk: one provider call per call id, durable before it is told."""

import asyncio
from dataclasses import dataclass, field

import pytest

from maestro.budget.vector import BudgetVector
from maestro.errors import BadRequest, ContentPolicy, MalformedAnswer, ModelError, ProvidersExhausted, StoreUnavailable
from maestro.ids import CallId, ContinuationId
from maestro.pager.desk import PagerDesk
from maestro.pager.dispatch import ModelCallResult
from maestro.pager.request import ModelRequest
from maestro.policy.gradient import Step, Tier
from tests.unit.pager.scripted import ACTUAL, MAXIMUM, request, result


@dataclass
class MemoryAnswers:
    """A journal in memory; `down` makes it refuse."""

    answers: dict[CallId, ModelCallResult] = field(default_factory=dict)
    failures: list[tuple[str, BudgetVector]] = field(default_factory=list)
    down: bool = False

    async def known(self, cid: ContinuationId, call_id: CallId) -> ModelCallResult | None:
        return self.answers.get(call_id)

    async def answered(self, request: ModelRequest, result: ModelCallResult) -> None:
        if self.down:
            raise StoreUnavailable("down")
        self.answers[request.call_id] = result

    async def failed(self, request: ModelRequest, error: ModelError, charge: BudgetVector) -> None:
        if self.down:
            raise StoreUnavailable("down")
        self.failures.append((error.code, charge))


@dataclass
class Gate:
    """Answers when it is opened; counts who asked."""

    opened: asyncio.Event = field(default_factory=asyncio.Event)
    asked: int = 0
    expected: int = 1
    all_asked: asyncio.Event = field(default_factory=asyncio.Event)
    outcome: Exception | None = None

    async def __call__(self, request: ModelRequest) -> ModelCallResult:
        self.asked += 1
        if self.asked == self.expected:
            self.all_asked.set()
        await self.opened.wait()
        if self.outcome:
            raise self.outcome
        return result(request)


async def test_two_callers_with_one_call_id_share_one_provider_call():
    gate, answers = Gate(), MemoryAnswers()
    desk = PagerDesk(gate, answers)
    first, second = asyncio.create_task(desk.call(request())), asyncio.create_task(desk.call(request()))
    await gate.all_asked.wait()
    gate.opened.set()
    assert await first == await second
    assert (gate.asked, desk.under_way) == (1, 0)


async def test_different_calls_do_not_wait_for_each_other():
    gate = Gate(expected=3)
    desk = PagerDesk(gate, MemoryAnswers())
    tasks = [asyncio.create_task(desk.call(request(call_id=CallId(f"call-{n}")))) for n in range(3)]
    await gate.all_asked.wait()
    gate.opened.set()
    assert [(await task).call_id for task in tasks] == ["call-0", "call-1", "call-2"]


async def test_a_finished_call_is_answered_from_the_journal_by_any_later_desk():
    gate, answers = Gate(), MemoryAnswers()
    gate.opened.set()
    told = await PagerDesk(gate, answers).call(request())
    assert await PagerDesk(gate, answers).call(request()) == told
    assert gate.asked == 1


async def test_a_caller_that_goes_away_does_not_stop_the_call():
    gate, answers = Gate(), MemoryAnswers()
    desk = PagerDesk(gate, answers)
    caller = asyncio.create_task(desk.call(request()))
    await gate.all_asked.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    adopted = asyncio.create_task(desk.call(request()))
    gate.opened.set()
    assert (await adopted).charge == ACTUAL
    assert (gate.asked, list(answers.answers)) == (1, ["call-1"])


async def test_a_call_that_everybody_left_is_journaled_all_the_same():
    gate, answers = Gate(), MemoryAnswers()
    desk = PagerDesk(gate, answers)
    caller = asyncio.create_task(desk.call(request()))
    await gate.all_asked.wait()
    caller.cancel()
    gate.opened.set()
    await desk.drain()
    assert list(answers.answers) == ["call-1"]


async def test_nothing_is_told_before_it_is_durable_and_nothing_is_bought_twice_for_it():
    gate, answers = Gate(), MemoryAnswers(down=True)
    gate.opened.set()
    desk = PagerDesk(gate, answers)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await desk.call(request())
    answers.down = False
    assert (await desk.call(request())).content == "ok"
    assert (gate.asked, list(answers.answers)) == (1, ["call-1"])


@pytest.mark.parametrize(
    ("error", "charge"),
    [
        (BadRequest("400"), BudgetVector({})),
        (ProvidersExhausted("out", retry_after_ms=1), BudgetVector({})),
        (ContentPolicy("no", charge=ACTUAL.model_dump()), ACTUAL),
    ],
    ids=["unbilled", "exhausted", "billed"],
)
async def test_a_failure_is_journaled_with_what_it_cost_and_then_raised(error: ModelError, charge: BudgetVector):
    gate, answers = Gate(outcome=error), MemoryAnswers()
    gate.opened.set()
    with pytest.raises(type(error)):
        await PagerDesk(gate, answers).call(request())
    assert answers.failures == [(error.code, charge)]


async def test_a_failed_call_may_be_asked_again():
    gate, answers = Gate(outcome=BadRequest("400")), MemoryAnswers()
    gate.opened.set()
    desk = PagerDesk(gate, answers)
    with pytest.raises(BadRequest):
        await desk.call(request())
    gate.outcome = None
    assert (await desk.call(request())).content == "ok"


async def test_a_defect_in_the_pager_charges_the_reserved_maximum():
    gate, answers = Gate(outcome=KeyError("usage")), MemoryAnswers()
    gate.opened.set()
    with pytest.raises(ModelError, match="failed in the pager: KeyError"):
        await PagerDesk(gate, answers).call(request())
    assert answers.failures == [("model", MAXIMUM)]


async def test_an_answer_to_another_request_is_refused_and_charged():
    answers = MemoryAnswers()

    async def swapped(asked: ModelRequest) -> ModelCallResult:
        return result(asked).model_copy(update={"call_id": CallId("call-other")})

    with pytest.raises(MalformedAnswer, match="is one to call-other"):
        await PagerDesk(swapped, answers).call(request())
    assert answers.failures == [("malformed_answer", MAXIMUM)]


async def test_a_store_that_lets_nobody_ask_leaves_the_call_open_and_uncharged():
    answers = MemoryAnswers()
    gate = Gate(outcome=StoreUnavailable("down"))
    gate.opened.set()
    desk = PagerDesk(gate, answers)
    with pytest.raises(StoreUnavailable):
        await desk.call(request())
    gate.outcome = None
    assert (await desk.call(request())).content == "ok"
    assert (gate.asked, answers.failures) == (2, [])


async def test_so_many_calls_are_under_way_and_opus_goes_first():
    order: list[str] = []
    gate = Gate(expected=1)

    async def answering(request: ModelRequest) -> ModelCallResult:
        order.append(request.call_id)
        return await gate(request)

    desk = PagerDesk(answering, MemoryAnswers(), slots=1)
    names = {"first": Tier.HAIKU, "small": Tier.HAIKU, "large": Tier.OPUS}
    tasks = []
    for name, tier in names.items():
        wanted = request(call_id=CallId(name), tier=tier, step=Step(tier))
        tasks.append(asyncio.create_task(desk.call(wanted)))
    await gate.all_asked.wait()
    gate.opened.set()
    await asyncio.gather(*tasks)
    assert order == ["first", "large", "small"]


async def test_a_call_that_waits_for_its_whole_deadline_is_not_made_and_costs_nothing():
    gate, answers = Gate(), MemoryAnswers()
    desk = PagerDesk(gate, answers, slots=1)
    first = asyncio.create_task(desk.call(request()))
    await gate.all_asked.wait()
    late = asyncio.create_task(desk.call(request(call_id=CallId("late"), deadline_ms=1)))
    await asyncio.sleep(0.01)
    gate.opened.set()
    await first
    with pytest.raises(ProvidersExhausted, match="waited"):
        await late
    assert (gate.asked, answers.failures) == (1, [("providers_exhausted", BudgetVector({}))])
