"""What people do with what they are asked and told: a second pair of eyes, putting off, handing over, marking."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from maestro.adapters.memory.backend import MemoryBackend
from maestro.clock import ManualClock
from maestro.gateway import absence, eyes, inbox, tail
from maestro.gateway.access import Asker
from maestro.gateway.found import Discoveries
from maestro.gateway.problems import NotAllowed
from maestro.ids import DEFAULT_TENANT, ContinuationId
from tests.integration.api_support import House, emptied, house, one_redis
from tests.pane_stage import Reader, Scout

ASKING = {"behaviour": "reader", "goal": "ask", "input": {"ask": "approval", "title": "T"}}


@pytest.fixture
async def here() -> AsyncIterator[House]:
    async with house(MemoryBackend(clock=ManualClock()), four_eyes=("mail *",)) as made:
        yield made


async def asked(here: House, client: Any) -> tuple[str, dict[str, Any]]:
    """One that was started by `client` and asks for an approval; and what it asks."""
    cid = (await client.post("/v1/continuations", json=ASKING)).json()["id"]
    await here.moved()
    waits = (await client.get("/v1/waits")).json()["items"]
    return cid, next(one for one in waits if one["continuation"] == cid)


async def test_b30_who_set_it_going_does_not_approve_it_where_four_eyes_are_needed(here: House) -> None:
    async with here.client("admin") as first, here.client("approver") as second:
        cid, wait = await asked(here, first)
        word = {"approval": wait["id"].partition("~")[2]}
        for path, body in (
            (f"/v1/continuations/{cid}/approve", word),
            (f"/v1/waits/{wait['id']}/answer", {"verb": "approve", "edited": {"to": "me"}}),
            (f"/v1/continuations/{cid}/resume", {**word, "approved": True}),
        ):
            refused = await first.post(path, json=body)
            assert (refused.status_code, refused.json()["code"]) == (403, "forbidden"), path
            assert "four eyes" in refused.json()["message"]
        assert (await second.post(f"/v1/continuations/{cid}/approve", json=word)).status_code == 200
        await here.moved()
        assert (await first.get(f"/v1/continuations/{cid}")).json()["show"]["result"] == "decided"


async def test_b30_neither_does_who_forked_it_or_sent_it_something_but_all_may_deny(here: House) -> None:
    async with here.client("admin") as first, here.client("admin", name="other") as other:
        cid, _ = await asked(here, first)
        await other.post(f"/v1/continuations/{cid}/send", json={"body": "hurry"})
        made = (await other.post(f"/v1/continuations/{cid}/fork", json={})).json()["made"]
        await here.moved()
        for wait in (await first.get("/v1/waits")).json()["items"]:
            for client in (first, other):
                word = {"approval": wait["id"].partition("~")[2]}
                answer = await client.post(f"/v1/continuations/{wait['continuation']}/approve", json=word)
                assert answer.status_code == 403, wait["continuation"] in (cid, made)
        _, wait = await asked(here, first)
        assert (await first.post(f"/v1/waits/{wait['id']}/answer", json={"verb": "deny"})).status_code == 200


async def test_b30_of_many_who_set_it_going_at_once_none_approves_it() -> None:
    many = [Asker(f"t{n}", f"person {n}", "admin", DEFAULT_TENANT) for n in range(8)]
    with one_redis() as url:
        async with emptied(url) as backend, house(backend, four_eyes=("mail *",)) as here:
            async with here.client("admin") as client:
                cid, wait = await asked(here, client)
            await asyncio.gather(*(eyes.noted(here.gate, each, ContinuationId(cid)) for each in many))
            for each in many:
                with pytest.raises(NotAllowed, match=f"{each.name} has set this going"):
                    await eyes.check(here.gate, each, ContinuationId(cid), wait["id"].partition("~")[2])


async def test_b30_other_actions_and_families_started_elsewhere_need_no_second_pair(here: House) -> None:
    elsewhere = await here.swarm.stage.start(Reader, "ask", input={"ask": "approval"})
    await here.moved()
    async with here.client("admin") as client:
        (wait,) = (await client.get("/v1/waits")).json()["items"]
        assert (await client.post(f"/v1/waits/{wait['id']}/answer", json={"verb": "approve"})).status_code == 200
        here.gate.four_eyes = ("transfer *",)
        _, wait = await asked(here, client)
        assert wait["continuation"] != elsewhere
        assert (await client.post(f"/v1/waits/{wait['id']}/answer", json={"verb": "approve"})).status_code == 200


async def test_a_wait_that_was_put_off_is_back_in_time_and_times_out_all_the_same(here: House) -> None:
    async with here.client("approver") as client, here.client("admin") as other:
        _, wait = await asked(here, other)
        place, now_ms = f"/v1/waits/{wait['id']}/snooze", await here.gate.at.backend.clock.now_ms()
        beyond = (wait["until_ms"] - now_ms) // 1000 + 1
        refused = await client.post(place, json={"for_s": beyond})
        assert (refused.status_code, refused.json()["field"]) == (422, "for_s")
        item = (await client.post(place, json={"for_s": 600})).json()
        assert (item["snoozed_until_ms"], item["until_ms"]) == (now_ms + 600_000, wait["until_ms"])
        told = (await client.get("/v1/waits")).json()
        assert (told["items"], told["total"], told["snoozed"]) == ([], 0, 1)
        shown = (await client.get("/v1/waits", params={"snoozed": True})).json()["items"]
        assert [one["id"] for one in shown] == [wait["id"]]
        assert len((await other.get("/v1/waits")).json()["items"]) == 1, "it was put off by one"
        await here.swarm.stage.advance(600_001)
        assert [one["id"] for one in (await client.get("/v1/waits")).json()["items"]] == [wait["id"]]
        assert (await client.post("/v1/waits/x~y/snooze", json={"for_s": 600})).status_code == 422


async def test_a_wait_is_handed_over_by_name_and_whoever_may_answer_still_may(here: House) -> None:
    async with here.client("approver") as client, here.client("admin") as other:
        _, wait = await asked(here, other)
        given = {"to": "ada", "words": "you know the authors"}
        item = (await client.post(f"/v1/waits/{wait['id']}/delegate", json=given)).json()
        assert (item["delegated_to"], item["delegated_by"], item["words"]) == ("ada", "approver", given["words"])
        (seen,) = (await other.get("/v1/waits")).json()["items"]
        assert (seen["delegated_to"], seen["binding"]) == ("ada", wait["binding"])
        assert (await client.post(f"/v1/waits/{wait['id']}/answer", json={"verb": "approve"})).status_code == 200
        await here.moved()
        gone = await client.post(f"/v1/waits/{wait['id']}/delegate", json=given)
        assert (gone.status_code, gone.json()["code"]) == (409, "changed")


async def test_a_mark_that_says_nothing_is_refused_by_name_and_an_id_that_is_none_is_not_found(here: House) -> None:
    await here.swarm.stage.start(Scout, "find")
    await here.moved()
    await here.swarm.publish()
    await here.moved()
    async with here.client("operator") as client:
        (one,) = (await client.get("/v1/findings")).json()["items"]
        nothing = await client.patch(f"/v1/findings/{one['id']}", json={})
        assert (nothing.status_code, nothing.json()["field"]) == (422, "body")
        assert "status" in nothing.json()["hint"]
        wrong = await client.patch(f"/v1/findings/{one['id']}", json={"place": 1e300})
        assert (wrong.status_code, wrong.json()["field"]) == (422, "place")
        for id_ in ("x", f"{one['id']}9", f"{one['continuation']}:1:99", "0" * 22 + "-0:1:1", "a:b:c"):
            gone = await client.patch(f"/v1/findings/{id_}", json={"note": "n"})
            assert (gone.status_code, gone.json()["code"]) == (404, "not_found"), id_


async def test_pages_of_the_notebook_hold_every_finding_once_whatever_is_found_meanwhile(here: House) -> None:
    await here.swarm.stage.start(Scout, "find")
    await here.moved()
    async with here.client("operator") as client:
        for _ in range(7):
            await here.swarm.publish()
            await here.moved()
            await here.swarm.stage.advance(10)
        first = (await client.get("/v1/findings")).json()
        assert (first["total"], first["next_cursor"]) == (7, None)
        await client.patch(f"/v1/findings/{first['items'][0]['id']}", json={"place": 5})
        wanted = [one["id"] for one in (await client.get("/v1/findings")).json()["items"]]
        assert wanted == [one["id"] for one in [*first["items"][1:], first["items"][0]]]
        seen, cursor = [], None
        while True:
            page: dict[str, Any] = {"limit": 2} | ({} if cursor is None else {"cursor": cursor})
            told = (await client.get("/v1/findings", params=page)).json()
            seen += [one["id"] for one in told["items"]]
            cursor = told["next_cursor"]
            if cursor is None:
                break
            await here.swarm.publish()
            await here.moved()
            await here.swarm.stage.advance(10)
        assert seen == wanted


async def test_what_is_found_while_a_family_is_read_is_read_again(here: House) -> None:
    cid = await here.swarm.stage.start(Scout, "find")
    await here.moved()
    await here.swarm.publish()
    await here.moved()
    found = Discoveries(here.gate.at, here.gate.directory)
    assert len(list(await found.all())) == 1
    await here.swarm.publish()
    await here.swarm.stage.settle()
    assert len(list(await found.all())) == 1, "nobody has told it yet"
    found.heard({"type": "committed", "cid": cid, "root": cid, "directives": ["report"]})
    assert len(list(await found.all())) == 2
    found.heard({"type": "committed", "cid": cid, "root": cid, "directives": []})
    assert found._stale == set()


async def test_a_digest_reads_no_more_than_its_bound_and_says_that_it_is_not_whole(
    here: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "REMEMBERED", 5)
    async with here.client("viewer") as client:
        for number in range(20):
            await here.swarm.stage.start(Scout, f"goal {number}")
        await here.moved()
        whole = (await client.get("/v1/digest")).json()
        assert (whole["whole"], whole["born"], whole["ticks"]) == (True, 20, 20)
        monkeypatch.setattr(absence, "READ", 10)
        monkeypatch.setattr(absence, "BATCH", 5)
        part = (await client.get("/v1/digest")).json()
        assert not part["whole"]
        assert 0 < part["born"] + part["ticks"] <= 15
        assert part["cursor"] == whole["cursor"]


def test_what_is_asked_is_ordered_by_its_timeout_without_making_an_item_of_it() -> None:
    row = {"id": "c", "hold": None, "behaviour": "b", "reason": "", "since_ms": 7, "asked": [
        {"type": "user_reply", "question_id": "late", "expires_at_ms": 9},
        {"type": "user_reply", "question_id": "never"},
        {"type": "budget", "resource": "usd", "expires_at_ms": 3},
        {"type": "unheard of"},
    ]}  # fmt: skip
    found = sorted(inbox.asked_in(orjson.loads(orjson.dumps(row))), key=lambda one: one.order)
    assert [one.id for one in found] == ["c~usd", "c~late", "c~never", "c~unheard of"]
    assert [one.kind for one in found] == ["budget", "question", "question", "disagreement"]
    assert {one.cid for one in found} == {ContinuationId("c")}


async def test_a_held_one_is_in_the_inbox_and_is_let_go_from_there(here: House) -> None:
    cid = await here.swarm.stage.start("gone", "a behaviour that is not here")
    await here.moved()
    async with here.client("admin") as client:
        (wait,) = (await client.get("/v1/waits", params={"kind": "held"})).json()["items"]
        told = wait["continuation"], wait["verbs"], wait["until_ms"], wait["then"]
        assert told == (cid, ["thaw", "kill"], None, "")
        assert wait["question"] != ""
        assert (await client.post(f"/v1/waits/{wait['id']}/answer", json={"verb": "kill"})).status_code == 200
        await here.moved()
        assert (await client.get("/v1/waits")).json()["items"] == []
