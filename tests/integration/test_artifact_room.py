"""What a family keeps of what its tools return has an end: beyond it a tool is refused by name, and nothing is lost."""

from dataclasses import replace

import pytest
from pydantic import JsonValue

from maestro.adapters.memory.backend import MemoryBackend
from maestro.client import ContinuationHandle, Maestro
from maestro.clock import ManualClock
from maestro.continuation.directive import Closing, Finish
from maestro.errors import ArtifactsFull, NotFound
from maestro.ids import TenantId
from maestro.tick.behaviour import Behaviour, NoState
from maestro.tick.context import Tick
from maestro.tools.calls import InlineTools
from maestro.tools.room import RoomLimits, RoomyTools
from maestro.tools.spec import tool
from tests.stage import Stage

PAGE_BYTES = 10_000


@tool(side_effect="pure")
def page(number: int) -> str:
    """A page of its own."""
    return f"{number} ".ljust(PAGE_BYTES, "x")


@tool(side_effect="keyed")
def order(number: int, idempotency_key: str) -> str:
    """Done once; its receipt is long."""
    return f"receipt {number} ".ljust(PAGE_BYTES, "x")


@tool(side_effect="pure")
def note() -> str:
    """A short word."""
    return "short"


class Collector(Behaviour[NoState]):
    """Reads three pages, the first once more; orders; takes a note."""

    async def start(self, tick: Tick[NoState]) -> Closing | None:
        told: list[JsonValue] = []
        for number in (1, 2, 1, 3):
            try:
                told.append(len(str(await tick.use(page, number=number))))
            except ArtifactsFull as error:
                told.append(error.code)
        told.append(len(str(await tick.use(order, number=4))))
        told.append(await tick.use(note))
        return Finish(result=told)


@pytest.fixture
def stage() -> Stage:
    stage = Stage(
        MemoryBackend(1, ManualClock(1_795_000_000_000), TenantId("default")), Collector, tools=[page, order, note]
    )
    roomy = RoomyTools(InlineTools(), stage.backend.room, RoomLimits(2 * PAGE_BYTES, 1 << 30))
    stage.bench = replace(stage.bench, workers=roomy, inline=roomy)
    stage.around = stage.surroundings(Collector)
    return stage


async def test_beyond_its_room_a_family_is_refused_what_can_be_had_again_and_nothing_else(stage: Stage) -> None:
    cid = await stage.start(Collector)
    await stage.settle()
    assert (await stage.checkpoint(cid)).result == [
        PAGE_BYTES,
        PAGE_BYTES,
        PAGE_BYTES,
        "artifacts_full",
        PAGE_BYTES,
        "short",
    ]
    handle = ContinuationHandle(cid, Maestro(stage.at))
    listed = await handle.aartifacts()
    assert [each["tool"] for each in listed] == ["page", "page", "page", "order"]
    assert len({each["id"] for each in listed}) == 3
    assert await handle.aartifact(str(listed[1]["id"])[:16]) == page.function(2).encode()
    with pytest.raises(NotFound, match="has no artifact"):
        await handle.aartifact("no such")


async def test_another_family_has_a_room_of_its_own(stage: Stage) -> None:
    first, second = await stage.start(Collector), await stage.start(Collector)
    await stage.settle()
    results = [(await stage.checkpoint(cid)).result for cid in (first, second)]
    assert results[0] == results[1]
