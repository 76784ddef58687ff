"""Supervision as it happens: a real Ray, real processes, kill -9."""

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import ray

from actors.names import NAMESPACE
from actors.root import plant, uproot
from actors.supervisor import SUPERVISOR
from maestro.errors import ClusterError, Conflict
from maestro.supervision.spec import ChildSpec, Intensity
from tests.e2e.family import OBITUARIES

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]

ROOT_FOLDER = Path(__file__).parents[2]
MOURN = "tests.e2e.family:mourn"
PATIENT = Intensity(max_restarts=10, max_seconds=60)
WITHIN_S = 30.0


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="mst", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def cluster(folder: Path) -> Iterator[None]:
    environment = {"PYTHONPATH": str(ROOT_FOLDER), OBITUARIES: str(folder / "obituaries")}
    ray.init(
        address="local",
        _temp_dir=str(folder / "ray"),
        num_cpus=2,
        include_dashboard=False,
        namespace=NAMESPACE,
        log_to_driver=False,
        runtime_env={"env_vars": environment},
    )
    yield
    ray.shutdown()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def root(cluster: None, folder: Path) -> AsyncIterator[Any]:
    tree = supervisor(
        "root",
        supervisor("ones", child("a", folder), child("b", folder), args={"obituary": MOURN}),
        supervisor("all", child("c", folder), child("d", folder), child("e", folder), strategy="one_for_all"),
        supervisor("rest", child("f", folder), child("g", folder), child("h", folder), strategy="rest_for_one"),
    )
    handle = plant(tree, obituary=MOURN)
    await handle.ready.remote()
    yield handle


def child(name: str, folder: Path, **args: Any) -> ChildSpec:
    return ChildSpec(id=name, start="tests.e2e.family:Child", args={"diary": str(folder / "diary"), **args})


def supervisor(name: str, *children: ChildSpec, **flags: Any) -> ChildSpec:
    flags = {"intensity": PATIENT, "start": SUPERVISOR, **flags}
    return ChildSpec(id=name, type="supervisor", children=children, **flags)


async def test_a_killed_child_is_back_and_its_sibling_did_not_notice(root: Any, folder: Path) -> None:
    before = await nodes(root)
    os.kill(before["a"]["pid"], signal.SIGKILL)
    after = await eventually(lambda: nodes(root), lambda now: reborn(before, now, "a"))

    assert changed(before, after) == {"a"}
    assert after["a"]["restarts"] == 1
    assert after["a"]["last_exit"]["kind"] == "killed"


async def test_an_obituary_is_told_again_until_it_is_heard(root: Any, folder: Path) -> None:
    before = await nodes(root)
    gone = before["b"]["incarnation"]
    await ray.get_actor("b", NAMESPACE).end.remote("out of luck")

    lines = await eventually(lambda: obituaries(folder), lambda lines: len(about(gone, lines)) >= 2)
    assert about(gone, lines) == [f"{gone} error: RuntimeError: out of luck"] * 2
    await eventually(lambda: nodes(root), lambda now: reborn(before, now, "b"))


async def test_one_for_all_stops_in_reverse_and_starts_in_order(root: Any, folder: Path) -> None:
    before, page = await nodes(root), len(lines_of(folder / "diary"))
    os.kill(before["d"]["pid"], signal.SIGKILL)
    after = await eventually(lambda: nodes(root), lambda now: reborn(before, now, "c", "d", "e"))

    assert changed(before, after) == {"c", "d", "e"}
    lines = lines_of(folder / "diary")[page:]
    assert lines == ["e stopped", "c stopped", "c started", "d started", "e started"]


async def test_rest_for_one_restarts_only_those_started_later(root: Any, folder: Path) -> None:
    before, page = await nodes(root), len(lines_of(folder / "diary"))
    await ray.get_actor("g", NAMESPACE).end.remote("a failure of its own")
    after = await eventually(lambda: nodes(root), lambda now: reborn(before, now, "g", "h"))

    assert changed(before, after) == {"g", "h"}
    assert lines_of(folder / "diary")[page:] == ["h stopped", "g started", "h started"]


async def test_a_child_that_does_not_start_is_refused_and_leaves_nothing(root: Any, folder: Path) -> None:
    ones = ray.get_actor("supervisor/ones", NAMESPACE)
    refuses = folder / "no"
    refuses.touch()
    with pytest.raises(ClusterError, match="this child refuses to start"):
        await ones.start_child.remote(child("late", folder, refuses=str(refuses)).model_dump_json())
    with pytest.raises(Conflict, match="child 'a' is running already"):
        await ones.start_child.remote(child("a", folder).model_dump_json())

    assert "late" not in await nodes(root)
    assert not named("late")


async def test_a_killed_supervisor_comes_back_to_its_children_also_to_those_added_later(
    root: Any, folder: Path
) -> None:
    await ray.get_actor("supervisor/ones", NAMESPACE).start_child.remote(child("added", folder).model_dump_json())
    before = await nodes(root)
    os.kill(before["ones"]["pid"], signal.SIGKILL)
    after = await eventually(lambda: nodes(root), lambda now: reborn(before, now, "ones") and "added" in now)
    assert changed(before, after) == {"ones"}

    os.kill(after["added"]["pid"], signal.SIGKILL)
    again = await eventually(lambda: nodes(root), lambda now: reborn(after, now, "added"))
    assert changed(after, again) == {"added"}

    ones = ray.get_actor("supervisor/ones", NAMESPACE)
    await ones.terminate_child.remote("added")
    assert not named("added")
    await ones.delete_child.remote("added")


async def test_a_killed_root_is_restarted_by_ray_and_finds_its_tree_intact(root: Any, folder: Path) -> None:
    before, page = await nodes(root), len(lines_of(folder / "diary"))
    os.kill(before["root"]["pid"], signal.SIGKILL)
    after = await eventually(lambda: nodes(root), lambda now: reborn(before, now, "root"))

    assert changed(before, after) == {"root"}
    assert lines_of(folder / "diary")[page:] == []
    os.kill(after["rest"]["pid"], signal.SIGKILL)
    again = await eventually(lambda: nodes(root), lambda now: reborn(after, now, "rest"))
    assert changed(after, again) == {"rest"}


async def test_a_crash_loop_escalates_to_the_parent_that_starts_afresh(root: Any, folder: Path) -> None:
    doomed = supervisor("doomed", child("x", folder), child("y", folder), intensity=Intensity(max_restarts=1))
    await root.start_child.remote(doomed.model_dump_json())
    first = await nodes(root)
    os.kill(first["x"]["pid"], signal.SIGKILL)
    second = await eventually(lambda: nodes(root), lambda now: reborn(first, now, "x"))
    assert changed(first, second) == {"x"}

    os.kill(second["x"]["pid"], signal.SIGKILL)
    third = await eventually(lambda: nodes(root), lambda now: reborn(second, now, "doomed", "x", "y"))
    assert changed(second, third) == {"doomed", "x", "y"}
    assert third["doomed"]["last_exit"]["kind"] == "shutdown"
    assert "reached_max_restart_intensity: x killed" in third["doomed"]["last_exit"]["text"]

    await root.terminate_child.remote("doomed")
    assert not named("x")
    assert not named("y")


async def test_what_a_dead_supervisor_left_is_ended_when_it_will_not_come_back(root: Any, folder: Path) -> None:
    passing = supervisor("passing", child("z", folder), restart="temporary")
    await root.start_child.remote(passing.model_dump_json())
    os.kill((await nodes(root))["passing"]["pid"], signal.SIGKILL)

    await eventually(lambda: nodes(root), lambda now: "root" in now and "passing" not in now)
    await eventually(actors_alive, lambda alive: "z" not in alive)


async def test_a_child_that_does_not_stop_in_time_is_ended_all_the_same(root: Any, folder: Path) -> None:
    stubborn = child("stubborn", folder, stop_s=3600).model_copy(update={"shutdown": 100})
    ones = ray.get_actor("supervisor/ones", NAMESPACE)
    await ones.start_child.remote(stubborn.model_dump_json())
    await ones.terminate_child.remote("stubborn")

    assert not named("stubborn")
    assert "stubborn stopped" not in lines_of(folder / "diary")


async def test_the_tree_is_stopped_in_reverse_and_leaves_no_actor(root: Any, folder: Path) -> None:
    page = len(lines_of(folder / "diary"))
    await uproot(root)

    lines = lines_of(folder / "diary")[page:]
    assert lines == [f"{name} stopped" for name in ("h", "g", "f", "e", "d", "c", "b", "a")]
    await eventually(actors_alive, lambda alive: alive == [])


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
