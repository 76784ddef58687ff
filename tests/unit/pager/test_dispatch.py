"""The types that cross: frozen, closed, clean."""

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from maestro.errors import AnswerLost, InvalidInput, MaestroError, ProvidersExhausted
from maestro.pager.dispatch import Message, ModelCallResult, ModelUsage
from maestro.pager.reply import Failure, Reply
from maestro.pager.request import ModelRequest
from maestro.policy.gradient import Step, Tier
from tests.unit.pager.scripted import request, result

ROOT = Path(__file__).parents[3]
LIST_SDKS = (
    "import maestro.pager.{}, sys; print([m for m in ('litellm', 'openai', 'anthropic', 'httpx') if m in sys.modules])"
)


@pytest.mark.spec("05.19")
@pytest.mark.parametrize("module", ["dispatch", "request", "prices", "failover", "desk", "reply", "targets"])
def test_importing_the_pager_loads_no_provider_sdk(module: str):
    found = subprocess.run(
        [sys.executable, "-c", LIST_SDKS.format(module)], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert found.stdout.strip() == "[]"


def test_a_stored_request_recreates_the_identical_request():
    asked = request(system="be brief", answer_schema={"type": "object"}, thinking=1_000, manifest_hash="abc")
    assert ModelRequest.model_validate_json(asked.model_dump_json()) == asked


def test_a_result_says_its_cost_in_dollars_and_survives_json():
    told = result(request())
    assert told.cost_usd == Decimal("0.000035")
    assert ModelCallResult.model_validate_json(told.model_dump_json()) == told


def test_a_result_whose_cost_differs_from_its_charge_is_refused():
    told = result(request()).model_dump()
    with pytest.raises(ValidationError, match="differs from the charge"):
        ModelCallResult.model_validate(told | {"cost_usd_micros": 1})


def test_tokens_of_executor_and_advisor_are_apart_and_add_up():
    usage = ModelUsage(
        executor_input_tokens=1, executor_output_tokens=2, advisor_input_tokens=4, advisor_output_tokens=8
    )
    assert usage.total_tokens == 15
    assert (usage + usage).advisor_output_tokens == 16


@pytest.mark.parametrize("count", [-1, 1.5, "7", True])
def test_a_count_of_tokens_is_a_whole_number_of_zero_or_more(count: object):
    with pytest.raises(ValidationError):
        ModelUsage.model_validate({"executor_input_tokens": count})


def test_text_is_clean_utf_8():
    assert Message(role="user", content="a\x00b\ud800c").content == "ab�c"
    assert Message(role="user", content="🙂").content == "🙂"
    assert result(request(), "x\udfff").content == "x�"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"tier": "gpt"}, "use one of opus, sonnet, haiku"),
        ({"mode": "now"}, "use one of sync, async, batch"),
        ({"thinking": "hard"}, "use adaptive, off or a number of tokens"),
        ({"step": Step.OPUS}, "step opus does not run on tier haiku"),
        ({"tier": Tier.SONNET}, "step haiku does not run on tier sonnet"),
    ],
)
def test_a_wrong_word_in_a_request_is_refused_with_the_allowed_ones(changes: dict[str, object], text: str):
    with pytest.raises(InvalidInput, match=text):
        request(**changes)


def test_a_request_without_messages_is_refused():
    with pytest.raises(ValidationError, match="at least 1 item"):
        request(messages=())


def test_a_failure_crosses_as_data_and_is_the_same_error_again():
    error = ProvidersExhausted("all out", hint="wait", retry_after_ms=7, tier=Tier.OPUS, odd=object)
    reply = Reply.model_validate_json(Reply(failure=Failure.of(error)).model_dump_json())
    with pytest.raises(ProvidersExhausted, match=r"all out \(wait\)") as caught:
        reply.opened()
    assert caught.value.facts["retry_after_ms"] == 7
    assert Failure.of(AnswerLost("x")).error().code == "answer_lost"
    assert type(Failure(code="of_tomorrow", message="x").error()) is MaestroError


def test_a_reply_is_a_result_or_a_failure():
    told = result(request())
    assert Reply(result=told).opened() == told
    with pytest.raises(ValidationError):
        Reply()
    with pytest.raises(ValidationError):
        Reply(result=told, failure=Failure(code="model", message="x"))
