"""The API end to end: real uvicorn, real httpx, a real store of each adapter; what people do with it."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from maestro.budget.vector import Budget
from maestro.tools.room import RoomLimits
from tests.integration.api_support import House, emptied, eventually, house, one_redis
from tests.pane_stage import Reader, Scout


@pytest.fixture(scope="module")
def one_url() -> Iterator[str]:
    with one_redis() as url:
        yield url


@pytest.fixture(params=["memory", "redis"])
async def here(request: pytest.FixtureRequest) -> AsyncIterator[House]:
    """An API over an empty store."""
    url = request.getfixturevalue("one_url") if request.param == "redis" else None
    async with emptied(url, 2) as backend, house(backend) as made:
        yield made


async def test_a_continuation_is_started_seen_steered_and_ended(here: House) -> None:
    async with here.client("operator") as client:
        asked = {"behaviour": "scout", "goal": "read what is new", "budget": {"usd": "1.50"}, "name": "mine"}
        made = (await client.post("/v1/continuations", json=asked)).json()
        await here.moved()
        cid = made["id"]
        row = (await client.get("/v1/continuations")).json()["items"][0]
        assert (row["id"], row["name"], row["group"], row["usd"]["granted"]) == (cid, "mine", "sleeping", 1_500_000)
        assert (await client.get(f"/v1/continuations/{cid}")).json()["show"]["rev"] == 1
        assert "new papers" in (await client.get(f"/v1/continuations/{cid}/why")).json()["why"]
        more = await client.post(f"/v1/continuations/{cid}/rebudget", json={"budget": {"usd": "+0.50"}})
        assert more.json()["resources"]["usd"]["granted"] == 2_000_000
        forked = (await client.post(f"/v1/continuations/{cid}/fork", json={"share": 0.25})).json()
        assert forked["made"] != cid
        assert (await client.get(f"/v1/continuations/{cid}/budget")).json()["resources"]["usd"]["lent"] == 0
        await client.post(f"/v1/continuations/{cid}/freeze", json={"reason": "lunch"})
        assert "lunch" in (await client.get(f"/v1/continuations/{cid}/why")).json()["why"]
        await client.post(f"/v1/continuations/{cid}/thaw")
        assert (await client.post(f"/v1/continuations/{cid}/kill")).status_code == 200
        await here.moved()
        listed = (await client.get("/v1/continuations", params={"group": "finished"})).json()
        assert [(one["id"], one["status"]) for one in listed["items"]] == [(cid, "cancelled")]
        assert listed["counts"]["finished"] == 1
        assert (await client.post(f"/v1/continuations/{cid}/cancel")).status_code == 200  # B25


async def test_pages_hold_every_row_once_whatever_moves_meanwhile(here: House) -> None:
    for number in range(25):
        await here.swarm.stage.start(Scout, f"goal {number}")
    await here.moved()
    async with here.client("viewer") as client:
        seen: list[str] = []
        cursor = None
        while True:
            asked: dict[str, Any] = {"limit": 7, "sort": "created", "order": "asc"}
            page = (await client.get("/v1/continuations", params=asked | ({"cursor": cursor} if cursor else {}))).json()
            seen += [row["id"] for row in page["items"]]
            assert page["total"] >= 25
            cursor = page["next_cursor"]
            if cursor is None:
                break
            await here.swarm.stage.start(Scout, "one more")
            await here.moved()
    assert len(seen) == len(set(seen)) >= 25


async def test_filters_are_literal_and_counted(here: House) -> None:
    for goal in ("100% of .* papers", "nothing special", "*"):
        await here.swarm.stage.start(Scout, goal)
    await here.moved()
    async with here.client("viewer") as client:
        found = (await client.get("/v1/continuations", params={"q": ".*"})).json()
        assert [row["goal"] for row in found["items"]] == ["100% of .* papers"]
        assert (found["total"], found["counts"]["sleeping"]) == (1, 1)
        assert (await client.get("/v1/continuations", params={"q": "*"})).json()["total"] == 2


async def test_the_inbox_tells_what_happens_and_one_answer_counts(here: House) -> None:
    asked = await here.swarm.stage.start(Reader, "ask", input={"ask": "approval", "title": "T"})
    await here.moved()
    async with here.client("approver") as client, here.client("approver") as other:
        (wait,) = (await client.get("/v1/waits")).json()["items"]
        told = wait["kind"], wait["action"], wait["then"], wait["on_timeout"], wait["verbs"][:2]
        assert told == ("approval", "mail the authors", "it counts as denied", "deny", ["approve", "deny"])
        word = {"verb": "approve", "binding": wait["binding"]}
        first = await client.post(f"/v1/waits/{wait['id']}/answer", json=word)
        second = await other.post(f"/v1/waits/{wait['id']}/answer", json={"verb": "deny"})
        assert (first.status_code, second.status_code) == (200, 409)
        await here.moved()
        assert (await client.get("/v1/waits")).json()["items"] == []
        assert (await client.get(f"/v1/continuations/{asked}")).json()["show"]["result"] == "decided"
        (finding,) = (await client.get("/v1/findings")).json()["items"]
        assert (finding["continuation"], finding["confidence"], finding["status"]) == (asked, 0.9, "new")


async def test_a_question_is_answered_and_the_answer_is_part_of_the_session(here: House) -> None:
    asked = await here.swarm.stage.start(Reader, "ask", input={"ask": "question"})
    await here.moved()
    async with here.client("approver") as client:
        said = (await client.get(f"/v1/sessions/{asked}/messages")).json()["items"]
        assert [(one["kind"], one["state"]) for one in said] == [("question", "open")]
        assert (await client.post(f"/v1/continuations/{asked}/reply", json={"text": "yes"})).status_code == 200
        await here.moved()
        said = (await client.get(f"/v1/sessions/{asked}/messages")).json()["items"]
        assert [one["kind"] for one in said] == ["question", "reply", "result"]


async def test_a_finding_is_marked_ordered_and_annotated_and_stays_what_it_was(here: House) -> None:
    await here.swarm.stage.start(Scout, "find", budget=Budget(usd="1"))
    await here.moved()
    for _ in range(3):
        await here.swarm.publish()
    await here.moved()
    async with here.client("operator") as client:
        items = (await client.get("/v1/findings")).json()["items"]
        assert len(items) == 3
        mark = {"status": "rejected", "note": "seen before", "place": 1.5}
        marked = (await client.patch(f"/v1/findings/{items[1]['id']}", json=mark)).json()
        assert {name: marked[name] for name in mark} == mark
        assert marked["marked_by"] == "operator"
        again = (await client.get("/v1/findings")).json()["items"]
        assert [one["id"] for one in again] == [items[0]["id"], items[2]["id"], items[1]["id"]]
        assert {**again[2], **{k: items[1][k] for k in (*mark, "marked_by")}} == items[1]
        found = (await client.get("/v1/findings", params={"status": "rejected", "q": "SEEN"})).json()
        assert (found["total"], found["items"][0]["id"]) == (1, items[1]["id"])


async def test_bulk_says_how_many_and_what_is_lost_and_then_a_result_for_each(here: House) -> None:
    for number in range(12):
        await here.swarm.stage.start(Scout, f"herd {number}", budget=Budget(usd="1"))
    odd = await here.swarm.stage.start(Scout, "not of the herd")
    await here.moved()
    async with here.client("operator") as client:
        ask = {"verb": "kill", "filter": {"q": "herd "}, "dry_run": True}
        dry = (await client.post("/v1/bulk", json=ask)).json()
        assert (dry["count"], dry["ok"], dry["loses"]["alive"], dry["loses"]["free_usd_micros"]) == (
            12,
            0,
            12,
            12_000_000,
        )
        refused = await client.post("/v1/bulk", json=ask | {"dry_run": False})
        assert (refused.status_code, refused.json()["field"]) == (409, "expect")
        wrong = await client.post("/v1/bulk", json=ask | {"dry_run": False, "expect": 11})
        assert wrong.json()["code"] == "changed"
        done = (await client.post("/v1/bulk", json=ask | {"dry_run": False, "expect": 12})).json()
        assert (done["ok"], done["failed"], len(done["items"])) == (12, 0, 12)
        await here.moved()
        left = (await client.get("/v1/continuations", params={"group": "sleeping"})).json()["items"]
        assert [row["id"] for row in left] == [odd]
        ids = [odd, "0" * 22 + "-0"]
        mixed = (await client.post("/v1/bulk", json={"verb": "freeze", "ids": ids})).json()
        assert [(one["ok"], (one["error"] or {}).get("code")) for one in mixed["items"]] == [
            (True, None),
            (False, "not_found"),
        ]


async def test_a_person_edits_a_field_and_it_is_shown_so_from_the_next_tick_on(here: House) -> None:
    cid = await here.swarm.stage.start(Scout, "small models that plan", budget=Budget(usd="1"))
    await here.moved()
    for number, title in enumerate(("Planning with small models", "Small models plan")):
        await here.swarm.stage.publish("feed.papers", f"paper-{number}", {"title": title, "summary": title})
    await here.moved()
    rev = (await here.swarm.stage.checkpoint(cid)).turns
    async with here.client("operator") as client:
        rows = (await client.get(f"/v1/continuations/{cid}/field")).json()["items"]
        last = rows[-1]["id"]
        place = f"/v1/continuations/{cid}/field/commands"
        done = await client.post(place, json={"commands": f"pin {last}"})
        assert done.json() == {"id": cid, "changed": [last]}
        await here.moved()
        rows = (await client.get(f"/v1/continuations/{cid}/field")).json()["items"]
        assert (rows[0]["id"], rows[0]["state"]) == (last, "pinned")
        assert (await here.swarm.stage.checkpoint(cid)).turns == rev, "no code of it ran"
        assert (await client.post(place, json={"commands": "pin #nobody"})).status_code == 404
        assert (await client.post(place, json={"commands": "dance"})).status_code == 422
    await here.swarm.stage.audit()


@pytest.mark.spec("06.9")
async def test_the_digest_of_an_absence_is_complete_and_begins_where_one_said_seen(here: House) -> None:
    failing = await here.swarm.stage.start(Reader, "fail", input={"ask": "fail"})
    await here.swarm.stage.start(Scout, "find", budget=Budget(usd="1"))
    await here.swarm.stage.start(Reader, "ask", input={"ask": "question"})
    await here.moved()
    await here.swarm.publish()
    await here.moved()
    async with here.client("viewer") as client:
        told = (await client.get("/v1/digest")).json()
        assert [one["id"] for one in told["failures"]] == [failing]
        assert (len(told["findings"]), len(told["waits"]), told["born"], told["whole"]) == (1, 1, 4, True)
        assert told["spent_usd_micros"] == (await client.get("/v1/continuations")).json()["spent_usd_micros"]
        assert (await client.post("/v1/digest/seen", json={"cursor": told["cursor"]})).status_code == 204
        after = (await client.get("/v1/digest")).json()
        assert (after["findings"], after["failures"], after["ticks"]) == ([], [], 0)


async def test_timeline_log_tree_and_fork_cost(here: House) -> None:
    cid = await here.swarm.stage.start(Scout, "read", budget=Budget(usd="1"))
    await here.moved()
    await here.swarm.publish()
    await here.moved()
    async with here.client("viewer") as client:
        ticks = (await client.get(f"/v1/continuations/{cid}/timeline")).json()
        assert [tick["rev"] for tick in ticks["items"]] == list(range(ticks["last_rev"], 0, -1))
        thought = next(tick for tick in ticks["items"] if tick["calls"])
        assert (thought["woken_by"], thought["calls"][0]["usd_micros"]) == ("event", 35)
        log = (await client.get(f"/v1/continuations/{cid}/log", params={"limit": 1})).json()
        assert (log["items"][0]["rev"], log["next_after"]) == (1, 1)
        tree = (await client.get(f"/v1/continuations/{cid}/tree")).json()
        assert [(one["depth"], one["row"]["behaviour"]) for one in tree["items"]] == [(0, "scout"), (1, "reader")]
        cost = (await client.get(f"/v1/continuations/{cid}/fork", params={"at": 1, "share": 0.5})).json()
        free = (await client.get(f"/v1/continuations/{cid}/budget")).json()["resources"]["usd"]["free"]
        assert (cost["grant"]["usd"], cost["left"]["usd"]) == (free // 2, free - free // 2)


async def test_the_brake_is_seen_by_everybody(here: House) -> None:
    await here.swarm.stage.start(Scout, "run")
    await here.moved()
    async with here.client("admin") as client:
        await client.post("/v1/freeze", json={"reason": "fire"})
        assert (await client.get("/v1/system")).json()["frozen"]
        (row,) = (await client.get("/v1/continuations")).json()["items"]
        assert "fire" in (await client.get(f"/v1/continuations/{row['id']}/why")).json()["why"]
        await client.post("/v1/thaw")
        assert not (await client.get("/v1/system")).json()["frozen"]


async def test_the_brake_is_told_where_there_is_nobody_to_stop(here: House) -> None:
    async with here.client("admin") as client:
        assert not (await client.get("/v1/system")).json()["frozen"]
        await client.post("/v1/freeze", json={"reason": "fire"})
        assert (await client.get("/v1/system")).json()["frozen"]
        await client.post("/v1/thaw")
        assert not (await client.get("/v1/system")).json()["frozen"]


async def test_the_system_tells_what_became_of_events_and_what_is_kept_of_artifacts(here: House) -> None:
    at = here.swarm.stage.at
    cid = await here.swarm.stage.start(Scout, "run")
    await here.moved()
    await at.backend.room.take(cid, "a" * 64, 70, RoomLimits(1 << 20, 1 << 20))
    async with here.client("viewer") as client:
        told = (await client.get("/v1/system")).json()
    assert told["artifacts"] == {"bytes": 70, "artifacts": 1}
    mesh = told["mesh"]
    assert mesh["matched"] == sum(mesh[what] for what in ("applied", "fielded", "pending", "dead", "expired"))


async def test_health_readiness_and_metrics_ask_nobody(here: House) -> None:
    async with here.client(None) as client:
        assert (await client.get("/healthz")).json() == {"ok": True, "detail": ""}
        assert (await client.get("/readyz")).status_code == 200
        assert "maestro_api_complete 1" in (await client.get("/metrics")).text
    await eventually(lambda: here.gate.directory.complete)
