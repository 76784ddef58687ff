"""The HTTP API on Serve: deployed by its keeper over a real Redis, asked by HTTP, killed, back where it was."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import ray
from pydantic import JsonValue
from ray import serve
from ray.serve.context import _get_global_client

from actors.blueprint import PANE_APP, PANE_KEEPER_ACTOR, tree
from actors.names import PANE_KEEPER
from actors.pane_keeper import PaneKeeperActor
from maestro.adapters.redis import server
from maestro.bootstrap import install
from maestro.cli.tokens import doorkeeper
from maestro.client import run_sync
from maestro.continuation.goal import GoalFrame
from maestro.runtime import verbs
from maestro.settings import Settings
from tests.e2e.own_ray import own_ray
from tests.e2e.support import eventually
from tests.loopback import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(400)]

WITHIN_S = 150.0


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    folder = Path(tempfile.mkdtemp(prefix="msp", dir="/tmp"))
    made = Settings.load(home=folder / "home", pane="serve", pane_port=free_port())
    server.ensure(made.home, fsync="everysec")
    yield made
    server.purge(made.home)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def keeper(settings: Settings) -> Iterator[Any]:
    """A keeper in a cluster of its own, and the API that it had deployed."""
    with own_ray(settings.home.parent):
        actor: Any = ray.remote(PaneKeeperActor)
        given = {"incarnation": f"{PANE_KEEPER}#1", "settings": settings.to_json(), "app": PANE_APP}
        made = actor.options(num_cpus=0, max_concurrency=16).remote(**given)
        becomes(made, "RUNNING")
        yield made
        serve.shutdown()


def becomes(keeper: Any, state: str) -> Mapping[str, JsonValue]:
    """What the keeper tells as soon as that state is reached."""
    return eventually(lambda: ray.get(keeper.told.remote()), lambda told: told["state"] == state, WITHIN_S, 0.2)


def answer(settings: Settings, path: str, token: str) -> httpx.Response | None:
    """What the API says now; None while it says nothing."""
    try:
        return httpx.get(settings.pane_url + path, headers={"Authorization": f"Bearer {token}"}, timeout=10)
    except httpx.TransportError:
        return None


def status(seen: httpx.Response | None) -> int | None:
    return None if seen is None else seen.status_code


def replica_pid() -> int:
    client: Any = _get_global_client()
    deployments = client.get_serve_details()["applications"]["api"]["deployments"]
    (pid,) = (replica["pid"] for told in deployments.values() for replica in told["replicas"])
    return int(pid)


async def _prepared(settings: Settings) -> tuple[str, str]:
    at = await install(settings)
    cid = await verbs.start(at, verbs.Start(behaviour="counter", goal=GoalFrame(goal="count")))
    _, token = await doorkeeper(at).create("here", "viewer")
    await at.backend.close()
    return cid, token


@pytest.mark.spec("06.16")
def test_it_answers_over_http_and_after_its_death_goes_on_where_it_was(keeper: Any, settings: Settings) -> None:
    cid, token = run_sync(_prepared(settings))
    ready = eventually(
        lambda: answer(settings, "/readyz", token), lambda seen: seen and seen.status_code == 200, WITHIN_S
    )
    assert ready is not None
    listed = answer(settings, "/v1/continuations", token)
    assert listed is not None
    assert [row["id"] for row in listed.json()["items"]] == [cid]
    events = answer(settings, "/v1/events?after=0-0", token)
    assert events is not None
    cursor = events.json()["cursor"]
    assert status(answer(settings, "/v1/me", "nobody")) == 401
    with httpx.stream(
        "GET", settings.pane_url + "/v1/stream", headers={"Authorization": f"Bearer {token}"}, timeout=20
    ) as told:
        assert next(told.iter_lines()) == "event: hello"

    before = replica_pid()
    os.kill(before, signal.SIGKILL)
    eventually(replica_pid_or_none, lambda pid: pid not in (None, before), WITHIN_S, 0.2)
    again = eventually(
        lambda: answer(settings, f"/v1/events?after={cursor}", token),
        lambda seen: seen is not None and seen.status_code == 200,
        WITHIN_S,
    )
    assert again is not None
    assert again.json() == {"items": [], "cursor": cursor}
    assert ray.get(keeper.told.remote())["url"] == settings.pane_url


def replica_pid_or_none() -> int | None:
    try:
        return replica_pid()
    except (ValueError, KeyError):  # between two replicas, or one that has no process yet
        return None


def test_the_tree_has_a_keeper_only_where_the_pane_is_on(settings: Settings) -> None:
    with_one = [spec.start for spec in tree(settings).walk()]
    without = [spec.start for spec in tree(Settings.load(home=settings.home, pane="off")).walk()]
    assert PANE_KEEPER_ACTOR in with_one
    assert PANE_KEEPER_ACTOR not in without
