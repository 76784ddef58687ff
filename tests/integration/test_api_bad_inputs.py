"""PROMISES B1 to B36 at the door of the API: each bad input has its answer, and none of them changed anything."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from maestro.adapters.memory.backend import MemoryBackend
from maestro.clock import ManualClock
from maestro.gateway.pace import Pace
from maestro.ids import TenantId
from tests.integration.api_support import House, house
from tests.pane_stage import Reader, Scout

JSON = {"content-type": "application/json"}
START = {"behaviour": "scout", "goal": "read"}
NOBODY = "0" * 22 + "-0"


@pytest.fixture
async def here() -> AsyncIterator[House]:
    async with house(MemoryBackend()) as made:
        yield made


@pytest.fixture
async def client(here: House) -> AsyncIterator[httpx.AsyncClient]:
    """An administrator."""
    async with here.client("admin") as made:
        yield made


def told(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal, which has the one shape."""
    problem = answer.json()
    assert set(problem) == {"code", "message", "field", "hint", "request_id"}, problem
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert "Traceback" not in answer.text
    return answer.status_code, problem["code"]


async def started(client: httpx.AsyncClient, **more: Any) -> tuple[int, str]:
    return told(await client.post("/v1/continuations", json=START | more))


async def test_b1_a_body_that_is_no_json(client: httpx.AsyncClient) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    for body, headers, status in (
        (b"{", JSON, 400), (b"", JSON, 400), (b"\xff\xfe", JSON, 400), (b"nonsense", JSON, 400),
        (b"behaviour=scout", form, 415), (b"{}", {}, 415),
    ):  # fmt: skip
        answer = await client.post("/v1/continuations", content=body, headers=headers)
        assert told(answer)[0] == status, body


async def test_b2_deep_nesting(client: httpx.AsyncClient) -> None:
    for body in (b"[" * 10_000 + b"]" * 10_000, b'{"input":' + b"[" * 70 + b"]" * 70 + b"}"):
        assert told(await client.post("/v1/continuations", content=body, headers=JSON)) == (400, "malformed")


async def test_b3_a_body_without_end(client: httpx.AsyncClient) -> None:
    large = b'{"goal": "' + b"x" * 1_100_000 + b'"}'
    assert told(await client.post("/v1/continuations", content=large, headers=JSON)) == (413, "too_large")

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 50_000

    try:
        answer = await client.post("/v1/continuations", content=chunks(), headers=JSON)
    except (httpx.WriteError, httpx.ReadError):
        return  # the server has hung up before the last chunk: refused all the same
    assert told(answer) == (413, "too_large")


async def test_b4_an_encoded_body(client: httpx.AsyncClient) -> None:
    bomb = gzip.compress(b" " * 10_000_000)
    answer = await client.post("/v1/continuations", content=bomb, headers=JSON | {"content-encoding": "gzip"})
    assert told(answer) == (415, "unsupported_media_type")


async def test_b5_a_key_twice(client: httpx.AsyncClient) -> None:
    body = b'{"behaviour": "scout", "goal": "a", "goal": "b"}'
    assert told(await client.post("/v1/continuations", content=body, headers=JSON)) == (400, "malformed")


async def test_b6_unknown_fields_are_named(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/continuations", json=START | {"colour": "red"})
    assert told(answer) == (422, "invalid_input")
    assert answer.json()["field"] == "colour"
    assert told(await client.get("/v1/continuations", params={"colour": "red"})) == (422, "invalid_input")


AMOUNTS = (
    "NaN", "Infinity", "-Infinity", "1e309", "0.1", "10", "true", "null", '"0.1234567"', '"1e3"', '"10.00.1"', '"-1"',
    '"99999999999999999999"', '"9007199254740993"', '""', "9223372036854775808", "[1]",
)  # fmt: skip


async def test_b7_b9_b10_b11_budgets_that_are_none(client: httpx.AsyncClient) -> None:
    for amount in AMOUNTS:
        for budget in (f'{{"usd": {amount}}}', amount):
            body = f'{{"behaviour": "scout", "goal": "read", "budget": {budget}}}'
            answer = await client.post("/v1/continuations", content=body.encode(), headers=JSON)
            assert told(answer) == (422, "invalid_input"), budget


async def test_b8_less_than_is_spent(here: House, client: httpx.AsyncClient) -> None:
    cid = await here.swarm.stage.start(Reader, "think", input={"ask": "question"})
    await here.moved()
    answer = await client.post(f"/v1/continuations/{cid}/rebudget", json={"budget": {"usd": "0.000001"}})
    assert told(answer) == (409, "budget_exceeded")
    assert "spent" in answer.json()["message"] or "free" in answer.json()["message"]
    assert (await client.get(f"/v1/continuations/{cid}/budget")).json()["resources"]["usd"]["granted"] == 50_000_000


async def test_b12_unknown_resources_list_the_known(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/continuations", json=START | {"budget": {"gpt-9": "3"}})
    assert told(answer) == (422, "invalid_input")
    assert "expensive_model_calls" in answer.json()["hint"]


async def test_b13_goals_that_are_none(client: httpx.AsyncClient) -> None:
    for goal in ("", "   ", "x" * 10_001, "a\x00b", 7, None):
        assert await started(client, goal=goal) == (422, "invalid_input"), goal


NAMES = ("sc\u043eut", "a\u202eb", "e\u0301", "\U0001f600", "a b", "../x", "a/b", "{x}", "*", "x" * 65, "")


async def test_b14_b15_names_that_are_none(client: httpx.AsyncClient) -> None:
    for name in NAMES:
        assert await started(client, name=name) == (422, "invalid_input"), name
        assert await started(client, behaviour=name) == (422, "invalid_input"), name


IDS = ("..%2Fx", "a%2Fb", "%7Bx%7D", "*", "%20", "x" * 5_000, "0" * 22 + "-zzzz", "%00", "%F0%9F%98%80")


async def test_b15_ids_that_are_none(client: httpx.AsyncClient) -> None:
    for id_ in IDS:
        for path in (f"/v1/continuations/{id_}", f"/v1/continuations/{id_}/field"):
            assert told(await client.get(path))[0] in (404, 422), path
        assert told(await client.post(f"/v1/continuations/{id_}/kill"))[0] in (404, 422), id_


async def test_b16_an_id_of_another_tenant_is_answered_as_one_that_nobody_has(here: House) -> None:
    async with house(MemoryBackend(tenant=TenantId("other"))) as there, here.client("admin") as client:
        theirs = await there.swarm.stage.start(Scout, "secret")
        answers = [await client.get(f"/v1/continuations/{cid}") for cid in (theirs, NOBODY)]
        assert [told(answer) for answer in answers] == [(404, "not_found")] * 2
        alike = [answer.json()["message"].replace(theirs, NOBODY) for answer in answers]
        assert alike[0] == alike[1]
        token = await there.token("admin")
        assert told(await client.get("/v1/me", headers={"authorization": f"Bearer {token}"})) == (401, "unauthorized")


async def test_b17_tokens_that_are_none(here: House) -> None:
    good = await here.token("viewer")
    short = await here.token("viewer", expires_in_s=2)
    shown = [
        "",
        "Bearer",
        "Bearer x",
        f"Basic {good}",
        f"Bearer {good}x",
        f"Bearer {good[:-1]}",
        "Bearer maestro_token-",
    ]
    async with here.client(None) as client:
        assert told(await client.get("/v1/me")) == (401, "unauthorized")
        for text in shown:
            answer = await client.get("/v1/me", headers={"authorization": text})
            assert told(answer) == (401, "unauthorized"), text
            assert answer.headers["www-authenticate"] == "Bearer"
        for name in ("token", "access_token", "Authorization"):
            assert told(await client.get("/v1/me", params={name: good})) == (401, "unauthorized")
        headers = {"authorization": f"Bearer {short}"}
        while (await client.get("/v1/me", headers=headers)).status_code == 200:  # noqa: ASYNC110 - real time passes
            await asyncio.sleep(0.05)
        assert told(await client.get("/v1/me", headers=headers)) == (401, "unauthorized")


async def test_b18_a_token_with_the_header_of_another_tenant(client: httpx.AsyncClient) -> None:
    assert told(await client.get("/v1/me", headers={"x-maestro-tenant": "other"})) == (403, "forbidden")
    assert (await client.get("/v1/me", headers={"x-maestro-tenant": "default"})).status_code == 200


async def test_b19_a_revoked_token_ends_its_open_stream(here: House, client: httpx.AsyncClient) -> None:
    text = await here.token("viewer")
    headers = {"authorization": f"Bearer {text}"}
    async with client.stream("GET", "/v1/stream", headers=headers) as answer:
        lines = answer.aiter_lines()
        assert await anext(lines) == "event: hello"
        id_ = (await client.get("/v1/me", headers=headers)).json()["id"]
        assert (await client.delete(f"/v1/tokens/{id_}")).status_code == 204
        rest = [line async for line in lines]
    assert any('"reason":"revoked"' in line for line in rest)
    assert told(await client.get("/v1/me", headers=headers)) == (401, "unauthorized")


async def test_b20_a_viewer_changes_nothing(here: House) -> None:
    cid = await here.swarm.stage.start(Reader, "ask", input={"ask": "approval"})
    await here.moved()
    async with here.client("viewer") as viewer:
        for verb, body in (
            ("kill", {}), ("rebudget", {"budget": {"usd": "+1"}}), ("approve", {"approval": "approval-0"}),
        ):  # fmt: skip
            answer = await viewer.post(f"/v1/continuations/{cid}/{verb}", json=body)
            assert told(answer) == (403, "forbidden"), verb
        row = (await viewer.get(f"/v1/continuations/{cid}")).json()["row"]
    assert (row["group"], row["usd"]["granted"]) == ("waiting_on_you", 50_000_000)


async def test_b21_b24_merges_that_cannot_be(here: House, client: httpx.AsyncClient) -> None:
    parent = await here.swarm.stage.start(Scout, "parent")
    other = await here.swarm.stage.start(Reader, "another behaviour", input={"ask": "question"})
    await here.moved()
    await here.swarm.publish()
    await here.moved()
    for ids, into in (([parent], parent), ([other], parent), ([NOBODY], parent), ([parent], NOBODY)):
        answer = await client.post("/v1/continuations/merge", json={"ids": ids, "into": into})
        assert told(answer)[0] in (404, 409), (ids, into)
    assert (await client.get(f"/v1/continuations/{parent}")).json()["row"]["status"] == "pending"


async def test_b22_b23_forks(here: House, client: httpx.AsyncClient) -> None:
    done = await here.swarm.stage.start(Reader, "finish", input={"ask": "finish"})
    await here.moved()
    place = f"/v1/continuations/{done}/fork"
    assert told(await client.post(place, json={"at": 99}))[0] == 422
    assert told(await client.post(place, json={"at": -1}))[0] == 422
    assert told(await client.post(place, json={"share": 1.5}))[0] == 422
    assert (await client.post(place, json={"at": 0})).status_code == 200, "of one that has ended, from its log"


async def test_b25_ended_twice_is_ended_once(here: House, client: httpx.AsyncClient) -> None:
    cid = await here.swarm.stage.start(Scout, "end")
    await here.moved()
    for _ in range(2):
        assert (await client.post(f"/v1/continuations/{cid}/cancel")).status_code == 200
        await here.moved()
    rev = (await client.get(f"/v1/continuations/{cid}")).json()["row"]["rev"]
    assert (await client.post(f"/v1/continuations/{cid}/kill")).status_code == 200
    await here.moved()
    assert (await client.get(f"/v1/continuations/{cid}")).json()["row"]["rev"] == rev


async def test_b26_a_key_is_for_one_request(here: House, client: httpx.AsyncClient) -> None:
    key = {"idempotency-key": "the-same"}
    first = await client.post("/v1/continuations", json=START, headers=key)
    again = await client.post("/v1/continuations", json=START, headers=key)
    assert (first.status_code, again.status_code, first.json()) == (201, 201, again.json())
    assert again.headers["idempotency-replayed"] == "true"
    other = await client.post("/v1/continuations", json=START | {"goal": "else"}, headers=key)
    assert told(other) == (409, "conflict")
    both = [client.post("/v1/continuations", json=START, headers={"idempotency-key": "two"}) for _ in range(5)]
    answers = await asyncio.gather(*both)
    made = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    assert len(made) == 1
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len(await here.swarm.stage.all()) == 2
    assert told(await client.post("/v1/continuations", json=START, headers={"idempotency-key": "x" * 201}))[0] == 422


async def test_b27_of_two_words_one_counts(here: House, client: httpx.AsyncClient) -> None:
    cid = await here.swarm.stage.start(Reader, "ask", input={"ask": "approval"})
    await here.moved()
    (wait,) = (await client.get("/v1/waits")).json()["items"]
    word = {"approval": wait["id"].partition("~")[2]}
    both = [client.post(f"/v1/continuations/{cid}/{verb}", json=word) for verb in ("approve", "deny")]
    assert sorted(answer.status_code for answer in await asyncio.gather(*both)) == [200, 409]


async def test_b28_a_word_that_comes_too_late_does_nothing() -> None:
    async with house(MemoryBackend(clock=ManualClock())) as here:
        cid = await here.swarm.stage.start(Reader, "ask", input={"ask": "approval"})
        await here.moved()
        async with here.client("approver") as client:
            (wait,) = (await client.get("/v1/waits")).json()["items"]
            await here.swarm.stage.advance(wait["until_ms"] - await here.gate.at.backend.clock.now_ms() + 1)
            word = {"approval": wait["id"].partition("~")[2]}
            answer = await client.post(f"/v1/continuations/{cid}/approve", json=word)
            assert told(answer) == (410, "expired")
            await here.moved()
            state: Any = (await here.swarm.stage.checkpoint(cid)).state
            assert state["answers"] != ["approved"]


async def test_b29_what_was_shown_is_what_is_approved(here: House, client: httpx.AsyncClient) -> None:
    cid = await here.swarm.stage.start(Reader, "ask", input={"ask": "approval"})
    await here.moved()
    (wait,) = (await client.get("/v1/waits")).json()["items"]
    answer = await client.post(f"/v1/waits/{wait['id']}/answer", json={"verb": "approve", "binding": "0" * 64})
    assert (told(answer), answer.json()["field"]) == ((409, "changed"), "binding")
    word = {"approval": "approval-0000000000"}
    assert told(await client.post(f"/v1/continuations/{cid}/approve", json=word)) == (409, "trigger_mismatch")
    assert len((await client.get("/v1/waits")).json()["items"]) == 1


async def test_b31_limits(client: httpx.AsyncClient) -> None:
    for limit in ("-1", "0", "501", "1000000000", "x", "1.5"):
        assert told(await client.get("/v1/continuations", params={"limit": limit})) == (422, "invalid_input"), limit


async def test_b31_forged_cursors(here: House, client: httpx.AsyncClient) -> None:
    for number in range(3):
        await here.swarm.stage.start(Scout, f"goal {number}")
    await here.moved()
    good = (await client.get("/v1/continuations", params={"limit": 1})).json()["next_cursor"]
    body, _, mac = good.partition(".")
    for cursor in ("x", ".", good[:-1], f"{body}.{'0' * len(mac)}", f"{body[:-2]}AA.{mac}", "\u00e9", "é.é"):
        assert told(await client.get("/v1/continuations", params={"limit": 1, "cursor": cursor})) == (
            422,
            "invalid_input",
        )
    other = {"limit": 1, "cursor": good, "group": "finished"}
    assert told(await client.get("/v1/continuations", params=other)) == (422, "invalid_input")


async def test_b33_hosts_and_origins(here: House, client: httpx.AsyncClient) -> None:
    assert told(await client.get("/v1/me", headers={"host": "evil.example"})) == (400, "malformed")
    for method in ("GET", "POST", "DELETE", "PATCH", "OPTIONS", "HEAD"):
        answer = await client.request(method, "/v1/continuations", headers={"origin": "http://evil.example"})
        assert answer.status_code == 403, method
    assert (await client.get("/v1/me", headers={"origin": here.url})).status_code == 200
    assert (await client.get("/v1/me", headers={"origin": "null"})).status_code == 403


async def test_b33_a_header_that_would_split_an_answer(here: House) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(here.url.rpartition(":")[2]))
    writer.write(b"GET /v1/me HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: b\rc\nd\r\n\r\n")
    answer = await reader.read(200)
    writer.close()
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 401"))
    assert b"X-A" not in answer


async def test_b34_one_asker_that_hurries_takes_nothing_from_others() -> None:
    slow = Pace(per_second=1, at_once=20)
    async with house(MemoryBackend(), slow) as here, here.client("viewer") as hasty, here.client("viewer") as calm:
        answers = await asyncio.gather(*(hasty.get("/v1/me") for _ in range(60)))
        refused = [answer for answer in answers if answer.status_code == 429]
        assert len(refused) >= 10
        assert told(refused[0]) == (429, "too_many_requests")
        assert int(refused[0].headers["retry-after"]) >= 1
        assert (await calm.get("/v1/me")).status_code == 200


async def test_b35_too_many_keys(client: httpx.AsyncClient) -> None:
    many = {f"tool.t{number}": "1" for number in range(10_000)}
    assert await started(client, budget=many) == (422, "invalid_input")
    assert await started(client, scopes=[f"s{number}" for number in range(10_000)]) == (422, "invalid_input")


async def test_b36_searches_are_literal(here: House, client: httpx.AsyncClient) -> None:
    wild = ("*", "?", "[a-z]", "' OR 1=1 --", ".*", "{}", "\\", "%")
    for q in wild:
        await here.swarm.stage.start(Scout, f"with <{q}> in it")
    await here.swarm.stage.start(Scout, "plain words")
    await here.moved()
    for q in wild:
        found = (await client.get("/v1/continuations", params={"q": f"<{q}>"})).json()
        assert [row["goal"] for row in found["items"]] == [f"with <{q}> in it"]
    assert told(await client.get("/v1/costs", params={"by": "day; drop table fact_spent"})) == (422, "invalid_input")


async def test_texts_that_are_no_unicode_and_numbers_beyond_all_bounds(client: httpx.AsyncClient) -> None:
    for value in (b'"\\ud800"', b"1" * 400, b"-9223372036854775809", b"1e400"):
        body = b'{"behaviour": "scout", "goal": "read", "input": ' + value + b"}"
        assert told(await client.post("/v1/continuations", content=body, headers=JSON))[0] == 422


async def test_every_answer_carries_the_headers_of_a_strict_page(client: httpx.AsyncClient) -> None:
    for path in ("/v1/me", "/nowhere", "/v1/continuations?limit=x", "/healthz"):
        headers = (await client.get(path)).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert (headers["x-content-type-options"], headers["x-frame-options"]) == ("nosniff", "DENY")
    assert told(await client.get("/nowhere")) == (404, "not_found")
    assert told(await client.put("/v1/me"))[0] == 405
