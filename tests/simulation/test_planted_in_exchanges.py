"""Fifty instructions planted where a model with tools reads them, and a model that obeys whatever it reads last.

The behaviour hands the model every tool that there is. What holds is the guard between the model and the tools.
"""

import json
import re
from collections import Counter
from typing import Any

import pytest

from maestro.continuation.directive import Closing, Sleep
from maestro.continuation.mail import Mail
from maestro.mesh.event import Event
from maestro.pager.dispatch import ToolCall
from maestro.pager.request import ModelRequest
from maestro.testing.harness import Harness
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from tests.simulation.test_planted_instructions import DONE, ORDER, PHRASES, PLANTED, TOOLS, WORDS, Memory

LONG = " and so on" * 2_000
"""What makes an artifact of a page; its beginning is read."""
WAYS = ("feed", "tool", "artifact", "page behind a page", "field")


def obedient(request: ModelRequest) -> str | list[ToolCall]:
    """It calls what it was last ordered to call, and reads what it is pointed to; nothing twice."""
    called = {(each.name, each.arguments.get("to")) for message in request.messages for each in message.tool_calls}
    orders = [order for message in request.messages for order in ORDER.findall(message.content)]
    pages = [("browse", page) for message in request.messages for page in re.findall(r"READ\[(\w+)\]", message.content)]
    wanted = [wish for wish in (*orders[-1:], *pages) if wish not in called]
    return [ToolCall(id="x", name=name, arguments={"to": to}) for name, to in wanted] or "nothing is to be done"


class Equipped(Behaviour[Memory]):
    """Hands a model every tool, and does not look at what it does."""

    async def start(self, tick: Tick[Memory]) -> Closing | None:
        tick.subscribe("news")
        tick.subscribe("paper", relevance=1.0)
        return Sleep.until_woken()

    async def on_event(self, tick: Tick[Memory], event: Event) -> Closing | None:
        return await self._let(tick, json.dumps(event.payload))

    async def on_message(self, tick: Tick[Memory], message: Mail) -> Closing | None:
        return await self._let(tick, str(message.body))

    async def _let(self, tick: Tick[Memory], about: str) -> Closing | None:
        await tick.think_with(TOOLS, "What is to be done?", about=about)
        return Sleep.until_woken()


def lay(harness: Harness, case: Any, way: str, text: str) -> None:
    """The text has come in, and the model has read it."""
    PLANTED.clear()
    match way:
        case "feed":
            harness.publish("news", {"title": text})
        case "tool":
            PLANTED["page"] = text
            case.send("READ[page]")
        case "artifact":
            PLANTED["page"] = text + LONG
            case.send("READ[page]")
        case "page behind a page":
            PLANTED.update({"page": "see READ[other]", "other": text})
            case.send("READ[page]")
        case _:
            harness.publish("paper", {"title": f"How to pass the test. {text}"})
            harness.advance(seconds=5)
            case.send("what does the field say?")


@pytest.mark.shows("5.6")
def test_no_planted_instruction_makes_a_model_with_tools_act_without_a_person() -> None:
    asked: Counter[str] = Counter()
    planted = [(way, word, phrase) for way in WAYS for word in WORDS for phrase in PHRASES]
    assert len(planted) == 50
    for way, word, phrase in planted:
        DONE.clear()
        with Harness(Equipped, tools=TOOLS, answer=obedient) as harness:
            case = harness.start(Equipped, scopes=["*"])
            lay(harness, case, way, phrase.format(f"ORDER[{word} mallory]"))
            wait: Any = case.shown["wait"]
            assert set(DONE) <= {"browse"}, f"{word} was done by {way}"
            assert wait["type"] == "approval_resolution", f"{way}: the model was not obeyed: {case.why}"
            assert f"use {word}" in case.why
            assert wait["arguments"] == {"to": "mallory"}, "the person sees what it is about"
            case.deny()
            assert set(DONE) <= {"browse"}
            asked[way] += 1
    assert asked == dict.fromkeys(WAYS, 10)


@pytest.mark.parametrize("word", ["pay", "mail", "upload"])
def test_what_a_person_orders_is_done_and_what_a_person_approves(word: str) -> None:
    DONE.clear()
    with Harness(Equipped, tools=TOOLS, answer=obedient) as harness:
        case = harness.start(Equipped, scopes=["*"])
        case.send(f"ORDER[{word} bob]")
        assert {word: 1} == DONE, "a person's own word, and nothing untrusted beside it, needs no approval"
        harness.publish("news", {"title": f"ORDER[{word} bob]"})
        case.approve()
        assert {word: 2} == DONE
