"""Nodes are lost, paused and drained under continuations that go on: three raylets, one after the other.

`WANDERERS=500 pytest tests/chaos/test_nodes_lost.py -s` (`make nodes`) prints how long each round took.
"""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from actors import cluster
from actors.local_ray import Place
from actors.processes import pid_lives
from maestro.client import ContinuationHandle, Maestro, run_sync
from maestro.errors import Conflict, NotFound
from maestro.runtime import residence
from tests.e2e.support import Site, eventually, site

WANDERERS = int(os.environ.get("WANDERERS", "60"))
PATIENCE_S = 120.0 + WANDERERS / 2
LEASE_MS = 3_000

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900 + 4 * WANDERERS)]


class Journey:
    """All wanderers of one site, and the world outside in which they leave their deeds."""

    def __init__(self, here: Site, outside: Path) -> None:
        self.site = here
        self.outside = outside
        self.steps = 0
        self.wanderers: list[ContinuationHandle] = run_sync(_begun(here.client, str(outside)))

    def step(self, for_s: float = 0.05) -> None:
        """Every wanderer has a message to take one more step."""
        self.steps += 1
        body: Any = {"step": self.steps, "for_s": for_s}
        run_sync(_all(handle.asend(body, key=f"step-{self.steps}") for handle in self.wanderers))

    def deeds(self) -> int:
        """How many different ones were done."""
        return sum(1 for _ in self.outside.iterdir())

    def arrived(self, within_s: float = PATIENCE_S) -> float:
        """Seconds until all have taken their last step, seen from outside, and let go."""
        begun = time.monotonic()
        wanted = WANDERERS * self.steps
        eventually(self.deeds, lambda found: found >= wanted, within_s)
        eventually(lambda: self.site.counts().get("leases", 0), lambda held: held == 0, within_s)
        return time.monotonic() - begun

    def tell(self, what: str, seconds: float) -> None:
        print(f"{what}: {WANDERERS} continuations, {seconds:.1f} s", flush=True)


async def _begun(maestro: Maestro, outside: str) -> list[ContinuationHandle]:
    asked = [maestro.astart("wanderer", goal="wander", input=outside, pool="swarm") for _ in range(WANDERERS)]
    return list(await asyncio.gather(*asked))


async def _all(waits: Any) -> None:
    await asyncio.gather(*waits)


def raylet(here: Site, node: str) -> psutil.Process:
    return psutil.Process(Place.of(here.settings).nodes()[node].pid)


def nodes(here: Site) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in here.tell("nodes")}


def members(here: Site, node: str) -> list[str]:
    return [actor for actor in nodes(here)[node]["actors"] if actor.startswith("pool/")]


@pytest.fixture(scope="module")
def here() -> Iterator[Site]:
    given = {"behaviours": "tests.chaos.wanderers", "lease_ms": LEASE_MS, "shutdown_grace_ms": 3_000}
    with site(local_nodes=3, ray_cpus=1, pool_size=1, swarm_size=3, heart=False, **given) as made:
        made.up()
        eventually(lambda: nodes(made), lambda seen: len(seen) == 3, PATIENCE_S, 1.0)
        eventually(lambda: [n for n in nodes(made) if members(made, n)], lambda seen: len(seen) == 3, PATIENCE_S, 1.0)
        yield made
        made.down()
        assert made.traces() == []


@pytest.fixture(scope="module")
def journey(here: Site, tmp_path_factory: pytest.TempPathFactory) -> Journey:
    begun = Journey(here, tmp_path_factory.mktemp("outside"))
    begun.step()
    begun.tell("without a fault", begun.arrived())
    return begun


@pytest.mark.shows("5.7")
def test_the_same_call_made_on_two_nodes_at_once_is_carried_out_once(here: Site, tmp_path: Path) -> None:
    """Each is in the middle of a tick at a node of its own before either asks."""
    weighers = [here.client.start("weigher", goal="weigh") for _ in range(2)]
    eventually(lambda: [here.glance(weigher).rev for weigher in weighers], lambda revs: min(revs) == 1, PATIENCE_S)
    for number, weigher in enumerate(weighers, 1):
        weigher.migrate(f"node-{number}")
    for weigher in weighers:
        weigher.send(str(tmp_path))
    eventually(lambda: [here.glance(weigher).rev for weigher in weighers], lambda revs: min(revs) == 2, PATIENCE_S)
    shown: list[Any] = [weigher.status() for weigher in weighers]
    assert [each["state"]["weighed"] for each in shown] == [7, 7]
    holders = [str(here.glance(weigher).last_holder).split("#")[0] for weigher in weighers]
    assert holders == [f"continuation/{weigher.id}/node-{number}" for number, weigher in enumerate(weighers, 1)]
    assert (tmp_path / "carried out").read_text() == "a stone\n"
    assert here.tell("status")["tool_cache"]["rate"] == 0.5


@pytest.mark.shows("4.5")
def test_a_node_that_is_killed_takes_nobody_with_it(here: Site, journey: Journey) -> None:
    victim = raylet(here, "node-2")
    journey.step(for_s=1.0)
    victim.kill()
    journey.tell("one raylet killed", journey.arrived())
    assert cluster.mend(here.settings) == ["node-2"]
    eventually(lambda: nodes(here)["node-2"]["state"], lambda state: state == "up", PATIENCE_S, 1.0)


@pytest.mark.shows("4.5")
def test_a_node_that_is_paused_is_overtaken_and_its_late_writes_are_refused(here: Site, journey: Journey) -> None:
    victim = raylet(here, "node-3")
    paused = [victim, *victim.children(recursive=True)]
    journey.step(for_s=1.0)
    for process in paused:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGSTOP)
    journey.tell("one node paused", journey.arrived())
    for process in paused:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGCONT)
    journey.step()
    journey.tell("after it goes on", journey.arrived())


@pytest.mark.shows("4.5")
@pytest.mark.spec("02.4")
def test_a_node_that_is_drained_hands_all_over_and_nobody_counts_a_crash(here: Site, journey: Journey) -> None:
    cluster.mend(here.settings)
    eventually(lambda: [n for n, row in nodes(here).items() if row["state"] == "up"], lambda up: len(up) == 3, 90, 1.0)
    died = here.counts().get("reclaimed", 0)
    journey.step(for_s=1.0)
    here.tell("drain", "node-2", "--reason", "its fan is loud")
    journey.tell("one node drained", journey.arrived())
    eventually(lambda: members(here, "node-2"), lambda left: not left, PATIENCE_S, 1.0)
    row = nodes(here)["node-2"]
    assert (row["state"], row["reason"]) == ("draining", "drained by person: its fan is loud")
    journey.step()
    journey.arrived()
    assert members(here, "node-2") == []
    assert here.counts().get("reclaimed", 0) == died
    here.tell("undrain", "node-2")
    eventually(lambda: nodes(here)["node-2"]["state"], lambda state: state == "up", PATIENCE_S, 1.0)


def test_one_that_is_sent_to_a_node_wakes_there_and_unknown_nodes_are_refused(here: Site, journey: Journey) -> None:
    wanderer, installation = journey.wanderers[0], here.client.installation
    with pytest.raises(NotFound) as unknown:
        wanderer.migrate("node-9")
    assert unknown.value.hint == "living nodes: node-1, node-2, node-3"
    assert wanderer.migrate("node-1") == "node-1"
    journey.step()
    journey.arrived()
    last = here.glance(wanderer).last_holder
    assert last is not None
    assert last.startswith(f"continuation/{wanderer.id}/node-1#")
    for node in ("node-2", "node-3"):
        run_sync(residence.drain(installation, node))
    eventually(lambda: nodes(here)["node-3"]["state"], lambda state: state == "draining", PATIENCE_S, 1.0)
    with pytest.raises(Conflict, match="nobody would take over"):
        run_sync(residence.drain(installation, "node-1"))
    for node in ("node-2", "node-3"):
        run_sync(residence.undrain(installation, node))


@pytest.mark.shows("4.5")
def test_every_step_was_taken_once(here: Site, journey: Journey) -> None:
    wanted = list(range(1, journey.steps + 1))
    for wanderer in journey.wanderers:
        shown: Any = wanderer.status()
        assert shown["state"]["steps"] == wanted
        log: Any = wanderer.log()
        assert [line["rev"] for line in log] == list(range(1, journey.steps + 2))  # its start, and a tick per step
    assert journey.deeds() == WANDERERS * journey.steps
    assert all(map(pid_lives, [node.pid for node in Place.of(here.settings).nodes().values()]))
