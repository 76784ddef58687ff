"""A small real model acts on the mail that stands last in its prompt: SmolLM2 with 135 million parameters.

Skipped where transformers or the weights are not (`tests.models`); `make vllm` runs it, in an environment of its own.
"""

import asyncio
import importlib
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import BaseModel, JsonValue

from maestro.adapters.memory.backend import backend_over, empty_memory
from maestro.clock import ManualClock
from maestro.continuation.directive import Closing, Sleep
from maestro.continuation.mail import Mail
from maestro.pager.dispatch import ModelCallResult
from maestro.pager.request import ModelRequest
from maestro.runtime import verbs
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from tests.models import small_model
from tests.stage import CountingModel, Stage, result

pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.timeout(500)]

ANSWER_TOKENS = 24
CAPITALS = {"France": "Paris", "Italy": "Rome", "Japan": "Tokyo"}
NEWS = "Tremor rises for hours before the lava comes, and cheap sensors hear it."


class Heard(BaseModel):
    answers: list[str] = []


class Clerk(Behaviour[Heard]):
    """Answers each mail by mail, with what a model says of it."""

    name = "clerk"
    version = 1

    async def start(self, tick: Tick[Heard]) -> Closing:
        tick.subscribe("news.>", relevance=1.0)
        return Sleep.until_woken()

    async def on_message(self, tick: Tick[Heard], message: Mail) -> Closing:
        tick.send(message.sender, await tick.think("Answer the mail.", about=str(message.body), step="haiku"))
        return Sleep.until_woken()


class Asker(Behaviour[Heard]):
    """Passes on what it is told to ask, and keeps what it hears."""

    name = "asker"
    version = 1

    async def start(self, tick: Tick[Heard]) -> Closing:
        return Sleep.until_woken()

    async def on_message(self, tick: Tick[Heard], message: Mail) -> Closing:
        if message.subject == "ask":
            assert isinstance(message.body, dict)
            tick.send(str(message.body["of"]), message.body["text"])
        else:
            tick.state.answers.append(str(message.body))
        return Sleep.until_woken()


@dataclass
class Small(CountingModel):
    """A model in this process, by transformers, which always says the likeliest word."""

    tokenizer: Any = None
    network: Any = None
    prompts: list[list[dict[str, str]]] = field(default_factory=list)

    async def __call__(self, request: ModelRequest) -> ModelCallResult:
        told = [{"role": message.role, "content": message.content or ""} for message in request.messages]
        self.prompts.append([{"role": "system", "content": request.system or ""}, *told])
        return result(request, await asyncio.to_thread(self._said, self.prompts[-1]))

    def _said(self, prompt: list[dict[str, str]]) -> str:
        made = self.tokenizer.apply_chat_template(
            prompt, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        whole = self.network.generate(**made, max_new_tokens=ANSWER_TOKENS, do_sample=False)
        return str(self.tokenizer.decode(whole[0][made["input_ids"].shape[1] :], skip_special_tokens=True))


@pytest.fixture(scope="module")
def model() -> Small:
    file = small_model("torch", "transformers", "gguf", "accelerate")
    transformers, torch = (importlib.import_module(name) for name in ("transformers", "torch"))
    where = {"gguf_file": file.name, "local_files_only": True, "trust_remote_code": False}
    network = transformers.AutoModelForCausalLM.from_pretrained(str(file.parent), **where, dtype=torch.float32)
    return Small(
        tokenizer=transformers.AutoTokenizer.from_pretrained(str(file.parent), **where), network=network.eval()
    )


@pytest.mark.spec("03.10")
async def test_a_small_real_model_acts_on_the_mail_which_stands_last_in_its_prompt(model: Small) -> None:
    stage = Stage(backend_over(empty_memory(clock=ManualClock())), Clerk, Asker, model=model)
    clerk = await stage.start(Clerk, goal="Answer the mail of colleagues")
    asker = await stage.start(Asker)
    await stage.settle()
    await stage.publish("news.today", "1", {"title": "Answers to mail: seismic tremor", "abstract": NEWS})
    await stage.settle()
    for country in CAPITALS:
        question: JsonValue = {"of": clerk, "text": f"What is the capital of {country}?"}
        await verbs.send(stage.at, asker, question, subject="ask")
        await stage.settle()
    answers = (await stage.state(asker))["answers"]
    print(f"\n{answers}")
    for country, capital, answer, prompt in zip(
        *zip(*CAPITALS.items(), strict=True), answers, model.prompts, strict=True
    ):
        assert prompt[-1]["content"].endswith(f"capital of {country}?")
        assert "seismic tremor" in str(prompt[1:-1])
        assert capital in answer
