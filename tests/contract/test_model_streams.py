"""Answers in pieces over each wire format: the pieces are the answer, a broken one is taken back, all is accounted."""

from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from maestro.budget.vector import BudgetVector
from maestro.errors import (
    AnswerLost,
    AuthRefused,
    BadRequest,
    ContentPolicy,
    MalformedAnswer,
    ModelError,
    ProvidersExhausted,
)
from maestro.pager.advisor import CONSULT
from maestro.pager.dispatch import Message, ModelCallResult, StopReason, ToolCall
from maestro.pager.failover import FailoverModelRouter
from maestro.pager.prices import charge_of
from maestro.pager.request import ModelRequest
from maestro.pager.streaming import Chunk, Reset, StreamDispatch, Told
from maestro.policy.gradient import Tier
from maestro.testing.provider import Act, Cut, Drop, FakeProvider, Hang, Say, Status, Trickle
from tests.contract.models import WIRES, asking, router, target

pytestmark = [
    pytest.mark.usefixtures("models_loaded"),
    pytest.mark.filterwarnings("ignore:Accessing the .model_"),  # so does litellm in streams of OpenAI
]
TALE = Say("a tale of three robots", 100, 7, cache_read_tokens=30)


class Robots(BaseModel):
    count: int


@pytest.fixture
def first() -> Iterator[FakeProvider]:
    with FakeProvider(TALE) as fake:
        yield fake


@pytest.fixture
def second() -> Iterator[FakeProvider]:
    with FakeProvider(Say("from the second", 20, 4)) as fake:
        yield fake


@pytest.fixture(params=list(WIRES))
def chain(request: pytest.FixtureRequest, first: FakeProvider, second: FakeProvider) -> FailoverModelRouter:
    return router({Tier.HAIKU: [target(request.param, first), target("openai", second)]})


def twice(made: FailoverModelRouter, **changes: object) -> ModelRequest:
    """A request whose reservation pays for two attempts."""
    request = asking(made, **changes)  # type: ignore[arg-type]
    return request.model_copy(update={"price": request.price + request.price})


async def told(chain: FailoverModelRouter, request: ModelRequest) -> tuple[list[Told], ModelError | None]:
    """All that is told, and how it ended."""
    heard: list[Told] = []
    try:
        async for one in chain.answer_in_pieces(request):
            heard.append(one)  # noqa: PERF401 - what came before an error counts
    except ModelError as error:
        return heard, error
    return heard, None


def text_of(heard: list[Told]) -> str:
    """What a reader has in hand at the end."""
    text = ""
    for one in heard:
        match one:
            case Chunk(piece):
                text += piece
            case Reset():
                text = ""
    return text


async def test_the_pieces_are_the_answer_and_the_last_word_is_the_whole(
    chain: FailoverModelRouter, first: FakeProvider
) -> None:
    heard, error = await told(chain, asking(chain))
    whole = heard[-1]
    assert error is None
    assert isinstance(whole, ModelCallResult)
    assert len(heard) == 4
    assert text_of(heard) == whole.content == TALE.text
    usage = whole.usage
    assert (usage.executor_input_tokens, usage.executor_output_tokens, usage.cache_read_tokens) == (100, 7, 30)
    assert (whole.stop_reason, whole.estimated, whole.attempts) == (StopReason.END, False, 1)
    assert whole.cost_usd_micros == first.billed_usd_micros == 70 + 3 + 35


async def test_a_dispatch_streams_for_callers_without_a_journal(chain: FailoverModelRouter) -> None:
    assert isinstance(chain, StreamDispatch)
    asked = [Message(role="user", content="a tale?")]
    heard = [one async for one in chain.stream("haiku", asked, None, BudgetVector({"usd": 1_000_000}))]
    assert text_of(heard) == TALE.text


async def test_a_tool_call_comes_whole_at_the_end(chain: FailoverModelRouter, first: FakeProvider) -> None:
    first.script(Say("", stop="tool_calls", tool=("consult_advisor", '{"question": "is it?"}')))
    heard, _ = await told(chain, asking(chain, tools=(CONSULT,)))
    (whole,) = heard
    assert isinstance(whole, ModelCallResult)
    assert whole.tool_calls == (ToolCall(id="call_1", name="consult_advisor", arguments={"question": "is it?"}),)


async def test_an_answer_by_schema_is_read_at_the_end(chain: FailoverModelRouter, first: FakeProvider) -> None:
    first.script(Say('Here: {"count": 3}'), Say("three"))
    schema = Robots.model_json_schema()
    heard, _ = await told(chain, asking(chain, answer_schema=schema))
    assert isinstance(heard[-1], ModelCallResult)
    assert heard[-1].content == '{"count":3}'
    _, error = await told(chain, asking(chain, answer_schema=schema))
    assert isinstance(error, MalformedAnswer)


async def test_missing_usage_is_charged_in_full_and_marked(chain: FailoverModelRouter, first: FakeProvider) -> None:
    first.script(Say("a tale", usage={}))
    request = asking(chain)
    heard, _ = await told(chain, request)
    assert isinstance(heard[-1], ModelCallResult)
    assert (heard[-1].estimated, heard[-1].charge) == (True, request.price)


@pytest.mark.parametrize("fault", [Status(429), Status(529), Drop()], ids=["429", "529", "drop"])
async def test_a_provider_that_says_nothing_is_followed_by_the_next_without_a_reset(
    chain: FailoverModelRouter, first: FakeProvider, second: FakeProvider, fault: Act
) -> None:
    first.script(fault)
    heard, _ = await told(chain, asking(chain))
    assert not any(isinstance(one, Reset) for one in heard)
    assert text_of(heard) == "from the second"
    assert isinstance(heard[-1], ModelCallResult)
    assert heard[-1].cost_usd_micros == second.billed_usd_micros
    assert (len(first.calls), len(second.calls)) == (1, 1)


async def test_one_that_breaks_off_is_taken_back_before_the_next_begins(
    chain: FailoverModelRouter, first: FakeProvider, second: FakeProvider
) -> None:
    first.script(Cut(TALE))
    request = twice(chain)
    heard, error = await told(chain, request)
    assert error is None
    kinds = [type(one) for one in heard]
    assert kinds[0] is Chunk
    assert kinds.count(Reset) == 1
    assert text_of(heard) == "from the second"
    whole = heard[-1]
    assert isinstance(whole, ModelCallResult)
    assert (whole.content, whole.attempts, whole.estimated) == ("from the second", 2, True)
    assert first.billed_usd_micros + second.billed_usd_micros <= whole.cost_usd_micros <= request.price["usd"]


async def test_one_that_breaks_off_is_not_begun_again_where_nothing_is_left_to_pay_for_it(
    chain: FailoverModelRouter, first: FakeProvider, second: FakeProvider
) -> None:
    first.script(Cut(TALE))
    request = asking(chain)
    heard, error = await told(chain, request)
    assert isinstance(heard[-1], Reset)
    assert isinstance(error, AnswerLost)
    assert (charge_of(error), second.calls) == (request.price, [])


async def test_a_trickle_ends_at_the_total_deadline(chain: FailoverModelRouter, first: FakeProvider) -> None:
    first.script(Trickle(every_s=0.3, say=TALE))
    heard, error = await told(chain, asking(chain, deadline_ms=1_000))
    assert isinstance(error, AnswerLost)
    assert isinstance(heard[0], Chunk)
    assert isinstance(heard[-1], Reset)


@pytest.mark.parametrize("after_headers", [False, True])
async def test_a_provider_that_hangs_ends_with_the_deadline(
    chain: FailoverModelRouter, first: FakeProvider, after_headers: bool
) -> None:
    first.script(Hang(after_headers=after_headers))
    heard, error = await told(chain, asking(chain, deadline_ms=500))
    assert heard == []
    assert isinstance(error, AnswerLost if after_headers else ProvidersExhausted)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Status(401, "bad key"), AuthRefused),
        (Status(400, "no such field"), BadRequest),
        (Status(400, "Output blocked by content filtering policy"), ContentPolicy),
    ],
    ids=["401", "400", "policy"],
)
async def test_what_no_provider_would_answer_otherwise_surfaces(
    chain: FailoverModelRouter, first: FakeProvider, second: FakeProvider, fault: Act, kind: type[ModelError]
) -> None:
    first.script(fault)
    heard, error = await told(chain, twice(chain))
    assert (heard, type(error), second.calls) == ([], kind, [])
