"""Answers heard while they are written: from any cursor the same goes on, whoever dies, and the whole comes last."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel

from maestro.continuation.directive import Closing, Finish, Sleep
from maestro.continuation.mail import Mail
from maestro.errors import CursorTooOld, InvalidInput, ProviderUnavailable, TimedOut
from maestro.ids import CallId, ContinuationId
from maestro.pager.pieces import PIECES_KEPT, Writing
from maestro.pager.streaming import Reset
from maestro.pager.telling import BEGUN_ANEW
from maestro.runtime import hearing, verbs
from maestro.runtime.backend import Backend
from maestro.runtime.hearing import Answer, Cursor, Heard, Piece, as_json, hear
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from tests.contract.speaking import END, Flaky, Mortal, Speaker
from tests.stage import Stage


class Said(BaseModel):
    said: list[str] = []


class Teller(Behaviour[Said]):
    """Asks for an answer in pieces."""

    async def start(self, tick: Tick[Said]) -> Closing | None:
        return Sleep.until_woken()

    async def on_message(self, tick: Tick[Said], message: Mail) -> Closing | None:
        match message.subject:
            case "later":
                tick.state.said.append(await tick.think(str(message.body), step="haiku", mode="async", stream=True))
            case "whole":
                tick.state.said.append(await tick.think(str(message.body), step="haiku"))
            case "by schema":
                await tick.think(str(message.body), schema=Said, stream=True)  # type: ignore[call-overload]
            case "end":
                return Finish(result="over")
            case _:
                tick.state.said.append(await tick.think(str(message.body), step="haiku", stream=True))
        return Sleep.until_woken()


class Show:
    """One that is asked, its provider, and a tick under way."""

    def __init__(self, stage: Stage, cid: ContinuationId) -> None:
        self.stage, self.cid = stage, cid
        self.speaker = Speaker()
        self.stage.pager = Mortal(self.speaker.desk(stage))
        self.tick: asyncio.Task[Any] | None = None

    async def ask(self, subject: str = "") -> None:
        """It is asked, and thinks in a tick of its own."""
        await verbs.send(self.stage.at, self.cid, "why?", subject=subject)
        asked = self.speaker.asked
        self.tick = asyncio.create_task(self.stage.tick())
        while self.speaker.asked == asked and not self.tick.done():  # noqa: ASYNC110 - it is asked by the tick
            await asyncio.sleep(0.001)

    async def end(self) -> None:
        assert self.tick is not None
        await self.tick

    async def pager_dies(self) -> None:
        """With all that it had in hand; the tick that waited for it is handed back, and tried again soon."""
        assert isinstance(self.stage.pager, Mortal)
        self.stage.pager.die()
        await self.end()
        self.stage.pager = Mortal(self.speaker.desk(self.stage))

    async def again(self) -> None:
        """The tick that was handed back is under way again."""
        await self.stage.advance(60_000)
        await self.stage.timekeeper.step()
        asked = self.speaker.asked
        self.tick = asyncio.create_task(self.stage.tick())
        while self.speaker.asked == asked and not self.tick.done():  # noqa: ASYNC110 - it is asked by the tick
            await asyncio.sleep(0.001)

    def hear(self, cursor: str | None = None, **more: Any) -> AsyncGenerator[Heard, None]:
        return hear(self.stage.at, self.cid, cursor, **more)


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener looks all the time."""
    monkeypatch.setattr(hearing, "PACE_S", 0.002)
    monkeypatch.setattr(hearing, "IDLE_S", 0.002)


@pytest.fixture
async def show(backend: Backend) -> AsyncIterator[Show]:
    stage = Stage(backend, Teller)
    cid = await stage.start(Teller)
    await stage.settle()
    yield Show(stage, cid)
    await stage.audit()


async def until(told: AsyncGenerator[Heard, None], enough: Callable[[str], object]) -> tuple[str, str]:
    """The text of what is told, resets heeded, as soon as it is enough; and the cursor."""
    text = ""
    async with asyncio.timeout(20):
        async for one in told:
            match one:
                case Piece(piece):
                    text += piece
                case hearing.Reset():
                    text = ""
                case Answer(whole):
                    assert text in (whole, ""), "what was told is the answer"
            if enough(text):
                return text, one.cursor
    raise AssertionError(f"told was {text!r}, and no more")


async def all_of(told: AsyncGenerator[Heard, None]) -> list[Heard]:
    async with asyncio.timeout(20):
        return [one async for one in told]


def text_of(heard: list[Heard]) -> str:
    text = ""
    for one in heard:
        text = text + one.text if isinstance(one, Piece) else ("" if isinstance(one, hearing.Reset) else text)
    return text


def whole_of(heard: list[Heard]) -> str:
    assert isinstance(heard[-1], Answer), heard
    return heard[-1].text


async def test_an_answer_is_heard_while_it_is_written_and_then_whole(show: Show) -> None:
    listener = show.hear()
    hearing_first = asyncio.create_task(until(listener, lambda text: text == "Once there"))
    await show.ask()
    show.speaker.say("Once ", "there")
    assert (await hearing_first)[0] == "Once there"
    assert await until(show.hear(), lambda text: text == "Once there")
    show.speaker.say(" was", END)
    rest = await all_of(listener)
    assert (text_of(rest), whole_of(rest)) == (" was", "Once there was")
    await show.end()
    assert await show.stage.state(show.cid) == {"said": ["Once there was"]}


async def test_from_every_cursor_the_rest_is_heard_without_a_gap_or_a_repetition(show: Show) -> None:
    await show.ask()
    places = [("", str(Cursor(0)))]
    for word in ("a ", "b ", "ö", "d"):
        show.speaker.say(word)
        before, cursor = places[-1]
        told, cursor = await until(show.hear(cursor), len)
        places.append((before + told, cursor))
    show.speaker.say(END)
    heard: list[Heard] = []
    for journaled in (False, True):
        if journaled:
            await show.end()
        for told, cursor in places:
            heard = await all_of(show.hear(cursor))
            assert told + text_of(heard) == whole_of(heard) == "a b öd"
    assert [as_json(one)["type"] for one in heard] == ["answer"]


async def test_a_failover_is_told_as_a_reset(show: Show) -> None:
    await show.ask()
    listener = show.hear()
    show.speaker.say("Half of")
    await until(listener, len)
    show.speaker.say(Reset("it broke off"), "The answer")
    told = [one async for one in _first(show.hear(str(Cursor(0))), 3)]
    assert [as_json(one)["type"] for one in told] == ["piece", "reset", "piece"]
    assert as_json(told[1])["because"] == "it broke off"
    show.speaker.say(END)
    heard = await all_of(show.hear(told[0].cursor))
    assert whole_of(heard) == text_of(heard) == "The answer"
    assert isinstance(heard[0], hearing.Reset)
    await show.end()


async def test_a_pager_that_dies_takes_back_what_it_told_and_the_next_one_tells_anew(show: Show) -> None:
    await show.ask()
    show.speaker.say("Half of")
    listener = show.hear()
    _, cursor = await until(listener, len)
    await show.pager_dies()
    await show.again()
    show.speaker.say("The answer", END)
    await show.end()
    for told in (listener, show.hear(cursor)):
        heard = await all_of(told)
        assert isinstance(heard[0], hearing.Reset)
        assert whole_of(heard) == text_of(heard) == "The answer"
    assert show.speaker.asked == 2


async def test_while_the_next_pager_tells_what_the_dead_one_told_is_void_and_it_can_add_nothing(show: Show) -> None:
    await show.ask()
    show.speaker.say("Half of")
    _, cursor = await until(show.hear(), len)
    await show.pager_dies()
    await show.again()
    show.speaker.say("The")
    told = [one async for one in _first(show.hear(cursor), 2)]
    assert [as_json(one).get("because", as_json(one).get("text")) for one in told] == [BEGUN_ANEW, "The"]
    (entry,) = await show.stage.backend.journals.entries(show.cid)
    writing = Writing(show.cid, entry.ordinal, entry.call_id)
    assert not await show.stage.backend.pieces.add(writing, 1, [" and from the grave"])
    show.speaker.say(END)
    await show.end()


async def test_a_call_that_failed_is_taken_back_and_its_successor_heard(show: Show) -> None:
    await show.ask()
    show.speaker.say("Half of")
    listener = show.hear()
    _, cursor = await until(listener, len)
    show.speaker.say(ProviderUnavailable("it is down", retry_after_ms=1))
    await show.end()
    await show.again()
    show.speaker.say("The answer", END)
    await show.end()
    heard = await all_of(show.hear(cursor))
    assert isinstance(heard[0], hearing.Reset)
    assert whole_of(heard) == text_of(heard) == "The answer"


async def test_behind_an_answer_the_next_one_is_waited_for(show: Show) -> None:
    cursor, heard = str(Cursor(0)), []
    for text in ("one", "two", "three"):
        await show.ask()
        show.speaker.say(text, END)
        await show.end()
        if text != "two":
            heard = await all_of(show.hear(cursor))
            cursor = heard[-1].cursor
    assert whole_of(heard) == "two", "those of the log come in their order"
    assert whole_of(await all_of(show.hear(cursor))) == "three"


async def test_an_answer_that_nobody_waits_for_with_a_process_is_heard_too(show: Show) -> None:
    await show.ask("later")
    await show.end()
    await show.stage.dispatcher.step()
    show.speaker.say("while all ", "sleep")
    listener = show.hear()
    assert (await until(listener, lambda text: text == "while all sleep"))[0]
    show.speaker.say(END)
    await show.stage.dispatcher.drain()
    assert whole_of(await all_of(listener)) == "while all sleep"
    await show.stage.settle()
    assert await show.stage.state(show.cid) == {"said": ["while all sleep"]}


async def test_a_cursor_before_all_that_is_kept_is_refused_with_one_that_is_not(show: Show) -> None:
    await show.ask()
    show.speaker.say("first")
    _, cursor = await until(show.hear(), len)
    (entry,) = await show.stage.backend.journals.entries(show.cid)
    writing = Writing(show.cid, entry.ordinal, entry.call_id)
    await show.stage.backend.pieces.add(writing, 1, ["x"] * PIECES_KEPT)
    assert (await until(show.hear(cursor), len))[0] == "x"
    with pytest.raises(CursorTooOld, match="pieces 1 to 1 of") as refused:
        await all_of(show.hear(str(Cursor(0, CallId(entry.call_id)))))
    assert replace(Cursor.parse(refused.value.cursor), rev=1) == Cursor.parse(cursor)
    show.speaker.say(END)
    await show.end()


async def test_a_store_that_fails_takes_pieces_with_it_and_not_the_answer(show: Show) -> None:
    flaky = Flaky(show.stage.backend.pieces)
    show.stage.pager = Mortal(show.speaker.desk(show.stage, flaky))
    await show.ask()
    listener = show.hear()
    show.speaker.say("Once ")
    await until(listener, len)
    flaky.away = True
    show.speaker.say("there ")
    while not flaky.refused:  # noqa: ASYNC110 - its writer sees it first
        await asyncio.sleep(0.001)
    flaky.away = False
    show.speaker.say("was", END)
    await show.end()
    heard = await all_of(listener)
    assert (text_of(heard), whole_of(heard)) == ("there was", "Once there was")
    assert flaky.added == ["Once "], "nothing follows a piece that may be missing"


async def test_only_answers_asked_for_in_pieces_are_heard_and_the_end_is_the_end(show: Show) -> None:
    await verbs.send(show.stage.at, show.cid, "why?", subject="whole")
    await show.stage.settle()
    with pytest.raises(TimedOut):
        await all_of(show.hear(str(Cursor(0)), timeout_s=0.1))
    await verbs.send(show.stage.at, show.cid, None, subject="end")
    await show.stage.settle()
    assert await all_of(show.hear(str(Cursor(0)))) == []


async def test_a_stream_is_reserved_for_two_attempts_where_that_can_be_paid(show: Show) -> None:
    await show.ask()
    (entry,) = await show.stage.backend.journals.entries(show.cid)
    assert entry.price["cheap_model_calls"] == 2
    show.speaker.say("all", END)
    await show.end()


async def test_a_stream_by_schema_and_a_cursor_that_is_none_are_refused(show: Show) -> None:
    await show.ask("by schema")
    await show.end()
    glance = await verbs.glance_of(show.stage.at, show.cid)
    assert "is told whole" in (glance.error or "")
    with pytest.raises(InvalidInput, match="is no cursor"):
        await all_of(show.hear("yesterday"))


async def _first(told: AsyncGenerator[Heard, None], count: int) -> AsyncIterator[Heard]:
    async with asyncio.timeout(20):
        async for one in told:
            yield one
            count -= 1
            if not count:
                return
