"""Supervision as it happens: a real Ray, real processes, kill -9."""

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray

from actors import rosters
from actors.claiming import STORE_CLAIM, ClaimLost, StoreClaim
from actors.names import NAMESPACE, ROOT
from actors.root import RootSupervisor, plant, uproot
from maestro import bootstrap
from maestro.errors import ClusterError, Conflict
from maestro.ids import HolderId
from maestro.settings import Settings
from maestro.supervision import ChildSpec, Intensity, Pace
from maestro.supervision.roster import RosterEntry
from tests.e2e.family import ElsewhereClaim
from tests.e2e.supervised_tree import (
    Outsider,
    about,
    actors_alive,
    changed,
    child,
    cluster,
    eventually,
    folder,
    lines_of,
    named,
    nodes,
    obituaries,
    reborn,
    root,
    settings,
    supervisor,
)

__all__ = ["cluster", "folder", "root", "settings"]

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]

THERMOMETER = "tests.e2e.family:Thermometer"
HUNG_MS = 4_000  # a process of a busy machine answers within this


@pytest.mark.spec("02.2")
@pytest.mark.spec("02.3")
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


@pytest.mark.spec("02.3")
async def test_one_for_all_stops_in_reverse_and_starts_in_order(root: Any, folder: Path) -> None:
    before, page = await nodes(root), len(lines_of(folder / "diary"))
    os.kill(before["d"]["pid"], signal.SIGKILL)
    after = await eventually(lambda: nodes(root), lambda now: reborn(before, now, "c", "d", "e"))

    assert changed(before, after) == {"c", "d", "e"}
    lines = lines_of(folder / "diary")[page:]
    assert lines == ["e stopped", "c stopped", "c started", "d started", "e started"]


@pytest.mark.spec("02.3")
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


async def test_a_child_that_is_killed_while_it_starts_is_started_again(root: Any, folder: Path) -> None:
    ones = ray.get_actor("supervisor/ones", NAMESPACE)
    fatal = folder / "killed"
    fatal.touch()
    await ones.start_child.remote(child("unlucky", folder, fatal=str(fatal)).model_dump_json())
    assert not fatal.exists()
    assert "unlucky" in await nodes(root)
    await ones.terminate_child.remote("unlucky")
    await ones.delete_child.remote("unlucky")


async def test_f46_a_killed_supervisor_comes_back_to_its_children_also_to_those_added_later(
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


async def test_f47_a_killed_root_is_restarted_by_ray_and_finds_its_tree_intact(root: Any, folder: Path) -> None:
    before, page = await nodes(root), len(lines_of(folder / "diary"))
    os.kill(before["root"]["pid"], signal.SIGKILL)
    after = await eventually(lambda: nodes(root), lambda now: reborn(before, now, "root"))

    assert changed(before, after) == {"root"}
    assert lines_of(folder / "diary")[page:] == []
    os.kill(after["rest"]["pid"], signal.SIGKILL)
    again = await eventually(lambda: nodes(root), lambda now: reborn(after, now, "rest"))
    assert changed(after, again) == {"rest"}


@pytest.mark.spec("02.2")
async def test_f51_a_crash_loop_escalates_to_the_parent_that_starts_afresh(root: Any, folder: Path) -> None:
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


async def test_a_name_that_an_actor_outside_bears_is_not_taken(root: Any, folder: Path) -> None:
    outsider_class: Any = ray.remote(Outsider)
    outsider = outsider_class.options(name="outsider", lifetime="detached", num_cpus=0).remote()
    assert await outsider.here.remote()
    with pytest.raises(Conflict, match="actor 'outsider' lives already") as refused:
        await root.start_child.remote(child("outsider", folder).model_dump_json())
    assert refused.value.facts == {"otp": "already_started"}

    assert await outsider.here.remote()
    ray.kill(outsider)


async def test_f49_a_supervisor_and_all_its_children_killed_at_once_are_all_back(root: Any) -> None:
    before = await nodes(root)
    for name in ("rest", "f", "g", "h"):
        os.kill(before[name]["pid"], signal.SIGKILL)
    after = await eventually(lambda: nodes(root), lambda now: reborn(before, now, "rest", "f", "g", "h"))

    assert changed(before, after) == {"rest", "f", "g", "h"}
    assert after["rest"]["restarts"] == before["rest"]["restarts"] + 1


@pytest.mark.shows("4.4")
async def test_f37_whoever_stands_still_is_ended_by_pid_and_back_worker_and_supervisor_alike(
    root: Any, folder: Path
) -> None:
    still = child("still", folder).model_copy(update={"hung_ms": HUNG_MS})
    watched = supervisor("watched", still, child("lively", folder), hung_ms=HUNG_MS)
    await root.start_child.remote(watched.model_dump_json())
    for name in ("still", "watched"):
        before = await nodes(root)
        os.kill(before[name]["pid"], signal.SIGSTOP)
        after = await eventually(lambda: nodes(root), lambda now: reborn(before, now, name))  # noqa: B023 - called before the next one
        assert changed(before, after) == {name}, "nobody else was disturbed"
        assert not psutil.pid_exists(before[name]["pid"])
        assert after[name]["last_exit"]["kind"] == "killed"
    await root.terminate_child.remote("watched")
    await root.delete_child.remote("watched")


async def test_f47_a_root_that_stands_still_is_ended_by_pid_and_finds_its_tree_intact(root: Any) -> None:
    minder = ChildSpec(id="minder", start="tests.e2e.family:Minder", args={"hung_ms": HUNG_MS})
    await root.start_child.remote(minder.model_dump_json())
    before = await nodes(root)
    os.kill(before["root"]["pid"], signal.SIGSTOP)
    after = await eventually(lambda: nodes(root), lambda now: reborn(before, now, "root"))
    assert changed(before, after) == {"root"}, "nobody else was disturbed"
    assert not psutil.pid_exists(before["root"]["pid"])
    await root.terminate_child.remote("minder")
    await root.delete_child.remote("minder")


async def test_f50_of_a_crowd_that_dies_at_once_some_wait_to_restart_and_all_are_back(root: Any, folder: Path) -> None:
    members = [child(f"crowd-{n}", folder) for n in range(3)]
    flags = {"pace": Pace(at_once=1, per_second=1), "intensity": Intensity(max_restarts=3, max_seconds=60)}
    await root.start_child.remote(supervisor("crowd", *members, **flags).model_dump_json())
    before = await nodes(root)
    for member in members:
        os.kill(before[member.id]["pid"], signal.SIGKILL)

    states = [member.id for member in members]
    await eventually(lambda: nodes(root), lambda now: any(now[n]["state"] == "waiting to restart" for n in states))
    after = await eventually(lambda: nodes(root), lambda now: reborn(before, now, *states))
    assert changed(before, after) == set(states)
    assert {after[name]["restarts"] for name in states} == {1}
    await root.terminate_child.remote("crowd")
    await root.delete_child.remote("crowd")


async def test_an_own_actor_with_permanent_restart_is_back_after_kill_9(root: Any) -> None:
    mine = ChildSpec(id="thermometer/kitchen", start=THERMOMETER, args={"degrees": 23})
    await root.start_child.remote(mine.model_dump_json())
    handle = ray.get_actor("thermometer/kitchen", NAMESPACE)
    assert [await handle.read.remote(), await handle.read.remote()] == [[23, 1], [23, 2]]

    before = await nodes(root)
    os.kill(before[mine.id]["pid"], signal.SIGKILL)
    after = await eventually(lambda: nodes(root), lambda now: reborn(before, now, mine.id))
    assert changed(before, after) == {mine.id}
    assert await ray.get_actor("thermometer/kitchen", NAMESPACE).read.remote() == [23, 1]
    await root.terminate_child.remote(mine.id)
    assert not named(mine.id)


async def test_a_significant_child_that_ends_well_ends_its_supervisor_and_its_siblings(root: Any, folder: Path) -> None:
    guard = child("guard", folder).model_copy(update={"restart": "transient", "significant": True})
    shift = supervisor("shift", guard, child("watch", folder), auto_shutdown="any_significant", restart="transient")
    await root.start_child.remote(shift.model_dump_json())
    before, page = await nodes(root), len(lines_of(folder / "diary"))

    os.kill(before["guard"]["pid"], signal.SIGKILL)
    again = await eventually(lambda: nodes(root), lambda now: reborn(before, now, "guard"))
    assert changed(before, again) == {"guard"}
    await ray.get_actor("guard", NAMESPACE).end.remote("normal")

    after = await eventually(lambda: nodes(root), lambda now: now["shift"]["state"] == "stopped")
    assert after["shift"]["last_exit"]["text"] == "auto_shutdown: guard normal"
    assert lines_of(folder / "diary")[page:] == ["guard started", "watch stopped"]
    assert not named("watch")


async def test_of_children_started_together_one_that_fails_takes_all_down_and_nothing_is_left(
    root: Any, folder: Path
) -> None:
    refuses = folder / "refuses"
    refuses.touch()
    players = [child("bass", folder), child("drums", folder, refuses=str(refuses)), child("horn", folder)]
    band = supervisor("band", *players, starts_together=True)
    with pytest.raises(ClusterError, match=r"failed_to_start_child drums: error: .* child refuses to start"):
        await root.start_child.remote(band.model_dump_json())

    assert not {"band", "bass", "drums", "horn"} & set(await nodes(root))
    assert not {"supervisor/band", "bass", "drums", "horn"} & set(await actors_alive())


async def test_children_from_a_template_are_spawned_counted_and_one_that_wants_to_be_left_out_is(root: Any) -> None:
    template = ChildSpec(id="probe", start=THERMOMETER, restart="temporary")
    await root.start_child.remote(supervisor("probes", strategy="dynamic", template=template).model_dump_json())
    probes = ray.get_actor("supervisor/probes", NAMESPACE)
    await probes.spawn_child.remote({"degrees": 7})
    await probes.spawn_child.remote({"ends": "ignore"})

    assert [node["id"] for node in await probes.which_children.remote()] == ["probe/1"]
    assert await probes.count_children.remote() == {"specs": 1, "active": 1, "supervisors": 0, "workers": 1}
    assert await ray.get_actor("probe/1", NAMESPACE).read.remote() == [7, 1]
    with pytest.raises(Conflict) as refused:
        await probes.restart_child.remote("probe/1")
    assert refused.value.facts == {"otp": "simple_one_for_one"}
    await root.terminate_child.remote("probes")
    assert not named("probe/1")


async def test_f52_a_cycle_and_a_dangling_roster_are_set_aside_and_the_tree_stands(root: Any, folder: Path) -> None:
    left = await rosters.load("supervisor/rest")
    assert left is not None
    cycle = RosterEntry(spec=supervisor("rest"), stopped=False)
    await rosters.save("supervisor/rest", (*left, cycle))
    await rosters.save("supervisor/lost", (RosterEntry(spec=child("nobody", folder), stopped=False),))
    before = await nodes(root)
    os.kill(before["root"]["pid"], signal.SIGKILL)

    after = await eventually(lambda: nodes(root), lambda now: reborn(before, now, "root"))
    assert changed(before, after) == {"root"}
    assert after["root"]["set_aside"] == [
        {"supervisor": "rest", "entry": "rest", "why": "cycle: rest would be below itself"},
        {"supervisor": "lost", "entry": None, "why": "dangling: no supervisor of the tree has this id"},
    ]
    assert (await rosters.load("supervisor/rest"), await rosters.load("supervisor/lost")) == (left, None)


async def test_f48_of_two_roots_the_second_loses_the_claim_and_ends(root: Any) -> None:
    before = await nodes(root)
    root_class: Any = ray.remote(RootSupervisor)
    second = root_class.options(name="second", lifetime="detached", max_restarts=-1, num_cpus=0)
    claim = f"{ElsewhereClaim.__module__}:{ElsewhereClaim.__name__}"
    handle = second.remote(spec=supervisor("root").model_dump_json(), claim=claim)
    with pytest.raises(ClaimLost, match="supervises this installation") as lost:
        await handle.ready.remote()

    assert before["root"]["incarnation"] in str(lost.value)
    await eventually(actors_alive, lambda alive: "second" not in alive)
    assert changed(before, await nodes(root)) == set()


async def test_the_tree_is_stopped_in_reverse_and_leaves_no_actor(root: Any, folder: Path) -> None:
    page = len(lines_of(folder / "diary"))
    await uproot(root)

    lines = lines_of(folder / "diary")[page:]
    assert lines == [f"{name} stopped" for name in ("h", "g", "f", "e", "d", "c", "b", "a")]
    await eventually(actors_alive, lambda alive: alive == [])


async def test_f51_a_root_that_failed_raises_the_alarm_rests_and_starts_anew(root: Any, folder: Path) -> None:
    hindrance = folder / "hindrance"
    hindrance.touch()
    handle = plant(supervisor("root", child("alone", folder, refuses=str(hindrance))), claim=STORE_CLAIM, rest_ms=200)
    with pytest.raises(ClusterError, match="failed_to_start_child alone"):
        await handle.ready.remote()
    hindrance.unlink()

    after = await eventually(lambda: nodes(handle), lambda now: now.get("alone", {}).get("state") == "running")
    assert "failed_to_start_child alone" in after["root"]["alarm"]["reason"]


async def test_f47_a_root_whose_claim_was_taken_ends_with_its_tree_and_ray_does_not_bring_it_back(
    root: Any, folder: Path, settings: Settings
) -> None:
    handle = plant(supervisor("root", child("alone", folder)), claim=STORE_CLAIM)
    await handle.ready.remote()
    backend = await bootstrap.open_store(settings)
    taken = await backend.claims.take(ROOT, HolderId("root#new"), StoreClaim.site(settings), 60_000)
    await backend.close()

    assert taken.granted
    await eventually(actors_alive, lambda alive: alive == [])
    assert lines_of(folder / "diary")[-1] == "alone stopped"
