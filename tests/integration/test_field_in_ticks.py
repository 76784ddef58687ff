"""The field as ticks see it: edited by verbs, superseded, rolling, ranked while the ranker is away; every byte told."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import orjson
import pytest
from pydantic import BaseModel, JsonValue

from maestro.adapters.memory.backend import backend_over, empty_memory
from maestro.clock import ManualClock
from maestro.continuation.directive import Closing, Sleep
from maestro.continuation.finding import Finding
from maestro.continuation.goal import GoalFrame
from maestro.continuation.mail import Mail
from maestro.errors import RankerFailed, UnknownEntryError
from maestro.field.manifest import Manifest, cut, rebuilt, sha256
from maestro.field.ranker import Rankable
from maestro.pager.dispatch import ModelCallResult
from maestro.pager.request import ModelRequest
from maestro.runtime import verbs
from maestro.runtime.fieldview import field_rows
from maestro.tick.asking import Prompt, kept_prompt, read_prompt
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from tests.stage import CountingModel, Stage, result

GOAL = "Warn of volcanic eruptions by seismic tremor"
DAY_MS = 86_400_000


class Answer(BaseModel):
    text: str = "ok"


class Seen(BaseModel):
    refused: list[str] = []
    found: list[str] = []


class Editor(Behaviour[Seen]):
    """Does to its context what it is told, and thinks about the rest."""

    name = "editor"
    version = 1

    async def start(self, tick: Tick[Seen]) -> Closing:
        tick.subscribe("news.>", relevance=1.0)
        return Sleep.until_woken()

    async def on_message(self, tick: Tick[Seen], message: Mail) -> Closing:
        match message.subject:
            case "edit":
                try:
                    tick.state.found = [hit.id for hit in await tick.edit(str(message.body))]
                except UnknownEntryError as error:
                    tick.state.refused.append(str(error.hint))
                await tick.think("What now?", schema=Answer, step="haiku")
            case "find out":
                body = message.body if isinstance(message.body, dict) else {}
                tick.publish(Finding.model_validate(body))
            case _:
                await tick.think("What now?", schema=Answer, step="haiku")
        return Sleep.until_woken()


@dataclass
class Recorder(CountingModel):
    """Answers, and remembers all that it was asked."""

    requests: list[ModelRequest] = field(default_factory=list)

    async def __call__(self, request: ModelRequest) -> ModelCallResult:
        self.requests.append(request)
        return result(request, '{"text": "ok"}')

    @property
    def text(self) -> str:
        """The last prompt."""
        return "\n".join(message.content or "" for message in self.requests[-1].messages)


class Reader:
    """One editor on a stage."""

    def __init__(self) -> None:
        self.model = Recorder()
        self.stage = Stage(backend_over(empty_memory(clock=ManualClock())), Editor, model=self.model)

    async def begin(self) -> None:
        self.cid = await self.stage.start(Editor, goal=GOAL)
        await self.stage.settle()

    async def news(self, key: str, title: str, abstract: str = "", **event: str) -> None:
        await self.stage.publish("news.today", key, {"title": title, "abstract": abstract}, **event)
        await self.stage.settle()

    async def say(self, subject: str, body: JsonValue = None) -> None:
        await verbs.send(self.stage.at, self.cid, body, subject=subject)
        await self.stage.settle()

    async def rows(self) -> list[dict[str, JsonValue]]:
        edits = (await self.stage.view(self.cid)).checkpoint.edits
        now_ms = await self.stage.backend.clock.now_ms()
        return await field_rows(self.stage.backend.shelf, self.cid, edits, 20, now_ms)

    async def id_of(self, title: str) -> str:
        return next(str(row["id"]) for row in await self.rows() if row["title"] == title)


@pytest.fixture
async def reader() -> Reader:
    made = Reader()
    await made.begin()
    await made.news("1", "Seismic tremor warns of volcanic eruptions", "Tremor rises for hours. Then lava.")
    await made.news("2", "Volcanic ash and aircraft", "Ash stops engines. It drifts far.")
    return made


@pytest.mark.shows("7.8")
@pytest.mark.spec("03.5")
async def test_every_byte_that_a_model_was_sent_is_in_the_manifest_kept_with_the_call(reader: Reader) -> None:
    await reader.say("edit", f"pin {await reader.id_of('Volcanic ash and aircraft')}")
    (sent,) = reader.model.requests
    prompt = await asked(reader)
    spans = Manifest.model_validate(prompt.manifest).spans
    texts = [sent.system or "", *(message.content or "" for message in sent.messages)]
    assert sum(span.bytes for span in spans) == sum(len(text.encode()) for text in texts)
    parts = {sha256(piece.encode()): piece.encode() for pieces in cut(texts, spans) for piece in pieces}
    assert rebuilt(spans, parts) == texts
    assert prompt.manifest_hash == sent.manifest_hash
    assert (prompt.system, prompt.messages, prompt.answer_schema) == (sent.system, sent.messages, sent.answer_schema)


async def test_a_prompt_that_is_read_and_kept_again_is_kept_under_the_same_names(reader: Reader) -> None:
    await reader.say("think")
    record = (await verbs.records(reader.stage.at, reader.cid))[-1]
    again: dict[str, bytes] = {}
    assert kept_prompt(await asked(reader), again) == record.effects[0].asked


async def asked(reader: Reader) -> Prompt:
    note = (await verbs.records(reader.stage.at, reader.cid))[-1].effects[0]
    return await read_prompt(note.asked, partial(reader.stage.backend.blocks.get, reader.cid))


@pytest.mark.spec("03.8")
async def test_edits_are_journaled_hold_from_tick_to_tick_and_are_undone(reader: Reader) -> None:
    ash = await reader.id_of("Volcanic ash and aircraft")
    await reader.say("edit", f"hide {ash}")
    assert "aircraft" not in reader.model.text
    assert "(1 hidden)" in reader.model.text
    await reader.say("think")
    assert "aircraft" not in reader.model.text
    directive = (await verbs.records(reader.stage.at, reader.cid))[-2].directives[0]
    assert isinstance(directive, dict)
    assert directive["commands"] == f"hide {ash}"
    await reader.say("edit", "find aircraft")
    assert (await reader.stage.state(reader.cid))["found"] == [ash]
    await reader.say("edit", f"restore {ash}")
    assert "aircraft" in reader.model.text
    assert (await reader.stage.view(reader.cid)).checkpoint.edits == {}


async def test_an_unknown_id_changes_nothing_and_the_tick_is_told_what_is_nearest(reader: Reader) -> None:
    ash = await reader.id_of("Volcanic ash and aircraft")
    await reader.say("edit", f"hide {ash}; pin {ash[:-2]}00")
    assert "aircraft" in reader.model.text
    state = await reader.stage.state(reader.cid)
    assert ash in state["refused"][0]
    assert (await reader.stage.view(reader.cid)).checkpoint.edits == {}


async def test_a_pin_outlasts_the_months_in_which_all_else_fades(reader: Reader) -> None:
    await reader.say("edit", f"pin {await reader.id_of('Volcanic ash and aircraft')}")
    await reader.stage.advance(200 * DAY_MS)
    await reader.say("think")
    assert "aircraft" in reader.model.text
    assert "Seismic tremor" not in reader.model.text
    (row,) = await reader.rows()
    assert (row["reason"], row["view"], row["weight"]) == ("pinned", "full", None)


async def test_people_see_view_score_age_and_reason_of_each_entry(reader: Reader) -> None:
    await reader.say("edit", f"collapse {await reader.id_of('Volcanic ash and aircraft')}")
    await reader.stage.advance(DAY_MS)
    tremor, ash = await reader.rows()
    assert (tremor["view"], ash["view"]) == ("full", "summary")
    assert ash["age_ms"] == DAY_MS
    assert f"score {ash['score']:.2f}" in str(ash["reason"])
    assert "sketch" not in ash


@pytest.mark.spec("03.9")
async def test_do_x_then_do_y_in_its_place_only_y_is_in_the_prompt(reader: Reader) -> None:
    await reader.say("find out", {"title": "Evacuate by the north road when tremor rises"})
    (line,) = await reader.stage.backend.records.findings(reader.cid)
    first = orjson.loads(line)["id"]
    await reader.say("find out", {"title": "Evacuate by the south road when tremor rises", "supersedes": first})
    await reader.say("think")
    assert "south road" in reader.model.text
    assert "north road" not in reader.model.text
    row = next(row for row in await reader.rows() if "south" in str(row["title"]))
    assert row["stands_for"]
    assert "stands for" in str(row["reason"])


@pytest.mark.spec("03.17")
async def test_a_rolling_value_brought_up_to_date_a_thousand_times_is_one_entry_and_its_last_value(
    reader: Reader,
) -> None:
    before = len(await reader.rows())
    for reading in range(1_000):
        await reader.news(f"tremor-{reading}", "Tremor of the volcano now", f"{reading} units", type="rolling")
    assert len(await reader.rows()) == before + 1
    await reader.say("think")
    assert "999 units" in reader.model.text
    assert "998 units" not in reader.model.text
    rolling, last = (message.content for message in reader.model.requests[-1].messages[-2:])
    assert rolling.startswith("As of now:")
    assert last.endswith("What now?")


async def test_news_told_twice_is_read_once(reader: Reader) -> None:
    text = (
        "The tremor of the volcano rose for six hours before the lava came; nineteen villages were warned in time. "
        "Cheap sensors on the northern flank heard it first, then the gas stations downwind, and last the satellites, "
        "which saw nothing before dawn. We say which a poor district should buy, and how often each cried wolf."
    )
    await reader.news("3", "Tremor warned villages of the eruption", text)
    await reader.news("4", "Tremor warned villages of the eruption (v2)", text)
    await reader.say("think")
    assert reader.model.text.count("nineteen villages") == 1


class Away:
    """A ranker that is not there."""

    async def score(self, goal: GoalFrame, entries: Sequence[Rankable]) -> list[float]:
        raise RankerFailed("replica killed")


async def test_what_is_ranked_while_the_ranker_is_away_is_there_and_says_so(reader: Reader) -> None:
    reader.stage.projector.ranker = Away()
    await reader.news("3", "Gas warns of volcanic eruptions", "Sulphur rises.")
    row = next(row for row in await reader.rows() if "Gas" in str(row["title"]))
    assert row["degraded"] is True
    assert "ranker was away" in str(row["reason"])
    assert reader.stage.projector.degraded == 1
