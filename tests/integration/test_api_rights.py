"""Who may do what: every route of the API, by role and by whose continuation it is. A route without a rule is red."""

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import httpx
import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from maestro.adapters.memory.backend import MemoryBackend
from maestro.gateway.access import RIGHTS, Right
from maestro.gateway.app import Terms, inner
from maestro.gateway.gate import OPEN, May
from maestro.gateway.shapes import Role
from maestro.ids import TenantId
from maestro.runtime.verbs import Installation
from tests.integration.api_support import House, house
from tests.pane_stage import Reader, Scout
from tests.stage import PLENTY, SEAL

RULES: Mapping[str, Right] = {
    "GET /v1/me": "look", "POST /v1/logout": "look",
    "GET /v1/tokens": "administer", "POST /v1/tokens": "administer", "DELETE /v1/tokens/{token}": "administer",
    "GET /v1/continuations": "look", "POST /v1/continuations": "steer", "GET /v1/continuations/{id}": "look",
    "GET /v1/continuations/{id}/why": "look", "GET /v1/continuations/{id}/budget": "look",
    "GET /v1/continuations/{id}/log": "look", "GET /v1/continuations/{id}/journal": "look",
    "GET /v1/continuations/{id}/timeline": "look", "GET /v1/continuations/{id}/tree": "look",
    "GET /v1/continuations/{id}/field": "look", "POST /v1/continuations/{id}/field/commands": "steer",
    "GET /v1/continuations/{id}/fork": "look", "POST /v1/continuations/{id}/fork": "steer",
    "POST /v1/continuations/{id}/kill": "steer", "POST /v1/continuations/{id}/stop": "steer",
    "POST /v1/continuations/{id}/cancel": "steer", "POST /v1/continuations/{id}/freeze": "steer",
    "POST /v1/continuations/{id}/pause": "steer", "POST /v1/continuations/{id}/thaw": "steer",
    "POST /v1/continuations/{id}/rebudget": "steer", "POST /v1/continuations/{id}/migrate": "steer",
    "POST /v1/continuations/{id}/wake": "steer", "POST /v1/continuations/{id}/send": "steer",
    "POST /v1/continuations/{id}/reply": "answer", "POST /v1/continuations/{id}/approve": "answer",
    "POST /v1/continuations/{id}/deny": "answer", "POST /v1/continuations/{id}/resume": "answer",
    "POST /v1/continuations/merge": "steer", "POST /v1/bulk": "steer",
    "POST /v1/freeze": "steer", "POST /v1/thaw": "steer",
    "GET /v1/waits": "look", "POST /v1/waits/{id}/answer": "answer",
    "POST /v1/waits/{id}/snooze": "answer", "POST /v1/waits/{id}/delegate": "answer",
    "GET /v1/continuations/{id}/answer": "look", "GET /v1/continuations/{id}/answer/stream": "look",
    "GET /v1/findings": "look", "PATCH /v1/findings/{id}": "steer",
    "GET /v1/costs": "look", "GET /v1/system": "look", "GET /v1/digest": "look", "POST /v1/digest/seen": "look",
    "GET /v1/sessions": "look", "GET /v1/sessions/{id}/messages": "look",
    "GET /v1/stream": "look", "GET /v1/continuations/{id}/stream": "look",
    "GET /v1/events": "look", "GET /v1/continuations/{id}/events": "look",
}  # fmt: skip
WHOLE = frozenset({"POST /v1/continuations", "POST /v1/freeze", "POST /v1/thaw", "GET /v1/costs", "POST /v1/tokens"})
"""What is about everything, or makes what would be: nothing for a token with a subtree."""
UNKNOWN_OF_ITS_OWN = frozenset({"DELETE /v1/tokens/{token}"})
"""Asked for what nobody has, whoever asks."""
NOBODY = "0" * 22 + "-0"
FILES = frozenset({"GET /", "GET /pane/{place:path}", "GET /assets/{name}"})
BODIES: Mapping[str, Any] = {
    "POST /v1/tokens": {"name": "n", "role": "viewer"}, "POST /v1/continuations": {"behaviour": "scout", "goal": "g"},
    "POST /v1/continuations/{id}/field/commands": {"commands": "find x"},
    "POST /v1/continuations/{id}/rebudget": {"budget": {"usd": "+0.01"}},
    "POST /v1/continuations/{id}/send": {"body": 1},
    "POST /v1/continuations/{id}/reply": {"text": "t"}, "POST /v1/continuations/{id}/resume": {"text": "t"},
    "POST /v1/continuations/{id}/approve": {"approval": "a"}, "POST /v1/continuations/{id}/deny": {"approval": "a"},
    "POST /v1/waits/{id}/answer": {"verb": "reply", "text": "t"},
    "POST /v1/waits/{id}/snooze": {"for_s": 60}, "POST /v1/waits/{id}/delegate": {"to": "somebody"},
    "PATCH /v1/findings/{id}": {"note": "n"},
    "POST /v1/digest/seen": {"cursor": "0-0"},
}  # fmt: skip


def application() -> FastAPI:
    return inner(Installation(MemoryBackend(), SEAL, PLENTY), Terms())


def routes(app: FastAPI) -> Iterator[tuple[str, APIRoute]]:
    """Every operation, as `METHOD path`."""
    for route in app.router.routes:
        for found in _flat(route):
            for method in found.methods or ():
                yield f"{method} {found.path}", found


def _flat(route: Any) -> Iterator[APIRoute]:
    if isinstance(route, APIRoute):
        yield route
    for inside in getattr(getattr(route, "original_router", None), "routes", ()):
        yield from _flat(inside)


def rights(dependant: Dependant) -> Iterator[Right]:
    """The rights that a route asks for."""
    if isinstance(dependant.call, May):
        yield dependant.call.right
    for below in dependant.dependencies:
        yield from rights(below)


def test_every_route_has_a_rule_and_asks_for_exactly_that_right() -> None:
    found = {name: sorted(set(rights(route.dependant))) for name, route in routes(application())}
    open_ = {name for name, asked in found.items() if not asked}
    assert {name.partition(" ")[2] for name in open_ - FILES} <= OPEN
    assert {name: asked for name, asked in found.items() if asked} == {name: [rule] for name, rule in RULES.items()}


@dataclass
class World:
    """An API with two families and a stranger's tenant."""

    here: House
    mine: str
    child: str
    theirs: str
    strange: str


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with house(MemoryBackend()) as here, house(MemoryBackend(tenant=TenantId("other"))) as there:
        mine = await here.swarm.stage.start(Scout, "mine")
        await here.moved()
        await here.swarm.publish()
        theirs = await here.swarm.stage.start(Reader, "theirs", input={"ask": "question"})
        await here.moved()
        (child,) = (await here.swarm.stage.checkpoint(mine)).children
        strange = await there.swarm.stage.start(Scout, "of another tenant")
        yield World(here, mine, child, theirs, strange)


def filled(name: str, cid: str) -> tuple[str, str]:
    """Method and path of an operation about `cid`."""
    method, _, path = name.partition(" ")
    place = {"/v1/waits/": f"{cid}~what", "/v1/findings/": f"{cid}:2:1"}
    id_ = next((text for prefix, text in place.items() if path.startswith(prefix)), cid)
    return method, path.replace("{id}", id_).replace("{token}", "token-0000000000")


def body_of(name: str, cid: str) -> Any:
    if name == "POST /v1/continuations/merge":
        return {"ids": [cid], "into": cid}
    if name == "POST /v1/bulk":
        return {"verb": "wake", "ids": [cid]}
    return BODIES.get(name)


async def status_of(client: httpx.AsyncClient, name: str, cid: str) -> int:
    """The status; 409 in place of a 404 that is about a node, of which none is there."""
    method, path = filled(name, cid)
    if path.endswith("/stream"):
        async with client.stream(method, path) as answer:
            return answer.status_code
    answer = await client.request(method, path, json=body_of(name, cid))
    return 409 if answer.status_code == 404 and answer.json()["field"] == "node" else answer.status_code


Whose = Literal["mine", "child", "theirs", "strange", "nobody's"]


WHOSE: tuple[Whose, ...] = ("mine", "child", "theirs", "strange", "nobody's")


def wanted(name: str, role: Role, inside: bool, whose: Whose) -> str:
    """What an asker of that role is told, with or without the subtree `mine`: `no`, `unknown` or `yes`."""
    if RULES[name] not in RIGHTS[role] or (inside and name in WHOLE):
        return "no"
    seen = whose in ("mine", "child") or (whose == "theirs" and not inside)
    return "yes" if seen and name not in UNKNOWN_OF_ITS_OWN else "unknown"


def heard(status: int) -> str:
    return {401: "no", 403: "no", 404: "unknown"}.get(status, "yes" if status < 500 else "down")


def is_about_one(name: str) -> bool:
    return "{id}" in name or name == "POST /v1/continuations/merge"


@pytest.mark.shows("8.5")
@pytest.mark.parametrize("role", RIGHTS)
async def test_each_operation_of_the_openapi_file_answers_each_role_and_owner_by_its_rule(
    world: World, role: Role
) -> None:
    told = (await _openapi(world))["paths"]
    operations = [f"{method.upper()} {path}" for path, at in told.items() for method in at]
    operations = [name for name in operations if name.partition(" ")[2] not in OPEN]
    assert set(operations) <= set(RULES), "a new operation needs a rule"
    ids: dict[Whose, str] = {
        "mine": world.mine, "child": world.child, "theirs": world.theirs, "strange": world.strange, "nobody's": NOBODY,
    }  # fmt: skip
    wrong, asked = [], 0
    for inside in (True, False):
        async with world.here.client(role, subtree=world.mine if inside else None) as client:
            for name in sorted(operations):
                for whose in WHOSE if is_about_one(name) else WHOSE[:1]:
                    if "/findings/" in name and (whose == "child" or (whose == "theirs" and not inside)):
                        continue  # these have found nothing
                    seen = heard(await status_of(client, name, ids[whose]))
                    asked += 1
                    if seen != wanted(name, role, inside, whose):
                        wrong.append((name, whose, "inside" if inside else "outside", seen))
    assert wrong == []
    assert asked > 300


async def test_nobody_is_known_without_a_token(world: World) -> None:
    async with world.here.client(None) as nobody:
        for name in RULES:
            assert await status_of(nobody, name, world.mine) == 401, name


async def _openapi(world: World) -> Any:
    async with world.here.client(None) as client:
        return (await client.get("/openapi.json")).json()


async def test_an_administrator_of_a_subtree_makes_sees_and_ends_tokens_of_it_alone(world: World) -> None:
    async with world.here.client("admin", subtree=world.mine) as mine, world.here.client("admin") as all_:
        place = "/v1/tokens"
        for subtree in (None, world.theirs):
            asked = {"name": "more", "role": "admin", "subtree": subtree}
            assert (await mine.post(place, json=asked)).status_code == 403, subtree
        for subtree in (world.mine, world.child):
            asked = {"name": "less", "role": "admin", "subtree": subtree}
            assert (await mine.post(place, json=asked)).status_code == 201, subtree
        seen = (await mine.get(place)).json()["items"]
        assert {one["subtree"] for one in seen} == {world.mine, world.child}
        strangers = [one["id"] for one in (await all_.get(place)).json()["items"] if one["subtree"] is None]
        assert strangers != []
        for id_ in strangers:
            assert (await mine.delete(f"{place}/{id_}")).status_code == 404
        assert (await all_.get("/v1/me")).status_code == 200
        own = next(one["id"] for one in seen if one["name"] == "less")
        assert (await mine.delete(f"{place}/{own}")).status_code == 204


async def test_lists_tell_of_ones_own_alone(world: World) -> None:
    others = await world.here.swarm.stage.start(Scout, "of another family")
    await world.here.moved()
    await world.here.swarm.publish()
    await world.here.moved()
    async with world.here.client("admin") as all_:
        found = (await all_.get("/v1/findings")).json()["items"]
        assert {one["continuation"] for one in found} == {world.mine, others}
        theirs = next(one["id"] for one in found if one["continuation"] == others)
    async with world.here.client("admin", subtree=world.mine) as mine:
        listed = {row["id"] for row in (await mine.get("/v1/continuations")).json()["items"]}
        assert listed == {world.mine, world.child}
        assert (await mine.get("/v1/continuations")).json()["total"] == 2
        assert (await mine.get("/v1/waits")).json()["items"] == []
        assert {one["continuation"] for one in (await mine.get("/v1/findings")).json()["items"]} == {world.mine}
        assert (await mine.patch(f"/v1/findings/{theirs}", json={"note": "n"})).status_code == 404
        assert {row["id"] for row in (await mine.get("/v1/sessions")).json()["items"]} == {world.mine}
        bulk = {"verb": "kill", "filter": {}, "dry_run": True}
        assert (await mine.post("/v1/bulk", json=bulk)).json()["count"] == 2
        one = {"verb": "wake", "ids": [world.theirs, world.mine]}
        told = (await mine.post("/v1/bulk", json=one)).json()["items"]
        assert [(item["ok"], (item["error"] or {}).get("code")) for item in told] == [
            (False, "not_found"),
            (True, None),
        ]


async def test_a_stream_tells_only_of_ones_own(world: World) -> None:
    async with world.here.client("viewer", subtree=world.mine) as mine:
        begun = (await mine.get("/v1/events")).json()["cursor"]
        await world.here.swarm.publish()
        await world.here.swarm.stage.start(Scout, "not mine")
        await world.here.moved()
        told = (await mine.get("/v1/events", params={"after": begun, "limit": 500})).json()["items"]
        assert {one["data"]["cid"] for one in told} >= {world.mine}
        family = {row["id"] for row in (await mine.get("/v1/continuations")).json()["items"]}
        assert {one["data"]["cid"] for one in told} <= family


async def test_a_browser_logs_in_once_by_its_link_and_needs_its_csrf(world: World) -> None:
    code = await world.here.doorkeeper.code()
    async with world.here.client(None) as browser, world.here.client(None) as thief:
        answer = await browser.get("/login", params={"code": code})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert code not in cookie
        assert (await thief.get("/login", params={"code": code})).status_code == 401
        me = (await browser.get("/v1/me")).json()
        assert (me["role"], me["name"]) == ("admin", "you")
        place = f"/v1/continuations/{world.mine}/wake"
        assert (await browser.post(place)).status_code == 403
        assert (await browser.post(place, headers={"x-maestro-csrf": "x"})).status_code == 403
        assert (await browser.post(place, headers={"x-maestro-csrf": me["csrf"]})).status_code == 200
        assert (await browser.post("/v1/logout", headers={"x-maestro-csrf": me["csrf"]})).status_code == 204
        stolen = {"cookie": cookie.partition(";")[0]}
        assert (await thief.get("/v1/me", headers=stolen)).status_code == 401


async def test_the_store_keeps_no_secret(world: World) -> None:
    text = await world.here.token("admin")
    code = await world.here.doorkeeper.code()
    async with world.here.client(None) as browser:
        cookie = (await browser.post("/v1/login", json={"code": code})).headers["set-cookie"]
    register = world.here.gate.at.backend.register
    kept = b"".join([*(await register.all("token")).values(), *(await register.all("session")).values()])
    for secret in (text.rpartition("_")[2], cookie.partition("=")[2].partition(";")[0]):
        assert secret.encode() not in kept
    assert text.partition("_")[2][:16].encode() in kept, "the looks were at the right place"
