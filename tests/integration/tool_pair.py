"""One of two processes that use the same tool at the same moment; `main` is its whole life.

python -c 'from tests.integration.tool_pair import main; main()' URL TENANT FOLDER
"""

import asyncio
import json
import sys
import time
from pathlib import Path

from pydantic import JsonValue

from maestro.adapters.redis.backend import open_backend
from maestro.adapters.sandbox.tools import ToolWorkers
from maestro.continuation.directive import Closing, Finish
from maestro.ids import Partition, TenantId, new_holder_id
from maestro.tick.behaviour import Behaviour, NoState
from maestro.tick.context import Tick
from maestro.tick.runner import run
from maestro.tools.spec import tool
from tests.stage import Stage

BOTH = 2
WAIT_S = 60.0


@tool(side_effect="pure", cacheable=True, trusted_output=True)
def weigh(what: str, folder: str) -> int:
    """Slow enough for two to ask; each time it is carried out leaves a line."""
    with (Path(folder) / "carried out").open("a") as lines:
        lines.write(f"{what}\n")
    time.sleep(0.5)
    return len(what)


class Weigher(Behaviour[NoState]):
    async def start(self, tick: Tick[NoState]) -> Closing | None:
        folder = Path(str(tick.about.input))
        await both_here(folder, tick.id)
        weighed: JsonValue = await tick.use(weigh, what="a stone", folder=str(folder))
        return Finish(result=weighed)


async def both_here(folder: Path, me: str) -> None:
    """Both are in the middle of a tick."""
    async with asyncio.timeout(WAIT_S):
        while not _all_here(folder, me):  # noqa: ASYNC110 - a file has no event to wait for
            await asyncio.sleep(0.005)


def _all_here(folder: Path, me: str) -> bool:
    (folder / f"here {me}").touch()
    return len(list(folder.glob("here *"))) == BOTH


async def _live(url: str, tenant: str, folder: str) -> None:
    backend, workers = await open_backend(url, TenantId(tenant)), ToolWorkers(at_most=1)
    stage = Stage(backend, Weigher, tools=[weigh], workers=workers)
    cid = await stage.start(Weigher, input=folder)
    adopted = await backend.store.adopt("default", new_holder_id("pair"), 60_000, Partition(0), cid)
    assert adopted is not None
    await stage.write(adopted, await run(adopted, stage.around))
    print(json.dumps({"result": (await stage.checkpoint(cid)).result, "begun": workers.begun}))
    await workers.close()
    await backend.close()


def main() -> None:
    """Runs under its own name, so that a worker finds the tool by it."""
    asyncio.run(_live(*sys.argv[1:4]))
