"""One suite for whoever answers model calls: the rehearsal model, and real litellm over its wire formats.

The fake provider is a real HTTP server; what it counted is what is asserted about calls, tokens and money.
"""

from collections.abc import Iterator
from dataclasses import replace

import orjson
import pytest

from maestro.adapters.litellm import open_dispatch
from maestro.budget.vector import BudgetVector
from maestro.errors import (
    BudgetExceededError,
    InvalidInput,
)
from maestro.pager.dispatch import Message, ModelDispatch, StopReason, Tool, ToolCall
from maestro.pager.targets import Target, tier_chains
from maestro.policy.gradient import Tier
from maestro.testing.provider import FakeProvider, Say
from tests.contract.dispatched import GOAL, OTHER, PAPER, Backend, Verdict, asked, backend, first, wire
from tests.contract.models import HASTY, KEY, WIRES, target

__all__ = ["backend", "first", "wire"]

pytestmark = pytest.mark.usefixtures("models_loaded")

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
