"""A literature monitor: sleeps on a feed, judges what is relevant to its goal, sends a reader after each such paper.

    literature  --spawn-->  reader (one per relevant paper, a share of the budget each)
        ^                      |
        '--- finding, or a request to go beyond its share ---'

A reader that finds its paper worth more than its share covers asks its parent; the parent asks a person once for all
that ask meanwhile, and passes money on or not. Input: {"subject": "arxiv.cs.AI", "relevance": 0.35}.
"""

from typing import Annotated

from pydantic import BaseModel, Field, JsonValue

from maestro.budget.vector import USD, BudgetVector
from maestro.continuation.directive import Closing, Finish, Sleep, Wait
from maestro.continuation.finding import Finding
from maestro.continuation.mail import Mail
from maestro.field.ranker import RELEVANT
from maestro.ids import ContinuationId
from maestro.mesh.event import Event
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick

DEFAULT_SUBJECT = "arxiv.cs.AI"
READER_SHARE = 0.05  # of what is free: twenty papers before the last half is touched
WORTH_MORE = 0.75  # a reader this sure of its paper asks to read on
READ_ON_USD_MICROS = 20_000  # what reading one paper closely may cost more


class Verdict(BaseModel):
    """Whether a paper bears on the goal."""

    relevant: bool
    confidence: Annotated[float, Field(ge=0, le=1)]
    reason: str


class Notes(BaseModel):
    """What a reader takes from a paper."""

    summary: str
    importance: Annotated[float, Field(ge=0, le=1)]


class Watched(BaseModel):
    """What a monitor has seen."""

    seen: int = 0
    relevant: int = 0
    readers: dict[str, str] = {}
    """child -> link of its paper"""
    asking: list[str] = []
    """Children that want to go beyond their share and have no answer yet."""
    asked: bool = False
    """True while a person is asked for them."""


class Literature(Behaviour[Watched]):
    """Sleeps on a feed subject."""

    name = "literature"

    async def start(self, tick: Tick[Watched]) -> Closing | None:
        wishes = _object(tick.about.input)
        relevance = wishes.get("relevance", RELEVANT)
        tick.subscribe(str(wishes.get("subject", DEFAULT_SUBJECT)), relevance=float(str(relevance)))
        return self._rest(tick)

    async def on_event(self, tick: Tick[Watched], event: Event) -> Closing | None:
        paper = _object(event.payload)
        tick.state.seen += 1
        verdict = await tick.think(
            "Does this paper bear on the goal?", schema=Verdict, about=_text(paper), step="haiku", max_output_tokens=200
        )
        if verdict.relevant:
            tick.state.relevant += 1
            child = tick.spawn(
                Reader,
                goal=tick.goal,
                budget=tick.budget.share(READER_SHARE),
                input={"paper": paper, "event": event.id},
            )
            tick.state.readers[child] = str(paper.get("link", ""))
        return self._rest(tick)

    async def on_message(self, tick: Tick[Watched], message: Mail) -> Closing | None:
        """A reader asks to go beyond its share."""
        if message.sender in tick.about.children and message.sender not in tick.state.asking:
            tick.state.asking.append(message.sender)
        return self._rest(tick)

    async def on_approval(self, tick: Tick[Watched], approval: Mail) -> Closing | None:
        approved = _object(approval.body).get("decision") == "approved"
        for child in tick.state.asking:
            if approved and tick.budget[USD] >= READ_ON_USD_MICROS:
                tick.grant(ContinuationId(child), BudgetVector({USD: READ_ON_USD_MICROS}))
            tick.send(child, {"read_on": approved}, subject="decision")
        tick.state.asking, tick.state.asked = [], False
        return self._rest(tick)

    async def on_child(self, tick: Tick[Watched], child: Mail) -> Closing | None:
        tick.state.readers.pop(child.child, None)
        if child.child in tick.state.asking:
            tick.state.asking.remove(child.child)
        return self._rest(tick)

    def _rest(self, tick: Tick[Watched]) -> Closing:
        """Asleep on the feed, and on a person's word where readers want more than their share."""
        if not tick.state.asking:
            tick.state.asked = False
            return Sleep.until_woken(because="asleep until a paper that bears on its goal")
        dollars = len(tick.state.asking) * READ_ON_USD_MICROS / 1_000_000
        papers = [tick.state.readers.get(child, child) for child in tick.state.asking]
        asks = tick.ask_approval(
            f"let {len(papers)} reader(s) spend ${dollars:.2f} beyond their share",
            {"papers": papers},  # type: ignore[dict-item]
            on_denied="resume",
            on_timeout="deny",
        )
        tick.state.asked = True
        return Wait.any_of(asks, Sleep.until_woken())


class Reading(BaseModel):
    """How far a reader is."""

    summary: str = ""
    read_on: bool | None = None


class Reader(Behaviour[Reading]):
    """Reads one paper, reports one finding, and is done."""

    name = "reader"

    async def start(self, tick: Tick[Reading]) -> Closing | None:
        notes = await tick.think(
            "What does this paper say about the goal, and how important is it for the goal?",
            schema=Notes,
            about=_text(self._paper(tick)),
            step="sonnet",
            max_output_tokens=400,
        )
        tick.state.summary = notes.summary
        if notes.importance >= WORTH_MORE and tick.about.parent is not None:
            tick.send(tick.about.parent, {"importance": notes.importance}, subject="beyond my share")
            return Sleep.until_woken(because="asked its monitor to go beyond its share")
        return self._report(tick, notes.importance)

    async def on_message(self, tick: Tick[Reading], message: Mail) -> Closing | None:
        tick.state.read_on = _object(message.body).get("read_on") is True
        if tick.state.read_on:
            more = await tick.think(
                "Read on: what exactly supports the summary?",
                about=f"{tick.state.summary}\n\n{_text(self._paper(tick))}",
                step="sonnet",
                max_output_tokens=600,
            )
            tick.state.summary = f"{tick.state.summary}\n\n{more}"
        return self._report(tick, 1.0)

    def _report(self, tick: Tick[Reading], confidence: float) -> Closing:
        paper, link = self._paper(tick), str(self._paper(tick).get("link", ""))
        evidence = (str(_object(tick.about.input).get("event", "")),)
        title = str(paper.get("title", "untitled"))[:500]
        tick.publish(
            Finding(title=title, body=tick.state.summary, links=(link,), evidence=evidence, confidence=confidence)
        )
        return Finish(result={"link": link, "read_on": tick.state.read_on})

    def _paper(self, tick: Tick[Reading]) -> dict[str, JsonValue]:
        return _object(_object(tick.about.input).get("paper"))


def _object(value: JsonValue) -> dict[str, JsonValue]:
    return value if isinstance(value, dict) else {}


def _text(paper: dict[str, JsonValue]) -> str:
    return f"{paper.get('title', '')}\n\n{paper.get('abstract') or paper.get('summary') or ''}"
