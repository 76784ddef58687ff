"""A tool of an MCP server in a tick: journaled, tainting, and asked about, as any tool of our own."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, JsonValue

from maestro.adapters.memory.backend import MemoryBackend
from maestro.clock import ManualClock
from maestro.continuation.directive import Finish
from maestro.continuation.wait import ApprovalResolution
from maestro.errors import ToolError
from maestro.ids import TenantId
from maestro.runtime import verbs
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from maestro.tools.registry import Toolbox
from tests.integration.mcp_support import Shop, shop_over
from tests.stage import Stage

pytestmark = pytest.mark.timeout(300)  # it begins processes that import for a second, or ten on a busy machine


class Basket(BaseModel):
    told: list[JsonValue] = []


class Buyer(Behaviour[Basket]):
    """Looks at a price, orders, and tells of it, which nobody has called safe."""

    async def start(self, tick: Tick[Basket]) -> Finish:
        told: list[JsonValue] = []
        for tool, arguments in (("price", {"article": "tea"}), ("order", {"article": "tea"}), ("tell", {"text": "x"})):
            try:
                told.append(await tick.use(f"shop.{tool}", **arguments))
            except ToolError as error:
                told.append(error.code)
        return Finish(result=told)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with shop_over("stdio", tmp_path) as shop:
        await shop.approve_as_ever()
        yield shop


def staged(shop: Shop) -> Stage:
    stage = Stage(MemoryBackend(1, ManualClock(1_795_000_000_000), TenantId("default")), Buyer)
    stage.bench = replace(stage.bench, toolbox=Toolbox().beside(shop.servers.shelf), servers=shop.servers)
    stage.around = stage.surroundings(Buyer)
    return stage


async def test_what_was_read_from_a_server_makes_its_unsafe_tool_ask_and_nothing_is_called_twice(shop: Shop) -> None:
    stage = staged(shop)
    cid = await stage.start(Buyer)
    await stage.settle()
    checkpoint = await stage.checkpoint(cid)
    assert isinstance(checkpoint.wait, ApprovalResolution)
    assert "use shop.tell version" in checkpoint.wait.action
    assert "untrusted is what shop.price returned" in checkpoint.wait.action
    assert not (shop.folder / "stock").exists()

    await verbs.decide(stage.at, cid, "", approved=True)
    await stage.settle()
    told: Any = (await stage.checkpoint(cid)).result
    price, order, tell = told
    assert (price["structured"]["cents"], tell["text"]) == (450, "told")
    assert order["text"] == "ordered 1 tea"
    (looked, ordered) = shop.noted("calls")  # the tick ran twice; each was called once, with a key of its own
    assert looked == "price tea"
    assert ordered.startswith(f"order tea 1 {cid}:")


async def test_a_server_that_is_gone_is_an_answer_and_no_question(shop: Shop) -> None:
    stage = staged(shop)
    (shop.folder / "broken").touch()
    cid = await stage.start(Buyer)
    await stage.settle()
    assert (await stage.checkpoint(cid)).result == ["mcp_connection"] * 3
