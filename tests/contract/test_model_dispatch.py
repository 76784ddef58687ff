"""One suite for whoever answers model calls: the rehearsal model, and real litellm over both wire formats.

The fake provider is a real HTTP server; what it counted is what is asserted about calls, tokens and money.
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import orjson
import pytest
from pydantic import BaseModel

from maestro.adapters.litellm import open_dispatch
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
    UnpricedModel,
)
from maestro.ids import DEFAULT_TENANT, CallId, ContinuationId
from maestro.pager.dispatch import Message, ModelDispatch, StopReason, Tool, ToolCall
from maestro.pager.failover import FailoverModelRouter
from maestro.pager.prices import Price, charge_of
from maestro.pager.request import ModelRequest, input_bound_tokens
from maestro.pager.retries import RetryPolicy
from maestro.pager.targets import Target, tier_chains
from maestro.policy.gradient import Step, Tier
from maestro.testing.provider import Cut, Drop, FakeProvider, Hang, Junk, Say, Status, Trickle
from tests.contract.models import HASTY, KEY, WIRES, target

pytestmark = pytest.mark.usefixtures("models_loaded")

PRICE = Price(input_micros_per_mtok=1_000_000, output_micros_per_mtok=5_000_000, source="override")
GOAL = "Goal: find papers about federated reinforcement learning for robots"
PAPER = (
    "# About\nFederated reinforcement learning for robots\nWe train robots with federated reinforcement learning. "
    "The weather was fine. See http://feeds.test/abs/1."
)
OTHER = "# About\nBread in the middle ages\nBakers of the thirteenth century. They used rye."


class Verdict(BaseModel):
    relevant: bool
    score: float
    why: str
    link: str | None = None
    kind: Literal["paper", "news"] = "paper"


@dataclass
class Backend:
    """One way to be answered: a dispatch whose tier haiku has one target."""

    wire: str
    dispatch: FailoverModelRouter
    fake: FakeProvider | None = None

    def target(self, fake: FakeProvider) -> Target:
        return target(self.wire, fake, PRICE)

    def chained(self, *fakes: FakeProvider, policy: RetryPolicy = HASTY) -> FailoverModelRouter:
        return open_dispatch({Tier.HAIKU: tuple(self.target(fake) for fake in fakes)}, policy)


@pytest.fixture
def first() -> Iterator[FakeProvider]:
    with FakeProvider() as fake:
        yield fake


@pytest.fixture
def second() -> Iterator[FakeProvider]:
    with FakeProvider(Say("from the second")) as fake:
        yield fake


@pytest.fixture(params=["rehearsal", *WIRES])
async def backend(request: pytest.FixtureRequest, first: FakeProvider) -> AsyncIterator[Backend]:
    backend = Backend(request.param, open_dispatch(tier_chains({}), HASTY))
    if request.param != "rehearsal":
        backend = replace(backend, dispatch=backend.chained(first), fake=first)
    yield backend
    await backend.dispatch.close()


@pytest.fixture(params=list(WIRES))
async def wire(request: pytest.FixtureRequest, first: FakeProvider) -> AsyncIterator[Backend]:
    """A dispatch over the first fake provider."""
    backend = Backend(request.param, open_dispatch(tier_chains({}), HASTY))
    backend = replace(backend, dispatch=backend.chained(first), fake=first)
    yield backend
    await backend.dispatch.close()


def asked(backend: Backend, about: str = PAPER, **changes: object) -> ModelRequest:
    """A request whose price is the maximum, as a tick reserves it."""
    messages = (Message(role="user", content=about),)
    fields: dict[str, object] = {
        "call_id": CallId("call-1"),
        "cid": ContinuationId("0123456789abcdefghjkmn-0"),
        "ordinal": 0,
        "tenant": DEFAULT_TENANT,
        "tier": Tier.HAIKU,
        "step": Step.HAIKU,
        "messages": messages,
        "system": GOAL,
        "max_output_tokens": 200,
        "deadline_ms": 20_000,
    } | changes
    schema = fields.get("answer_schema")
    bound = input_bound_tokens(messages, GOAL, (), schema if isinstance(schema, dict) else None)
    price = backend.dispatch.prices.maximum(Tier.HAIKU, bound, 200)
    return ModelRequest.model_validate({"price": price} | fields)


# ------------------------------------------------------------ every backend


@pytest.mark.spec("05.14")
async def test_it_is_a_model_dispatch(backend: Backend):
    assert isinstance(backend.dispatch, ModelDispatch)
    assert "haiku" in backend.dispatch.supported_tiers()
    health = await backend.dispatch.health_check()
    assert health
    assert all(health.values())


async def test_a_call_is_answered_with_usage_price_and_origin(backend: Backend):
    answer = await backend.dispatch.call(
        "haiku", [Message(role="user", content=PAPER)], None, BudgetVector({"usd": 1_000_000}), "sync", system=GOAL
    )
    assert answer.content
    assert (answer.tier, answer.step, answer.attempts, answer.stop_reason) == ("haiku", "haiku", 1, StopReason.END)
    assert (answer.provider, answer.advisor_consulted, answer.estimated) == (backend.wire, False, False)
    assert answer.model.startswith(f"{backend.wire}/")
    usage = answer.usage
    assert answer.cost_usd_micros == usage.executor_input_tokens + 5 * usage.executor_output_tokens
    assert answer.charge == BudgetVector(
        {"usd": answer.cost_usd_micros, "tokens": usage.total_tokens, "cheap_model_calls": 1}
    )


async def test_what_is_charged_stays_within_the_reservation(backend: Backend):
    request = asked(backend)
    answer = await backend.dispatch.answer(request)
    assert request.price.covers(answer.charge)
    assert answer.call_id == request.call_id


async def test_an_answer_by_schema_is_one_object_that_fits(backend: Backend):
    verdict = Verdict(relevant=True, score=0.9, why="it is about robots")
    if backend.fake:
        backend.fake.script(Say(f"Sure! Here it is:\n```json\n{verdict.model_dump_json()}\n```\nAnything else?"))
    answer = await backend.dispatch.answer(asked(backend, answer_schema=Verdict.model_json_schema()))
    read = Verdict.model_validate_json(answer.content)
    assert read.relevant
    assert 0.35 <= read.score <= 1


@pytest.mark.spec("05.14")
async def test_wrong_words_and_a_small_budget_are_refused(backend: Backend):
    messages = [Message(role="user", content="x")]
    with pytest.raises(InvalidInput, match="use one of opus, sonnet, haiku"):
        await backend.dispatch.call("gpt", messages, None, BudgetVector({}), "sync")
    with pytest.raises(InvalidInput, match="use one of sync, async, batch"):
        await backend.dispatch.call("haiku", messages, None, BudgetVector({}), "later")
    with pytest.raises(BudgetExceededError):
        await backend.dispatch.call("haiku", messages, None, BudgetVector({"usd": 1}), "sync")
    assert not backend.fake or not backend.fake.calls


# ------------------------------------------------------------ the rehearsal model


async def test_the_rehearsal_model_judges_by_the_goal_and_always_alike():
    dispatch = open_dispatch(tier_chains({}))
    backend = Backend("rehearsal", dispatch)
    schema = Verdict.model_json_schema()
    yes = await dispatch.answer(asked(backend, PAPER, answer_schema=schema))
    again = await dispatch.answer(asked(backend, PAPER, answer_schema=schema))
    no = Verdict.model_validate_json((await dispatch.answer(asked(backend, OTHER, answer_schema=schema))).content)
    assert (yes.content, yes.usage) == (again.content, again.usage)
    verdict = Verdict.model_validate_json(yes.content)
    assert verdict.relevant
    assert verdict.why == "We train robots with federated reinforcement learning."
    assert verdict.link == "http://feeds.test/abs/1"
    assert not no.relevant
    assert no.score < verdict.score
    assert (yes.provider, yes.model) == ("rehearsal", "rehearsal/haiku")


# ------------------------------------------------------------ what is sent


async def test_the_prompt_arrives_whole_with_the_key_and_the_cap(wire: Backend, first: FakeProvider):
    history = (
        Message(role="user", content="what is it?"),
        Message(role="assistant", tool_calls=(ToolCall(id="call_1", name="look", arguments={"at": "x"}),)),
        Message(role="tool", content="a cat", tool_call_id="call_1"),
    )
    tool = Tool(
        name="look", description="looks", parameters={"type": "object", "properties": {"at": {"type": "string"}}}
    )
    first.script(Say("", tool=("look", '{"at": "the cat"}'), stop="tool_calls"))
    answer = await wire.dispatch.answer(asked(wire, messages=history, tools=(tool,)))
    assert answer.tool_calls == (ToolCall(id="call_1", name="look", arguments={"at": "the cat"}),)
    assert answer.stop_reason is StopReason.TOOL_CALLS
    (seen,) = first.calls
    sent = orjson.dumps(seen.body).decode()
    assert all(part in sent for part in ("federated", "what is it?", "a cat", '"look"', "looks"))
    assert seen.body["max_tokens"] == 200
    assert KEY in (seen.headers.get("authorization", "") + seen.headers.get("x-api-key", ""))


async def test_what_cannot_be_sent_is_cleaned_before(wire: Backend, first: FakeProvider):
    await wire.dispatch.answer(asked(wire, "half\ud800 and \x00 nothing"))
    assert "half\ufffd and  nothing" in orjson.dumps(first.calls[0].body).decode()


@pytest.mark.parametrize(
    ("model", "base", "changes", "sent"),
    [
        (
            "openai/gpt-4o-mini",
            "openai_base",
            {"answer_schema": {"type": "object"}},
            {"response_format": {"type": "json_object"}},
        ),
        (
            "anthropic/claude-haiku-4-5",
            "anthropic_base",
            {"thinking": 100},
            {"thinking": {"type": "enabled", "budget_tokens": 100}},
        ),
        (
            "azure_ai/claude-sonnet-4-6",
            "foundry_base",
            {"max_output_tokens": 4_096},
            {"thinking": {"type": "adaptive"}},
        ),
    ],
    ids=["json mode", "thinking", "adaptive thinking"],
)
async def test_what_a_known_model_offers_is_used(
    first: FakeProvider, model: str, base: str, changes: dict[str, object], sent: dict[str, object]
):
    first.default = Say("{}")
    dispatch = open_dispatch({Tier.HAIKU: (Target(model, getattr(first, base), KEY),)}, HASTY)
    await dispatch.answer(asked(Backend(model, dispatch), PAPER, **changes))
    assert sent.items() <= first.calls[0].body.items()
    await dispatch.close()


@pytest.mark.parametrize(
    ("model", "base", "changes"),
    [
        ("azure_ai/claude-sonnet-4-6", "foundry_base", {"max_output_tokens": 4_096, "thinking": "off"}),
        ("azure_ai/claude-sonnet-4-6", "foundry_base", {"max_output_tokens": 200}),
        ("anthropic/claude-haiku-4-5", "anthropic_base", {"max_output_tokens": 4_096}),
        ("openai/gpt-4o-mini", "openai_base", {"max_output_tokens": 4_096}),
    ],
    ids=["off", "no room", "cannot", "no reasoning"],
)
async def test_nobody_is_told_to_think_who_is_not_to_has_no_room_or_cannot(
    first: FakeProvider, model: str, base: str, changes: dict[str, object]
):
    dispatch = open_dispatch({Tier.HAIKU: (Target(model, getattr(first, base), KEY),)}, HASTY)
    await dispatch.answer(asked(Backend(model, dispatch), PAPER, **changes))
    assert "thinking" not in first.calls[0].body
    await dispatch.close()


async def test_a_provider_that_caches_is_told_where_the_stable_prefix_ends(wire: Backend, first: FakeProvider):
    texts = ("the pins", "the ranked entries", "the question")
    messages = tuple(Message(role="user", content=text) for text in texts)
    known = replace(wire.target(first), model=WIRES[wire.wire][0].replace("fake", "claude-fake"))
    await open_dispatch({Tier.HAIKU: (known,)}, HASTY).answer(asked(wire, messages=messages, stable_messages=1))
    mark = {"type": "ephemeral"}
    ends = list(_cached_ends(first.calls[0].body, mark))
    assert ends == ([] if wire.wire == "openai" else [GOAL, "the pins"])


def _cached_ends(value: object, mark: object) -> Iterator[str]:
    """The text of each block that a breakpoint stands in, in the order of the prompt: system, then messages."""
    if isinstance(value, dict):
        if value.get("cache_control") == mark:
            yield value["text"]
        parts = [value.get("system"), value.get("messages"), value.get("content")]
        for part in parts:
            yield from _cached_ends(part, mark)
    elif isinstance(value, list):
        for part in value:
            yield from _cached_ends(part, mark)


@pytest.mark.parametrize(
    ("name", "path", "headers"),
    [
        ("openai", "/v1/chat/completions", {"authorization": f"Bearer {KEY}"}),
        ("anthropic", "/v1/messages", {"x-api-key": KEY, "anthropic-version": "2023-06-01"}),
        ("azure_ai", "/anthropic/v1/messages", {"api-key": KEY, "anthropic-version": "2023-06-01"}),
        ("bedrock", "/model/anthropic.claude-fake/invoke", {"authorization": f"Bearer {KEY}"}),
    ],
)
async def test_each_wire_format_has_its_own_path_and_its_own_word_for_the_key(
    first: FakeProvider, name: str, path: str, headers: dict[str, str]
):
    backend = Backend(name, open_dispatch({Tier.HAIKU: (target(name, first),)}, HASTY))
    await backend.dispatch.answer(asked(backend))
    (seen,) = first.calls
    assert seen.path == path
    assert headers.items() <= seen.headers.items()
    if name == "bedrock":
        assert (seen.body["anthropic_version"], "model" in seen.body) == ("bedrock-2023-05-31", False)
    else:
        assert str(seen.body["model"]) in WIRES[name][0]


# ------------------------------------------------------------ who is asked


@pytest.mark.parametrize(
    "fault", [Status(429), Status(500), Status(503), Status(529), Drop()], ids=["429", "500", "503", "529", "drop"]
)
async def test_a_recoverable_fault_goes_to_the_next_provider_and_costs_nothing(
    wire: Backend, first: FakeProvider, second: FakeProvider, fault: Status
):
    first.script(fault, fault)
    answer = await wire.chained(first, second).answer(asked(wire))
    assert (answer.content, answer.attempts) == ("from the second", 3)
    assert (len(first.calls), len(second.calls)) == (2, 1)
    assert answer.cost_usd_micros == first.billed_usd_micros + second.billed_usd_micros == second.billed_usd_micros


async def test_a_provider_that_does_not_listen_goes_to_the_next(wire: Backend, second: FakeProvider):
    with FakeProvider() as gone:
        chain = wire.chained(gone, second)
    assert (await chain.answer(asked(wire))).content == "from the second"


async def test_a_hanging_provider_goes_to_the_next_after_its_time(
    wire: Backend, first: FakeProvider, second: FakeProvider
):
    first.script(Hang(), Hang())
    patient = RetryPolicy(max_retries=0, attempt_timeout_ms=1_500)
    answer = await wire.chained(first, second, policy=patient).answer(asked(wire))
    assert (answer.content, len(first.calls)) == ("from the second", 1)


async def test_retry_after_of_the_provider_is_heard(wire: Backend, first: FakeProvider):
    first.script(Status(429, retry_after_s=120))
    with pytest.raises(ProvidersExhausted) as caught:
        await wire.dispatch.answer(asked(wire))
    assert caught.value.facts["retry_after_ms"] in range(100_000, 120_001)
    assert len(first.calls) == 1


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Status(401, "bad key"), AuthRefused),
        (Status(403, "not for you"), AuthRefused),
        (Status(400, "no such field"), BadRequest),
        (Status(404, "no such model"), BadRequest),
        (Status(422, "cannot"), BadRequest),
        (Status(400, "rejected by our safety system: content_policy", kind="content_policy_violation"), ContentPolicy),
        (Status(400, "Output blocked by content filtering policy"), ContentPolicy),
        (Say("", stop="content_filter"), ContentPolicy),
    ],
    ids=["401", "403", "400", "404", "422", "policy", "filter", "refusal"],
)
async def test_a_terminal_fault_surfaces_and_nobody_else_is_asked(
    wire: Backend, first: FakeProvider, second: FakeProvider, fault: Status, kind: type[ModelError]
):
    first.script(fault)
    with pytest.raises(kind) as caught:
        await wire.chained(first, second).answer(asked(wire))
    assert (len(first.calls), len(second.calls)) == (1, 0)
    assert charge_of(caught.value)["usd"] == first.billed_usd_micros


async def test_the_key_stands_in_no_error(wire: Backend, first: FakeProvider):
    first.script(Status(401, f"Incorrect API key provided: {KEY}"))
    with pytest.raises(AuthRefused) as caught:
        await wire.dispatch.answer(asked(wire))
    assert KEY not in f"{caught.value} {caught.value.facts}"


# ------------------------------------------------------------ what was paid for


@pytest.mark.parametrize(
    "fault", [Cut(), Trickle(every_s=0.2), Hang(after_headers=True)], ids=["cut", "trickle", "hang"]
)
async def test_an_answer_that_broke_off_is_charged_in_full_and_not_bought_again(
    wire: Backend, first: FakeProvider, second: FakeProvider, fault: Cut | Trickle | Hang
):
    first.script(fault)
    request = asked(wire, deadline_ms=1_500)
    with pytest.raises(AnswerLost) as caught:
        await wire.chained(first, second).answer(request)
    assert charge_of(caught.value) == request.price
    assert (len(first.calls), len(second.calls)) == (1, 0)
    assert first.billed_usd_micros <= request.price["usd"]


@pytest.mark.parametrize("junk", [b"\xff\xfe no JSON", b"", b"{}", b"[]", b'{"choices": [], "content": []}'])
async def test_an_answer_that_cannot_be_read_is_charged_and_not_bought_again(
    wire: Backend, first: FakeProvider, junk: bytes
):
    first.script(Junk(junk))
    request = asked(wire)
    with pytest.raises(MalformedAnswer) as caught:
        await wire.dispatch.answer(request)
    assert charge_of(caught.value) == request.price
    assert len(first.calls) == 1


USAGES: dict[str, list[dict[str, int]]] = {
    "openai": [
        {},
        {"prompt_tokens": -5, "completion_tokens": 3, "total_tokens": -2},
        {"prompt_tokens": 10**12, "completion_tokens": 1, "total_tokens": 10**12},
    ],
    "anthropic": [
        {"input_tokens": 0, "output_tokens": 0},
        {"input_tokens": -5, "output_tokens": 3},
        {"input_tokens": 10**12, "output_tokens": 1},
    ],
}
USAGES["azure_ai"] = USAGES["bedrock"] = USAGES["anthropic"]


@pytest.mark.parametrize("place", [0, 1, 2], ids=["missing", "negative", "absurd"])
async def test_usage_not_to_be_believed_is_charged_as_the_reserved_maximum(
    wire: Backend, first: FakeProvider, place: int
):
    first.script(Say("fine", usage=USAGES[wire.wire][place]))
    request = asked(wire)
    answer = await wire.dispatch.answer(request)
    assert (answer.content, answer.charge, answer.estimated) == ("fine", request.price, True)


async def test_a_bill_above_the_reservation_is_shown_for_this_one_call(wire: Backend, first: FakeProvider):
    first.script(Say("dear", input_tokens=900, output_tokens=900))
    request = asked(wire)
    answer = await wire.dispatch.answer(request)
    assert answer.cost_usd_micros == first.billed_usd_micros > request.price["usd"]
    assert not answer.estimated


async def test_an_empty_answer_is_a_typed_failure_with_its_price(wire: Backend, first: FakeProvider):
    first.script(Say(""))
    with pytest.raises(MalformedAnswer, match="empty") as caught:
        await wire.dispatch.answer(asked(wire))
    assert charge_of(caught.value)["usd"] == first.billed_usd_micros
    assert len(first.calls) == 1


async def test_a_stop_reason_that_nobody_knows_is_no_failure(wire: Backend, first: FakeProvider):
    first.script(Say("fine", stop="because"))
    assert (await wire.dispatch.answer(asked(wire))).content == "fine"


async def test_an_answer_of_megabytes_is_cut(wire: Backend, first: FakeProvider):
    first.script(Say("again " * 1_000_000))
    answer = await wire.dispatch.answer(asked(wire))
    assert (len(answer.content), answer.stop_reason) == (1_000_000, StopReason.LENGTH)


# ------------------------------------------------------------ by schema


GOOD = '{"relevant": true, "score": 0.5, "why": "so"}'


@pytest.mark.parametrize("bad", ["I cannot say", "{'relevant': True}", '{"relevant": "perhaps"}', '{"relevant": true,'])
async def test_an_answer_that_does_not_fit_is_repaired_once_and_both_are_paid(
    wire: Backend, first: FakeProvider, bad: str
):
    first.script(Say(bad, input_tokens=50), Say(GOOD, input_tokens=70))
    answer = await wire.dispatch.answer(
        asked(wire, answer_schema=Verdict.model_json_schema(), price=BudgetVector({"usd": 9_000, "tokens": 9_000}))
    )
    assert Verdict.model_validate_json(answer.content).why == "so"
    assert answer.cost_usd_micros == first.billed_usd_micros
    assert answer.usage.executor_input_tokens == 120
    assert len(first.calls) == 2


async def test_a_second_answer_that_does_not_fit_is_a_typed_failure(wire: Backend, first: FakeProvider):
    first.script(Say("no"), Say("still no"))
    price = BudgetVector({"usd": 9_000, "tokens": 9_000})
    with pytest.raises(MalformedAnswer, match="no JSON object") as caught:
        await wire.dispatch.answer(asked(wire, answer_schema=Verdict.model_json_schema(), price=price))
    assert charge_of(caught.value)["usd"] == first.billed_usd_micros
    assert len(first.calls) == 2


async def test_without_money_for_a_repair_there_is_none(wire: Backend, first: FakeProvider):
    first.script(Say("no", input_tokens=1_000, output_tokens=200))
    with pytest.raises(MalformedAnswer):
        await wire.dispatch.answer(asked(wire, answer_schema=Verdict.model_json_schema()))
    assert len(first.calls) == 1


# ------------------------------------------------------------ prices


async def test_a_target_that_no_list_knows_is_charged_conservatively(wire: Backend, first: FakeProvider):
    dispatch = open_dispatch(
        {Tier.HAIKU: (replace(wire.target(first), price=None, model=f"{WIRES[wire.wire][0]}-that-nobody-knows"),)}
    )
    assert dispatch.prices.targets(Tier.HAIKU)[0].price.source == "conservative"
    answer = await dispatch.answer(asked(replace(wire, dispatch=dispatch)))
    assert answer.cost_usd_micros == 10 * 15 + 5 * 75


async def test_a_tier_that_is_not_set_is_refused(wire: Backend):
    with pytest.raises(UnpricedModel, match="no target is set"):
        await wire.dispatch.call("opus", [Message(role="user", content="x")], None, BudgetVector({}), "sync")


async def test_an_unhealthy_target_is_named(wire: Backend, first: FakeProvider):
    first.script(Status(500))
    ((name, healthy),) = (await wire.dispatch.health_check()).items()
    assert name.startswith(f"{WIRES[wire.wire][0]} at 127.0.0.1:")
    assert not healthy
