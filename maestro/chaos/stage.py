"""The parts of a run put together: a folder, the world outside, a ground, a client, and the verdict."""

import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from maestro.chaos.annals import Annals
from maestro.chaos.client import Client
from maestro.chaos.cluster import ClusterGround
from maestro.chaos.ground import BareGround, Ground, reached
from maestro.chaos.outside import Outside
from maestro.chaos.proxy import Proxy
from maestro.chaos.run import Plan, Verdict, run
from maestro.chaos.schedule import draw
from maestro.errors import InvalidInput
from maestro.home import private_folder, short_folder

HISTORY = "history.jsonl"


async def staged(plan: Plan, folder: Path, ground: str = "cluster", **wishes: object) -> Verdict:
    """A whole run; its evidence is in `folder`, which must hold none yet.

    Args:
        wishes: of the ground: how many hosts or nodes, a build that lacks a guard.

    Raises:
        InvalidInput: no such profile or ground, no fault of it can be met there, or there is evidence of another run.
    """
    draw(plan.profile, plan.seed, plan.minutes, plan.every_s, ground)  # what cannot be drawn starts nothing
    private_folder(folder)
    if (folder / HISTORY).exists():
        raise InvalidInput(f"{folder / HISTORY} is there already", field="place", hint="give another folder")
    with Outside() as outside, contextlib.closing(Annals(folder / HISTORY)) as annals:
        async with Proxy(f"127.0.0.1:{outside.port}") as way_out, _ground(ground, folder, outside, wishes) as place:
            at = await reached(place)
            try:
                act_url = f"http://127.0.0.1:{way_out.port}/act"
                client = Client(at, annals, outside, plan.seed, act_url)
                return await run(plan, place, client, annals, folder, outside)
            finally:
                await at.backend.close()


@contextlib.asynccontextmanager
async def _ground(name: str, folder: Path, outside: Outside, wishes: dict[str, object]) -> AsyncIterator[Ground]:
    place = short_folder(folder, "mc")  # sockets want short paths
    try:
        match name:
            case "bare":
                async with BareGround(place, provider=outside.provider.openai_base, **wishes) as bare:  # type: ignore[arg-type]
                    yield bare
            case "cluster":
                async with ClusterGround(place, provider=outside.provider.openai_base, **wishes) as cluster:  # type: ignore[arg-type]
                    yield cluster
            case _:
                raise AssertionError(name)  # the schedule was drawn for it
    finally:
        shutil.rmtree(place, ignore_errors=True)
