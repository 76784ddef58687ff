"""A tree of supervisors on a Ray of its own, what can be seen of it, and fixtures for whoever kills in it."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import ray

from actors.claiming import STORE_CLAIM
from actors.names import NAMESPACE
from actors.reporting import leave_settings
from actors.root import plant
from actors.supervisor import SUPERVISOR
from maestro.adapters.redis import server
from maestro.settings import Settings
from maestro.supervision import ChildSpec, Intensity
from tests.e2e.family import OBITUARIES
from tests.e2e.own_ray import own_ray

MOURN = "tests.e2e.family:mourn"
PATIENT = Intensity(max_restarts=10, max_seconds=60)
WITHIN_S = 60.0
LEASE_MS = 1_500


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="mst", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def settings(folder: Path) -> Iterator[Settings]:
    """Of an installation that is nothing but its store."""
    yield (settings := Settings.load(home=folder / "home", lease_ms=LEASE_MS))
    server.purge(settings.home)


@pytest.fixture(scope="module")
def cluster(folder: Path) -> Iterator[None]:
    with own_ray(folder, **{OBITUARIES: str(folder / "obituaries")}):
        yield


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def root(cluster: None, folder: Path, settings: Settings) -> AsyncIterator[Any]:
    tree = supervisor(
        "root",
        supervisor("ones", child("a", folder), child("b", folder), args={"obituary": MOURN}),
        supervisor("all", child("c", folder), child("d", folder), child("e", folder), strategy="one_for_all"),
        supervisor("rest", child("f", folder), child("g", folder), child("h", folder), strategy="rest_for_one"),
    )
    server.ensure(settings.home)
    leave_settings(settings.to_json())
    handle = plant(tree, obituary=MOURN, claim=STORE_CLAIM)
    await handle.ready.remote()
    yield handle


def child(name: str, folder: Path, **args: Any) -> ChildSpec:
    return ChildSpec(id=name, start="tests.e2e.family:Child", args={"diary": str(folder / "diary"), **args})


def supervisor(name: str, *children: ChildSpec, **flags: Any) -> ChildSpec:
    flags = {"intensity": PATIENT, "start": SUPERVISOR, **flags}
    return ChildSpec(id=name, type="supervisor", children=children, **flags)


class Outsider:
    def here(self) -> bool:
        return True


async def nodes(root: Any) -> dict[str, Any]:
    """Every node of the tree by its id; none while the root is on its way back."""
    try:
        top = await root.tree.remote()
    except ray.exceptions.RayActorError:
        return {}
    found, todo = {}, [top]
    while todo:
        node = todo.pop()
        found[node["id"]] = node
        todo += node.get("children", [])
    return found


def reborn(before: dict[str, Any], now: dict[str, Any], *names: str) -> bool:
    """True when these run as another incarnation, and all that ran still runs."""
    whole = all(now.get(name, {}).get("incarnation") for name in before if before[name]["incarnation"])
    return whole and all(now[name]["incarnation"] != before[name]["incarnation"] for name in names)


def changed(before: dict[str, Any], now: dict[str, Any]) -> set[str]:
    return {name for name in now if name in before and now[name]["incarnation"] != before[name]["incarnation"]}


def about(incarnation: str, lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith(incarnation)]


def named(name: str) -> bool:
    try:
        ray.get_actor(name, NAMESPACE)
    except ValueError:
        return False
    return True


async def actors_alive() -> list[str]:
    return [actor["name"] for actor in ray.util.list_named_actors(all_namespaces=True)]


async def obituaries(folder: Path) -> list[str]:
    return lines_of(folder / "obituaries")


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


async def eventually(look: Callable[[], Any], enough: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + WITHIN_S
    while not enough(seen := await look()):
        assert time.monotonic() < deadline, f"still not so after {WITHIN_S} s: {seen}"
        await asyncio.sleep(0.05)
    return seen
