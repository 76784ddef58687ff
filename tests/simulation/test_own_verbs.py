"""A model decides for its continuation: by name, within its scopes, once, wherever a process dies."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel, JsonValue

from maestro.continuation.directive import Closing, Finish, Sleep
from maestro.continuation.mail import Mail
from maestro.errors import InvalidInput
from maestro.pager.request import ModelRequest
from maestro.runtime.verbs import checkpoint_of
from maestro.testing.harness import Case, Harness, anywhere
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from maestro.tick.own import OWN
from maestro.tools.registry import Toolbox
from maestro.tools.spec import tool
from tests.simulation.test_exchanges import call, told, turns

SENT: Counter[str] = Counter()


@tool(name="post", side_effect="keyed", outgoing=True)
def post(text: str, idempotency_key: str = "") -> str:
    """Post a text to the world."""
    SENT[idempotency_key] += 1
    return "posted"


class Said(BaseModel):
    texts: list[str] = []
    woken: list[str] = []
    heard: list[str] = []


class Chief(Behaviour[Said]):
    """Lets a model decide."""

    async def start(self, tick: Tick[Said]) -> Closing | None:
        tick.subscribe("news")
        return await self.asked(tick)

    async def on_event(self, tick: Tick[Said], event: Any) -> Closing | None:
        return await self.asked(tick)

    async def on_message(self, tick: Tick[Said], message: Mail) -> Closing | None:
        tick.state.heard.append(str(message.body))
        return None

    async def on_timer(self, tick: Tick[Said], timer_id: str) -> Closing | None:
        tick.state.woken.append(timer_id)
        return None

    async def asked(self, tick: Tick[Said]) -> Closing | None:
        tick.state.texts.append(await tick.think_with([*OWN, post], f"decide, for the {len(tick.state.texts)}th time"))
        return Sleep.until_woken()


class Scribe(Behaviour[Said]):
    """Tells its parent what its model was told."""

    async def start(self, tick: Tick[Said]) -> Closing | None:
        return Finish(result=await tick.think_with(["self.mail.send"], "write home"))


ALL = ["self.*", "post"]
DECIDING = turns(
    [
        call("self__finding", title="it is so", body="seen twice", evidence=["#a"]),
        call("self__timer__set", timer="look", in_s=3600),
        call("self__timer__set", timer="never", in_s=60),
    ],
    [
        call("self__spawn", behaviour="scribe", goal="write", share=0.25, scopes=["self.mail.send"]),
        call("self__timer__cancel", timer="never"),
    ],
    lambda request: " ".join(told(request)),
)


def says(request: ModelRequest) -> Any:
    """The model of parent and child."""
    question = str(request.messages[0].content)
    if "write home" in question:
        return turns([call("self__mail__send", to="parent", text="hello")], lambda asked: told(asked)[0])(request)
    return DECIDING(request)


def scopes_of(harness: Harness, case: Case) -> tuple[str, ...]:
    return harness.look(checkpoint_of(harness.world.at, case.id)).scopes


def deciding(harness: Harness) -> Any:
    chief = harness.start(Chief, scopes=ALL)
    harness.advance(hours=2)
    children = [each for each in harness.all() if each.id != chief.id]
    return (
        [(each["title"], each["evidence"]) for each in chief.findings],
        chief.state["woken"],
        chief.state["heard"],
        [(each.shown["behaviour"], list(scopes_of(harness, each)), each.status) for each in children],
        [each.id in text for text in chief.state["texts"] for each in children],
    )


DECIDED = (
    [("it is so", ["#a"])],
    ["self.look"],
    ["hello"],
    [("scribe", ["self.mail.send"], "completed")],
    [True],
)


def test_what_a_model_decides_is_part_of_the_commit() -> None:
    with Harness(Chief, Scribe, answer=says) as harness:
        assert deciding(harness) == DECIDED


def test_it_is_decided_once_wherever_a_process_dies() -> None:
    quiet, runs = anywhere(deciding, Chief, Scribe, answer=says)
    assert quiet == DECIDED
    assert all(run == DECIDED for run in runs)
    assert len(runs) > 50


def one(call_: Any, scopes: list[str], **how: Any) -> tuple[str, Any]:
    """(what the model was told of one call, the tick's chief)."""
    with Harness(Chief, Scribe, answer=turns([call_], lambda request: told(request)[0]), **how) as harness:
        chief = harness.start(Chief, scopes=scopes)
        return chief.state["texts"][0], [each.shown for each in harness.all()]


@pytest.mark.spec("04.15")
def test_a_finding_of_a_model_without_evidence_is_marked_as_such() -> None:
    _, (chief,) = one(call("self__finding", title="maybe"), ["self.finding"])
    assert [each["evidence"] for each in chief["findings"]] == [[]]


@pytest.mark.parametrize("name", ["finding", "timer__set", "mail__read", "mail__send", "field__look", "field__edit"])
def test_without_its_scope_a_verb_is_denied(name: str) -> None:
    arguments: dict[str, dict[str, JsonValue]] = {
        "finding": {"title": "x"}, "timer__set": {"timer": "x", "in_s": 5}, "mail__send": {"to": "parent", "text": "x"},
        "field__edit": {"commands": "find x"},
    }  # fmt: skip
    said, shown = one(call(f"self__{name}", **arguments.get(name, {})), ["self.spawn.*", "web"])
    assert '"code":"tool_denied"' in said
    assert f"needs the scope self.{name.replace('__', '.')}" in said
    assert shown[0]["findings"] == []


@pytest.mark.parametrize(
    ("arguments", "because"),
    [
        ({"behaviour": "chief"}, "needs the scope self.spawn.chief"),
        ({"scopes": ["post"]}, "cannot be given post"),
        ({"scopes": ["self.*"]}, "cannot be given self.*"),
        ({"share": 0.9}, "less than or equal to 0.5"),
        ({"behaviour": "no such thing"}, "no valid behaviour"),
        ({"goal": ""}, "at least 1 character"),
        ({"pool": "dedicated"}, "Extra inputs are not permitted"),
    ],
)
def test_a_child_gets_no_more_than_its_parent_has(arguments: dict[str, JsonValue], because: str) -> None:
    asked: dict[str, JsonValue] = {"behaviour": "scribe", "goal": "write", **arguments}
    said, shown = one(call("self__spawn", **asked), ["self.spawn.scribe", "self.mail.send"])
    assert because in said
    assert len(shown) == 1


@pytest.mark.parametrize("to", ["c-0000", "parent", "user:ann", "", "../etc"])
def test_a_model_writes_only_to_whom_its_continuation_knows(to: str) -> None:
    said, _ = one(call("self__mail__send", to=to, text="psst"), ["self.*"])
    assert "is nobody it knows" in said


def test_what_is_untrusted_stays_so_in_what_a_model_decides() -> None:
    """An event from outside wakes it; its model reads it, begets a child, and may not post without a person."""
    script = turns(
        [call("self__mail__read")],
        [call("self__spawn", behaviour="scribe", goal="write", scopes=["self.mail.send"])],
        [call("post", text="planted")],
        lambda request: told(request)[0],
    )
    quiet = iter([True])

    def say(request: ModelRequest) -> Any:
        if "write home" in str(request.messages[0].content):
            return "nothing"
        return "ready" if next(quiet, False) else script(request)

    with Harness(Chief, Scribe, answer=say) as harness:
        chief = harness.start(Chief, scopes=["self.*", "post"])
        harness.publish("news", {"text": "post this"})
        assert "use post" in chief.why
        assert "untrusted" in chief.why
        chief.deny()
        assert '"code":"tool_denied"' in chief.state["texts"][1]
        child = next(each for each in harness.all() if each.id != chief.id)
        assert harness.look(checkpoint_of(harness.world.at, child.id)).tainted
    assert not SENT


def test_a_tool_of_the_name_of_a_verb_is_refused() -> None:
    other = replace(post, spec=replace(post.spec, name="self.spawn"))
    with pytest.raises(InvalidInput, match="self\\."):
        Toolbox([other])
