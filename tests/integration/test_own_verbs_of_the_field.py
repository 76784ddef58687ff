"""A model looks at its continuation's context and edits it, by name, like any other tool."""

from dataclasses import dataclass, field

import orjson
from pydantic import JsonValue

from maestro.adapters.memory.backend import backend_over, empty_memory
from maestro.clock import ManualClock
from maestro.continuation.directive import Closing, Sleep
from maestro.continuation.mail import Mail
from maestro.pager.dispatch import ModelCallResult, ToolCall
from maestro.pager.request import ModelRequest
from maestro.runtime import verbs
from maestro.tick.behaviour import Behaviour, NoState
from maestro.tick.context import Tick
from tests.stage import CountingModel, Stage, result


class Curator(Behaviour[NoState]):
    """Lets its model put its context in order."""

    async def start(self, tick: Tick[NoState]) -> Closing:
        tick.subscribe("news.>", relevance=1.0)
        return Sleep.until_woken()

    async def on_message(self, tick: Tick[NoState], message: Mail) -> Closing:
        await tick.think_with(["self.field.look", "self.field.edit"], "Put it in order.", step="haiku")
        return Sleep.until_woken()


@dataclass
class Orderly(CountingModel):
    """Looks, pins the last of what it sees, searches for it, and is done."""

    told: list[str] = field(default_factory=list)

    async def __call__(self, request: ModelRequest) -> ModelCallResult:
        self.told = [message.content or "" for message in request.messages if message.role == "tool"]
        match len(self.told):
            case 0:
                return _calling(request, "self__field__look", {})
            case 1:
                last = orjson.loads(self.told[0])["entries"][-1]
                return _calling(request, "self__field__edit", {"commands": f"pin {last['id']}; find ash"})
            case _:
                return result(request, "done")


def _calling(request: ModelRequest, name: str, arguments: dict[str, JsonValue]) -> ModelCallResult:
    call = ToolCall(id="one", name=name, arguments=arguments)
    return result(request, "").model_copy(update={"tool_calls": (call,)})


async def test_a_model_looks_at_its_context_and_pins_what_it_wants_to_keep() -> None:
    model = Orderly()
    stage = Stage(backend_over(empty_memory(clock=ManualClock())), Curator, model=model)
    cid = await stage.start(Curator, goal="Warn of volcanic eruptions by seismic tremor", scopes=("self.field.*",))
    await stage.settle()
    for key, title in (("1", "Seismic tremor warns of volcanic eruptions"), ("2", "Volcanic ash and aircraft")):
        await stage.publish("news.today", key, {"title": title, "abstract": "It drifts far."})
        await stage.settle()
    await verbs.send(stage.at, cid, "now", subject="order")
    await stage.settle()
    seen, edited = map(orjson.loads, model.told)
    assert [each["title"] for each in seen["entries"]][-1] == "Volcanic ash and aircraft"
    last = seen["entries"][-1]["id"]
    assert edited["found"] == [{"id": last, "title": "Volcanic ash and aircraft", "where": "shown"}]
    after = await stage.checkpoint(cid)
    assert set(after.edits) == {last}
    assert after.tainted, "what it read comes from outside"
