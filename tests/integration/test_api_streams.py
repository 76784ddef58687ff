"""Streams: told once, in order, whatever becomes of the connection, the process or the client's patience."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from itertools import count

import httpx
import orjson
import pytest

from maestro.adapters.memory.backend import MemoryBackend
from maestro.adapters.redis.backend import open_backend
from maestro.gateway import tail
from maestro.gateway.events import Cursor, events_of
from maestro.gateway.streams import Stream
from maestro.ids import DEFAULT_TENANT, Partition
from maestro.runtime.backend import Backend
from tests.integration.api_support import House, emptied, house, one_redis
from tests.pane_stage import Reader, Scout

PARTITIONS = 2


@pytest.fixture(scope="module")
def one_url() -> Iterator[str]:
    with one_redis() as url:
        yield url


@pytest.fixture(params=["memory", "redis"])
async def backend(request: pytest.FixtureRequest) -> AsyncIterator[Backend]:
    url = request.getfixturevalue("one_url") if request.param == "redis" else None
    async with emptied(url, PARTITIONS) as made:
        yield made


async def emitted(backend: Backend, after: Cursor) -> dict[int, list[str]]:
    """The names of all events behind `after`, of each partition in their order, from the feed itself."""
    found: dict[int, list[str]] = {}
    for part in range(PARTITIONS):
        facts = await backend.records.feed(Partition(part), after.places[part], 100_000)
        found[part] = [event.name for fact in facts for event in events_of(orjson.loads(fact.body))]
    return found


async def frames(client: httpx.AsyncClient, path: str, after: str | None) -> AsyncIterator[dict[str, str]]:
    """The frames of one connection, as a browser reads them."""
    headers = {} if after is None else {"Last-Event-ID": after}
    async with client.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        frame: dict[str, str] = {}
        async for line in answer.aiter_lines():
            name, _, value = line.partition(": ")
            if line and name:
                frame[name] = value
            elif frame:
                yield frame
                frame = {}


@pytest.mark.shows("8.4")
@pytest.mark.spec("06.5")
async def test_cut_a_hundred_times_what_was_received_is_what_was_emitted(backend: Backend) -> None:
    luck = random.Random(20)
    async with house(backend) as here, here.client("viewer") as client:
        begun, last, got = here.gate.tail.cursor, str(here.gate.tail.cursor), []
        over = asyncio.Event()
        goals = asyncio.create_task(_busy(here, luck, over))
        cuts = 0
        while cuts < 100:
            left = luck.randint(0, 7)  # frames until the connection is cut, hello among them
            with suppress(TimeoutError):
                async with asyncio.timeout(luck.uniform(0.02, 0.15)):
                    async for frame in frames(client, "/v1/stream", last):
                        assert frame["event"] not in ("gap", "bye")
                        if "id" in frame:
                            got.append((frame["id"], frame["event"]))
                            last = frame["id"]
                        left -= 1
                        if left < 0:
                            break
            cuts += 1
        over.set()
        await goals
        await here.moved()
        while True:
            rest = (await client.get("/v1/events", params={"after": last, "limit": 500})).json()
            got += [(one["id"], one["event"]) for one in rest["items"]]
            last = rest["cursor"]
            if not rest["items"]:
                break
        wanted = await emitted(backend, begun)
        assert len({id_ for id_, _ in got}) == len(got), "nothing was told twice"
        assert received(got, begun) == wanted
        assert sum(map(len, wanted.values())) > 100
        print(f"\n{cuts} cuts, {len(got)} events")


def received(got: Sequence[tuple[str, str]], begun: Cursor) -> dict[int, list[str]]:
    """What was told, of each partition in its order, by what each id says beyond the one before."""
    found: dict[int, list[str]] = {part: [] for part in range(PARTITIONS)}
    before = begun
    for id_, name in got:
        now = Cursor.parse(id_, PARTITIONS)
        moved = [part for part in range(PARTITIONS) if now.places[part] != before.places[part]]
        found[moved[0] if moved else now.part].append(name)
        before = now
    return found


async def _busy(here: House, luck: random.Random, over: asyncio.Event) -> None:
    """Something is told between any two cuts; after a while always as much, however long that takes."""
    for number in count():
        if over.is_set():
            return
        if number < 20:
            await here.swarm.stage.start(Scout, f"goal {number}", name=f"s{number}")
        if number < 20 and number % 5 == 0:
            await here.swarm.publish()
        else:
            await here.swarm.stage.start(Reader, f"read {number}", input={"ask": "finish"})
        await here.swarm.stage.settle()
        await asyncio.sleep(luck.uniform(0, 0.05))


@pytest.mark.spec("06.16")
async def test_another_process_goes_on_where_the_first_was(backend: Backend) -> None:
    async with house(backend) as here, here.client("viewer") as client:
        await here.swarm.stage.start(Scout, "one")
        await here.moved()
        token = client.headers["authorization"]
        first = (await client.get("/v1/events", params={"after": "0-0.0-0", "limit": 2})).json()
    async with house(backend) as again, again.client(None) as client:
        client.headers["authorization"] = token
        await again.swarm.stage.start(Scout, "two")
        await again.moved()
        rest = (await client.get("/v1/events", params={"after": first["cursor"], "limit": 500})).json()
        told = [one["event"] for one in first["items"] + rest["items"]]
        wanted = await emitted(backend, Cursor(("0-0",) * PARTITIONS))
        assert sorted(told) == sorted(name for names in wanted.values() for name in names)


async def test_b32_an_id_from_the_future_is_told_as_a_gap_with_a_way_on(backend: Backend) -> None:
    async with house(backend) as here, here.client("viewer") as client:
        await here.swarm.stage.start(Scout, "one")
        await here.moved()
        ahead = "9999999999999-0.9999999999999-0"
        answer = await client.get("/v1/events", params={"after": ahead})
        assert (answer.status_code, answer.json()["code"]) == (410, "gap")
        assert answer.json()["snapshot"]["sleeping"] == 1
        seen = []
        async for frame in frames(client, "/v1/stream", ahead):
            seen.append(frame["event"])
            if frame["event"] == "gap":
                told = orjson.loads(frame["data"])
                assert (told["reason"], told["cursor"]) == ("future", answer.json()["cursor"])
                await here.swarm.stage.start(Scout, "two")
                await here.moved()
            if frame["event"] == "session.created":
                break
        assert seen == ["hello", "gap", "session.created"]
        for bad in ("x", "1-0", "1-0.1-0~9:1", "1-0.1-0.1-0", "-1-0.1-0"):
            assert (await client.get("/v1/stream", params={"after": bad})).status_code == 422, bad


async def test_b32_an_id_that_was_trimmed_is_told_as_a_gap(one_url: str) -> None:
    async with emptied(one_url) as backend, house(backend) as here, here.client("viewer") as client:
        await here.swarm.stage.start(Scout, "one")
        await here.moved()
        early = (await client.get("/v1/events", params={"after": "0-0", "limit": 1})).json()["cursor"].partition("~")[0]
        for number in range(5):
            await here.swarm.stage.start(Scout, f"more {number}")
        await here.moved()
        await backend.records._execute("XTRIM", Partition(0), "feed", "MAXLEN", 2)  # type: ignore[attr-defined]
        late = (await backend.records.span(Partition(0)))[0]
        assert (await client.get("/v1/events", params={"after": late})).status_code == 200
        place = early if early != "0-0" else "1-0"
        assert (await client.get("/v1/events", params={"after": place})).json()["message"].endswith("trimmed")


async def test_b32_the_beginning_of_a_feed_that_was_trimmed_is_told_as_a_gap(one_url: str) -> None:
    async with emptied(one_url) as backend, house(backend) as here, here.client("viewer") as client:
        begun = (await client.get("/v1/events")).json()["cursor"]
        assert begun == "0-0", "nothing has happened yet"
        await here.swarm.stage.start(Scout, "one")
        await here.moved()
        assert (await client.get("/v1/events", params={"after": begun})).json()["items"] != []
        await backend.records._execute("XTRIM", Partition(0), "feed", "MAXLEN", 1)  # type: ignore[attr-defined]
        answer = await client.get("/v1/events", params={"after": begun})
        assert (answer.status_code, answer.json()["snapshot"]["sleeping"]) == (410, 1)
        assert answer.json()["message"].endswith("trimmed")
        async for frame in frames(client, "/v1/stream", begun):
            if frame["event"] != "hello":
                assert (frame["event"], orjson.loads(frame["data"])["reason"]) == ("gap", "trimmed")
                break
        token = client.headers["authorization"]
    backend = await open_backend(one_url, DEFAULT_TENANT)
    async with house(backend) as again, again.client(None) as client:
        client.headers["authorization"] = token
        late = await client.get("/v1/events", params={"after": begun})
        assert late.status_code == 410, "another process knows it, too"
    await backend.close()


async def test_a_first_fact_that_the_tail_has_not_read_yet_is_no_gap(one_url: str) -> None:
    async with emptied(one_url) as backend, house(backend) as here, here.client("viewer") as client:
        begun = Cursor(("0-0",))
        async with here.gate.tail._stepping:  # it reads no further
            await here.swarm.stage.start(Scout, "one")
            assert await here.gate.tail.lost(begun) is None
        await here.moved()
        assert (await client.get("/v1/events", params={"after": str(begun)})).json()["items"] != []


async def test_what_is_dropped_while_it_is_read_back_is_told_as_a_gap(
    one_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "REMEMBERED", 1)
    async with emptied(one_url) as backend, house(backend) as here, here.client("viewer") as client:
        begun = (await client.get("/v1/events")).json()["cursor"]
        for number in range(5):
            await here.swarm.stage.start(Scout, f"goal {number}")
        await here.moved()
        asker = await here.gate.doorkeeper.by_token(client.headers["authorization"].partition(" ")[2])
        stream = Stream(here.gate, asker)
        assert await stream.begin(begun) is None
        (first,) = (await stream.next(1))[:1]
        assert first.event == "session.created"
        await backend.records._execute("XTRIM", Partition(0), "feed", "MAXLEN", 2)  # type: ignore[attr-defined]
        (gap,) = await stream.next(1)
        assert (gap.event, gap.data["reason"], gap.data["cursor"]) == ("gap", "trimmed", str(here.gate.tail.cursor))
        assert await stream.next() == []


async def test_who_reads_too_slowly_is_let_go_with_a_way_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "REMEMBERED", 5)
    async with house(MemoryBackend()) as here, here.client("viewer") as client:
        last: dict[str, str] = {}
        async for frame in frames(client, "/v1/stream", None):
            if frame["event"] == "hello":
                await here.swarm.stage.start(Scout, "first")
                await here.gate.tail.step()
            elif frame["event"] == "session.created" and "first" in frame["data"]:
                for number in range(30):  # in one go: nobody can read between
                    await here.swarm.stage.start(Scout, f"much {number}")
                await here.gate.tail.step()
            last = frame
        assert last["event"] == "bye"
        told = orjson.loads(last["data"])
        assert told["reason"] == "slow"
        rest = (await client.get("/v1/events", params={"after": told["cursor"], "limit": 500})).json()["items"]
        assert sum(one["event"] == "session.created" for one in rest) >= 25


@pytest.mark.spec("06.8")
async def test_who_only_polls_gets_status_result_and_every_event(backend: Backend) -> None:
    async with house(backend) as here, here.client("operator") as client:
        after = (await client.get("/v1/events")).json()["cursor"]
        asked = {"behaviour": "reader", "goal": "read", "input": {"ask": "finish"}}
        cid = (await client.post("/v1/continuations", json=asked)).json()["id"]
        await here.moved()
        told = (await client.get(f"/v1/continuations/{cid}")).json()["show"]
        assert (told["status"], told["result"]) == ("completed", "read")
        events = (await client.get(f"/v1/continuations/{cid}/events", params={"after": after})).json()["items"]
        assert (events[0]["event"], events[-1]["event"]) == ("session.created", "session.updated")
        assert events[-1]["data"]["status"] == "completed"


async def test_a_wait_is_told_when_it_opens_and_when_it_closes(backend: Backend) -> None:
    async with house(backend) as here, here.client("admin") as client:
        after = (await client.get("/v1/events")).json()["cursor"]
        asked = {"behaviour": "reader", "goal": "read", "input": {"ask": "question"}}
        cid = (await client.post("/v1/continuations", json=asked)).json()["id"]
        await here.moved()
        await client.post(f"/v1/continuations/{cid}/reply", json={"text": "yes"})
        await here.moved()
        told = (await client.get("/v1/events", params={"after": after, "limit": 500})).json()["items"]
        assert [one["event"] for one in told if one["event"].startswith("wait.")] == ["wait.opened", "wait.closed"]


@pytest.mark.spec("06.7")
async def test_of_two_clients_that_watch_one_session_one_answer_counts(backend: Backend) -> None:
    async with house(backend) as here, here.client("admin") as client, here.client("approver") as other:
        asked = {"behaviour": "reader", "goal": "read", "input": {"ask": "approval"}}
        cid = (await client.post("/v1/continuations", json=asked)).json()["id"]
        await here.moved()
        (wait,) = (await other.get("/v1/waits")).json()["items"]
        async for frame in frames(other, f"/v1/continuations/{cid}/stream", None):
            assert frame["event"] == "hello"
            (row,) = (await client.get("/v1/sessions")).json()["items"]
            assert row["presence"] == ["approver"]
            break
        word = {"approval": wait["id"].partition("~")[2]}
        first = await client.post(f"/v1/continuations/{cid}/deny", json=word)
        second = await other.post(f"/v1/continuations/{cid}/approve", json=word)
        assert (first.status_code, second.status_code) == (200, 409)
        await here.moved()
        third = await other.post(f"/v1/continuations/{cid}/approve", json=word)
        assert third.status_code == 409
