"""What is being said, and what was seen: answers while they are written, and a context as a model had it."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx
import orjson
import pytest
from pydantic import JsonValue

from maestro.adapters.memory.backend import MemoryBackend
from maestro.continuation.directive import Closing, Finish, Sleep
from maestro.continuation.mail import Mail
from maestro.ids import ContinuationId
from maestro.runtime import hearing, verbs
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from tests.contract.speaking import END, Mortal, Speaker
from tests.integration.api_support import House, house
from tests.integration.test_api_streams import frames
from tests.pane_stage import Reading, Scout
from tests.stage import Stage


class Teller(Behaviour[Reading]):
    """Asks for an answer in pieces."""

    async def start(self, tick: Tick[Reading]) -> Closing | None:
        return Sleep.until_woken()

    async def on_message(self, tick: Tick[Reading], message: Mail) -> Closing | None:
        if message.body == "end":
            return Finish(result="over")
        tick.state.answers.append(await tick.think(str(message.body), step="haiku", stream=True))
        return Sleep.until_woken()


class Talk:
    """One that is asked, behind an API, and its provider."""

    def __init__(self, here: House) -> None:
        self.here = here
        self.stage = Stage(here.gate.at.backend, Teller)
        self.speaker = Speaker()
        self.stage.pager = Mortal(self.speaker.desk(self.stage))
        self.cid = ContinuationId("")

    async def begin(self) -> None:
        self.cid = await self.stage.start(Teller)
        await self.stage.settle()
        await self.here.gate.directory.refresh([self.cid])

    async def ask(self) -> asyncio.Task[Any]:
        """It is asked, and thinks."""
        await verbs.send(self.stage.at, self.cid, "why?")
        asked = self.speaker.asked
        tick = asyncio.create_task(self.stage.tick())
        while self.speaker.asked == asked and not tick.done():  # noqa: ASYNC110 - it is asked by the tick
            await asyncio.sleep(0.001)
        return tick

    @property
    def place(self) -> str:
        return f"/v1/continuations/{self.cid}/answer"


@pytest.fixture
async def talk(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Talk]:
    monkeypatch.setattr(hearing, "PACE_S", 0.002)
    monkeypatch.setattr(hearing, "IDLE_S", 0.002)
    async with house(MemoryBackend()) as here:
        talk = Talk(here)
        await talk.begin()
        yield talk


async def told(client: httpx.AsyncClient, talk: Talk, after: str | None, event: str) -> list[dict[str, str]]:
    """The frames up to and with the first of that name."""
    seen = []
    async for frame in frames(client, f"{talk.place}/stream", after):
        seen.append(frame)
        if frame["event"] == event:
            return seen
    return seen


@pytest.mark.spec("06.14")
async def test_half_an_answer_is_there_at_once_and_the_whole_takes_its_place(talk: Talk) -> None:
    async with talk.here.client("viewer") as client:
        tick = await talk.ask()
        talk.speaker.say("Half of ")
        hello, piece = await told(client, talk, None, "piece")
        assert (hello["event"], orjson.loads(piece["data"])["text"]) == ("hello", "Half of ")
        polled = (await client.get(talk.place)).json()
        assert (polled["text"], polled["whole"], polled["cursor"]) == ("Half of ", False, piece["id"])
        talk.speaker.say("it", END)
        await tick
        rest = await told(client, talk, piece["id"], "answer")
        assert [orjson.loads(frame["data"]).get("text") for frame in rest[1:]] == ["it", "Half of it"]
        polled = (await client.get(talk.place, params={"after": polled["cursor"]})).json()
        assert (polled["text"], polled["whole"]) == ("Half of it", True)
        assert (await client.get(talk.place, params={"after": polled["cursor"]})).json()["items"] == []


@pytest.mark.spec("06.13")
async def test_an_answer_that_nobody_listened_to_is_complete_for_whoever_comes_back(talk: Talk) -> None:
    async with talk.here.client("viewer") as client, talk.here.client("viewer", name="late") as late:
        tick = await talk.ask()
        talk.speaker.say("Half of ")
        last = (await told(client, talk, None, "piece"))[-1]["id"]
        talk.speaker.say("it, and ", "nobody is there", END)
        await tick
        rest = await told(client, talk, last, "answer")
        assert [orjson.loads(frame["data"])["text"] for frame in rest[1:]] == [
            "it, and nobody is there",
            "Half of it, and nobody is there",
        ]
        fresh = await told(late, talk, "0..0.0.0", "answer")
        assert orjson.loads(fresh[-1]["data"])["text"] == "Half of it, and nobody is there"


async def test_an_answer_cut_at_random_is_heard_once_and_whole_by_its_ids(talk: Talk) -> None:
    luck = random.Random(7)
    words = [f"word-{number} " for number in range(120)]
    async with talk.here.client("viewer") as client:
        hello = (await told(client, talk, None, "hello"))[0]
        tick = await talk.ask()
        text, last, cuts, whole = "", orjson.loads(hello["data"])["cursor"], 0, ""
        saying = asyncio.create_task(_said(talk, words, luck))
        while not whole:
            with suppress(TimeoutError):
                async with asyncio.timeout(luck.uniform(0.01, 0.1)):
                    async for frame in frames(client, f"{talk.place}/stream", last):
                        if "id" not in frame:
                            continue
                        last, data = frame["id"], orjson.loads(frame["data"])
                        match frame["event"]:
                            case "piece":
                                text += data["text"]
                            case "answer":
                                whole = data["text"]
                                break
                        if luck.random() < 0.2:
                            break
            cuts += 1
        await saying
        await tick
    assert text == whole == "".join(words)
    assert cuts > 10


async def _said(talk: Talk, words: list[str], luck: random.Random) -> None:
    for word in words:
        talk.speaker.say(word)
        await asyncio.sleep(luck.uniform(0, 0.01))
    talk.speaker.say(END)


async def test_one_that_ends_says_so_and_cursors_that_are_none_are_refused(talk: Talk) -> None:
    async with talk.here.client("viewer") as client:
        ahead = await client.get(talk.place, params={"after": "99..0.0.0"})
        assert (ahead.status_code, ahead.json()["code"], ahead.json()["message"][-6:]) == (410, "gap", "future")
        seen = await told(client, talk, "99..0.0.0", "gap")
        assert orjson.loads(seen[-1]["data"]) == {"reason": "future", "cursor": ahead.json()["cursor"]}
        for bad in ("x", "1.2", f"{2**60}..0.0.0", "-1..0.0.0", "1..0.0.0 "):
            for path in (talk.place, f"{talk.place}/stream"):
                assert (await client.get(path, params={"after": bad})).status_code == 422, bad
        await verbs.send(talk.stage.at, talk.cid, "end")
        await talk.stage.settle()
        assert orjson.loads((await told(client, talk, None, "bye"))[-1]["data"])["reason"] == "ended"


async def test_a_revoked_token_hears_no_more(talk: Talk) -> None:
    async with talk.here.client("admin") as all_, talk.here.client("viewer") as client:
        id_ = (await client.get("/v1/me")).json()["id"]
        async for frame in frames(client, f"{talk.place}/stream", None):
            if frame["event"] == "hello":
                assert (await all_.delete(f"/v1/tokens/{id_}")).status_code == 204
        assert (frame["event"], orjson.loads(frame["data"])["reason"]) == ("bye", "revoked")


async def test_a_context_is_shown_as_the_model_had_it_at_that_tick(talk: Talk) -> None:
    here = talk.here
    cid = await here.swarm.stage.start(Scout, "small models that plan")
    await here.moved()
    revs = [0]
    for number, title in enumerate(("Planning with small models", "Small <b>models</b> plan")):
        item: JsonValue = {"title": title, "summary": f"about {number}"}
        await here.swarm.stage.publish("feed.papers", f"paper-{number}", item)
        await here.moved()
        revs.append((await here.swarm.stage.checkpoint(cid)).turns)
    async with here.client("viewer") as client:
        place = f"/v1/continuations/{cid}/field"
        now = (await client.get(place)).json()
        assert now["then"] is None
        first = (await client.get(place, params={"at": 1})).json()
        assert (first["items"], first["then"]["rev"]) == ([], None), "it had asked nobody yet"
        told_then = [(await client.get(place, params={"at": rev})).json() for rev in revs[1:]]
        counts = [len(one["items"]) for one in told_then]
        assert counts == sorted(counts)
        last = told_then[-1]
        assert last["then"]["rev"] <= revs[-1]
        assert last["then"]["hash"] != told_then[0]["then"]["hash"]
        seen = next(one for one in last["items"] if one["source"] == "feed.papers")
        told_of = seen["title"], seen["state"], seen["body"]
        assert told_of == ("Planning with small models", "active", "about 0")
        assert (seen["score"], seen["age_ms"]) == (None, None), "neither is kept"
        assert seen["reason"]
        assert seen["id"] in {row["id"] for row in now["items"]}
        beyond = await client.get(place, params={"at": 99})
        assert (beyond.status_code, beyond.json()["field"]) == (422, "at")
