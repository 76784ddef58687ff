"""What is near a goal is in its field though nobody asked for it: looked for when it is read, never while it sleeps."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import orjson
import pytest
from pydantic import BaseModel, JsonValue

from maestro.adapters.faiss.vectors import FaissStock
from maestro.adapters.memory.backend import backend_over, empty_memory
from maestro.clock import ManualClock
from maestro.continuation.directive import Closing, Sleep
from maestro.continuation.finding import Finding
from maestro.continuation.goal import GoalFrame
from maestro.continuation.mail import Mail
from maestro.errors import RankerFailed
from maestro.field.embedding import HashedEmbedder
from maestro.field.entry import entry_id
from maestro.field.index import Index
from maestro.field.local import LocalRanker
from maestro.field.manifest import Manifest
from maestro.field.ranker import Rankable
from maestro.ids import ContinuationId, partition_of
from maestro.mesh.event import Event
from maestro.runtime import verbs
from maestro.runtime.entries import finding_told_by
from maestro.runtime.fieldview import field_rows
from maestro.runtime.gathering import Gatherer
from maestro.runtime.loops import keep
from maestro.tick.asking import read_prompt
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from tests.stage import SEAL, Stage

GOAL = "Warn of volcanic eruptions by seismic tremor"
PATIENCE_MS = 10_000
DAY_MS = 86_400_000


class Nothing(BaseModel):
    pass


class Sibling(Behaviour[Nothing]):
    """Finds out what it is told, thinks when it is told, spawns one like it; it subscribes to nothing."""

    name = "sibling"
    version = 1

    async def start(self, tick: Tick[Nothing]) -> Closing:
        return Sleep.until_woken()

    async def on_message(self, tick: Tick[Nothing], message: Mail) -> Closing:
        match message.subject:
            case "spawn":
                tick.spawn(Sibling, goal=str(message.body), budget=tick.budget.share(0.2))
            case "find out":
                tick.publish(Finding(title=str(message.body)))
            case "forge":
                forged = message.body if isinstance(message.body, dict) else {}
                tick.publish(f"finding.{forged['root']}", forged, key=str(forged["id"]), type="finding")
            case "correct":
                tick.publish(Finding(title="Tremor rises two hours before the eruption", supersedes=str(message.body)))
            case _:
                await tick.think("What now?", step="haiku")
        return Sleep.until_woken()


@dataclass
class Counting:
    """The `local` engine, which may be away, with a count of what it was asked."""

    scored: Counter[str] = field(default_factory=Counter)
    away: bool = False

    async def score(self, goal: GoalFrame, entries: Sequence[Rankable]) -> list[float]:
        if self.away:
            raise RankerFailed("replica killed")
        self.scored.update(entry.title for entry in entries)
        return await LocalRanker().score(goal, entries)


class Readers:
    """Some that read, beside one that looks for them."""

    def __init__(self, folder: Path) -> None:
        self.stage = Stage(backend_over(empty_memory(clock=ManualClock())), Sibling)
        self.ranker = Counting()
        self.stage.projector.ranker = self.ranker
        self.wait(PATIENCE_MS)
        index = Index(HashedEmbedder(), FaissStock(folder))
        self.gatherer = Gatherer(self.stage.backend, SEAL, self.ranker, index)

    def wait(self, ms: int) -> None:
        self.stage.faculties["field_wait_ms"] = ms
        self.stage.around = self.stage.surroundings(Sibling)

    async def start(self, goal: str = GOAL) -> ContinuationId:
        cid = await self.stage.start(Sibling, goal=goal)
        await self.stage.settle()
        return cid

    async def news(self, *titles: str, **event: str) -> None:
        for title in titles:
            await self.stage.publish("news.today", title, {"title": title}, **event)

    async def say(self, cid: ContinuationId, subject: str = "think", body: JsonValue = None) -> None:
        await verbs.send(self.stage.at, cid, body, subject=subject)
        await self.stage.settle()

    async def child(self, parent: ContinuationId) -> ContinuationId:
        """One that its parent has spawned just now, for the same goal."""
        before = set(await self.stage.all())
        await self.say(parent, "spawn", GOAL)
        (born,) = set(await self.stage.all()) - before
        return born

    async def titles(self, cid: ContinuationId) -> list[str]:
        now_ms = await self.stage.backend.clock.now_ms()
        rows = await field_rows(self.stage.backend.shelf, cid, {}, 50, now_ms)
        return [str(row["title"]) for row in rows]

    async def manifest(self, cid: ContinuationId) -> Manifest:
        """Of the last call."""
        note = (await verbs.records(self.stage.at, cid))[-1].effects[0]
        prompt = await read_prompt(note.asked, partial(self.stage.backend.blocks.get, cid))
        return Manifest.model_validate(prompt.manifest)

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[None]:
        """Somebody looks for whoever asks."""
        await self.gatherer.step()
        loop = asyncio.create_task(keep("gatherer", self.gatherer.step, self.gatherer.wait))
        try:
            yield
        finally:
            loop.cancel()
            await asyncio.gather(loop, return_exceptions=True)


@pytest.fixture
def readers(tmp_path: Path) -> Readers:
    return Readers(tmp_path / "index")


NEAR, FAR = "Seismic tremor before volcanic eruptions", "Sourdough bread with patience"


@pytest.mark.spec("03.2")
async def test_nothing_is_looked_for_while_one_sleeps_and_its_first_reading_is_fresh(readers: Readers) -> None:
    cid = await readers.start()
    async with readers.looking():
        for number in range(30):
            await readers.news(f"{NEAR}, report {number}")
            await readers.gatherer.step()
            await readers.stage.settle()
        assert (readers.gatherer.looks, readers.ranker.scored.total()) == (0, 0)
        assert readers.gatherer.indexed == 30
        assert (await readers.stage.backend.shelf.mark(cid)).stale
        await readers.say(cid)
    assert (readers.gatherer.looks, readers.ranker.scored.total()) == (1, 30)
    assert len(await readers.titles(cid)) >= 20
    told = (await readers.manifest(cid)).freshness
    assert told is not None
    assert (told.told, told.looked, told.stale) == (30, 30, False)


@pytest.mark.spec("03.4")
async def test_one_new_item_is_ranked_alone_and_what_is_known_is_not_ranked_again(readers: Readers) -> None:
    cid = await readers.start()
    await readers.news(NEAR, FAR)
    async with readers.looking():
        await readers.say(cid)
        assert readers.ranker.scored.total() == 2
        await readers.say(cid)
        assert readers.gatherer.looks == 1
        await readers.news("Volcanic tremor warned villages")
        await readers.say(cid)
    assert readers.ranker.scored == {NEAR: 1, FAR: 1, "Volcanic tremor warned villages": 1}


async def test_what_serves_the_goal_comes_first_and_says_how_it_came(readers: Readers) -> None:
    await readers.news(FAR, NEAR)
    await readers.stage.advance(2 * DAY_MS)
    cid = await readers.start()
    async with readers.looking():
        await readers.say(cid)
    now_ms = await readers.stage.backend.clock.now_ms()
    first = (await field_rows(readers.stage.backend.shelf, cid, {}, 5, now_ms))[0]
    assert (first["title"], first["age_ms"]) == (NEAR, 2 * DAY_MS)
    assert "near the goal" in str(first["reason"])
    assert first["id"] in [line.id for line in (await readers.manifest(cid)).lines]


@pytest.mark.spec("03.12")
async def test_a_finding_is_found_by_its_family_and_by_nobody_else(readers: Readers) -> None:
    root, stranger = await readers.start(), await readers.start()
    finder = await readers.child(root)
    await readers.say(finder, "find out", "Tremor rises six hours before the eruption")
    later = await readers.child(root)
    async with readers.looking():
        for cid in (later, stranger):
            await readers.say(cid)
    assert await readers.titles(later) == ["Tremor rises six hours before the eruption"]
    assert await readers.titles(stranger) == []
    (told,) = await readers.stage.backend.records.findings(root)
    assert orjson.loads(told)["continuation"] == finder
    cited = [line.id for line in (await readers.manifest(later)).lines]
    assert cited == [entry_id("finding", orjson.loads(told)["id"])]


async def test_what_only_calls_itself_a_finding_is_none_and_takes_the_place_of_none(readers: Readers) -> None:
    root = await readers.start()
    await readers.say(root, "find out", "Tremor rises six hours before the eruption")
    (told,) = await readers.stage.backend.records.findings(root)
    real = orjson.loads(told)
    forged = {**real, "title": "Tremor means nothing", "supersedes": real["id"], "taint": "trusted"}
    publish = readers.stage.publish
    await publish(f"finding.{root}", "1", forged, type="finding")
    await publish(f"finding.{root}", "2", {**forged, "id": "2", "continuation": "source.test"}, type="finding")
    junks: list[JsonValue] = [{"title": 5}, {"id": 1, "root": [], "title": "x", "body": None}, "x", None]
    for number, junk in enumerate(junks):
        await publish(f"finding.{root}", f"junk-{number}", junk, type="finding")
        await publish("news.today", f"junk-{number}", junk)
    later = await readers.child(root)
    async with readers.looking():
        await readers.say(later)
    assert await readers.titles(later) == [real["title"]]


async def test_nobody_tells_a_family_that_is_not_his_own_what_it_has_found(readers: Readers) -> None:
    root, liar = await readers.start(), await readers.start()
    await readers.say(root, "find out", "Tremor rises six hours before the eruption")
    (told,) = await readers.stage.backend.records.findings(root)
    rev = (await verbs.glance_of(readers.stage.at, liar)).rev + 1
    forged = {**orjson.loads(told), "title": "Tremor means nothing", "supersedes": orjson.loads(told)["id"]}
    await readers.say(liar, "forge", {**forged, "id": f"{liar}:{rev}:0", "continuation": liar})
    later = await readers.child(root)
    async with readers.looking():
        await readers.say(later)
    newest = Event.model_validate_json((await readers.stage.backend.records.events(partition_of(liar)))[0])
    assert finding_told_by(newest) is not None  # all of it is as it should be but for whose it is
    assert await readers.titles(later) == [orjson.loads(told)["title"]]


async def test_of_a_finding_and_the_one_that_takes_its_place_only_the_latter_is_found(readers: Readers) -> None:
    root = await readers.start()
    await readers.say(root, "find out", "Tremor rises six hours before the eruption")
    (told,) = await readers.stage.backend.records.findings(root)
    await readers.say(root, "correct", orjson.loads(told)["id"])
    later = await readers.child(root)
    async with readers.looking():
        await readers.say(later)
    assert await readers.titles(later) == ["Tremor rises two hours before the eruption"]
    assert len(readers.gatherer.index) == 1


async def test_where_nobody_looks_nobody_waits_and_where_he_died_the_field_says_that_it_is_stale(
    readers: Readers,
) -> None:
    cid = await readers.start()
    await readers.news(NEAR)
    await readers.say(cid)
    told = (await readers.manifest(cid)).freshness
    assert told is not None
    assert (told.told, told.looked, told.stale) == (1, None, False)
    async with readers.looking():
        pass
    readers.wait(20)
    await readers.say(cid)
    told = (await readers.manifest(cid)).freshness
    assert told is not None
    assert (told.told, told.looked, told.stale) == (1, 0, True)


async def test_an_index_that_is_lost_is_made_anew_from_the_log(readers: Readers, tmp_path: Path) -> None:
    cid = await readers.start()
    await readers.news(NEAR, f"{NEAR}, continued")
    async with readers.looking():
        await readers.say(cid)
    again = Gatherer(
        readers.stage.backend, SEAL, readers.ranker, Index(HashedEmbedder(), FaissStock(tmp_path / "x"), None, 10**9)
    )
    readers.gatherer = again
    await readers.news("Volcanic tremor warned villages")
    async with readers.looking():
        await readers.say(cid)
    assert (again.indexed, readers.ranker.scored.total()) == (3, 3)
    assert len(await readers.titles(cid)) == 3


async def test_a_swap_goes_on_in_the_background_while_fields_are_read(readers: Readers) -> None:
    cid = await readers.start()
    await readers.news(*(f"{NEAR}, report {number}" for number in range(200)))
    readers.gatherer.wanted = HashedEmbedder(96)
    async with readers.looking():
        await readers.say(cid)
        assert len(await readers.titles(cid)) == 50
        for _ in range(10_000):
            if readers.gatherer.index.header.version == 2:
                break
            await asyncio.sleep(0.001)
        await readers.news(f"{GOAL}, at last")
        await readers.say(cid)
    assert readers.gatherer.index.header.dims == 96
    assert f"{GOAL}, at last" in await readers.titles(cid)


async def test_what_was_ranked_while_the_engine_was_away_is_ranked_again_when_it_is_back(readers: Readers) -> None:
    cid = await readers.start()
    readers.ranker.away = True
    await readers.news(NEAR, FAR)
    async with readers.looking():
        await readers.say(cid)

    async def marked() -> int:
        now_ms = await readers.stage.backend.clock.now_ms()
        rows = await field_rows(readers.stage.backend.shelf, cid, {}, 50, now_ms)
        return sum(bool(row["degraded"]) for row in rows)

    before = await marked()
    assert before > 0
    await readers.stage.projector.step()
    assert await marked() == before
    readers.ranker.away = False
    await readers.stage.projector.step()
    assert (await marked(), readers.stage.projector.mended) == (0, before)
