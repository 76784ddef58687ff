"""Streams and classes of tools in worker processes of their own, behind a whole continuation on a store."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, JsonValue

from maestro.adapters.memory.backend import MemoryBackend
from maestro.adapters.sandbox.tools import ToolWorkers
from maestro.behaviours import Stream
from maestro.clock import ManualClock
from maestro.continuation.directive import Closing, Sleep
from maestro.continuation.mail import Mail
from maestro.errors import ToolFailed
from maestro.runtime.verbs import checkpoint_of
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from maestro.tools.calls import Order
from maestro.tools.registry import Toolbox, tools_in
from maestro.tools.spec import Tool
from tests.integration import stream_shed
from tests.integration.stream_shed import Shed
from tests.stage import Stage


class Heard(BaseModel):
    told: list[JsonValue] = []


class Listener(Behaviour[Heard]):
    async def start(self, tick: Tick[Heard]) -> Closing | None:
        tick.listen("shed.numbers", every_s=1, mark=str(tick.about.input))
        return Sleep.until_woken()

    async def on_message(self, tick: Tick[Heard], message: Mail) -> Closing | None:
        body: Any = message.body
        tick.state.told += [each["value"] for each in body.get("entries", [])] or [body["kind"]]
        return Sleep.until_woken()


@pytest.fixture
async def workers() -> AsyncIterator[ToolWorkers]:
    workers = ToolWorkers()
    yield workers
    await workers.close()


def named(name: str) -> Tool:
    return Toolbox(tools_in(stream_shed)).find(name)


def order(name: str, **arguments: Any) -> Order:
    tool = named(name)
    return Order(tool, tool.arguments(arguments), "key")


async def test_the_object_of_a_class_is_of_its_process(workers: ToolWorkers) -> None:
    first: Any = await workers.run(order("shed.count"))
    second: Any = await workers.run(order("shed.count"))
    assert first[0] == second[0]
    assert (first[1], second[1]) == (1, 2)


async def test_a_window_whose_process_dies_brings_nothing_and_the_next_one_brings_it(
    workers: ToolWorkers, tmp_path: Path
) -> None:
    mark = str(tmp_path / "died")
    with pytest.raises(ToolFailed, match="status 9"):
        await workers.run(order("shed.numbers", mark=mark))
    batch: Any = await workers.run(order("shed.numbers", mark=mark, cursor="1"))
    assert [each["value"] for each in batch["entries"]] == [2, 3, 4, 5]


async def test_a_continuation_hears_each_item_once_though_the_worker_died(workers: ToolWorkers, tmp_path: Path) -> None:
    clock = ManualClock()
    stage = Stage(MemoryBackend(1, clock), Listener, Stream, tools=Shed.tools, workers=workers)
    cid = await stage.start(Listener, input=str(tmp_path / "died"))
    told: list[JsonValue] = []
    for _ in range(6):
        await stage.settle()
        told = (await checkpoint_of(stage.at, cid)).state["told"]  # type: ignore[index, call-overload, assignment]
        clock.advance(2_000)
    assert told == ["fault", "recovered", 1, 2, 3, 4, 5]
