"""What one says is read while it says it; and how far the end of a bounded turn has come is told in words."""

from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import pytest
from playwright.sync_api import expect

from maestro.continuation.directive import Closing, Finish, Sleep
from maestro.continuation.mail import Mail
from maestro.errors import ContinuationExpiredError
from maestro.ids import ContinuationId
from maestro.pager.streaming import Reset
from maestro.runtime import verbs
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from maestro.turns import DeliveryState
from tests.contract.speaking import END, Line, Mortal, Speaker
from tests.contract.turns_support import PostThatKnows, Turns, reply
from tests.pane.theatre import Seat, Theatre
from tests.pane_stage import Reading
from tests.stage import Stage


class Teller(Behaviour[Reading]):
    """Answers whoever asks, in pieces."""

    async def start(self, tick: Tick[Reading]) -> Closing | None:
        return Sleep.until_woken()

    async def on_message(self, tick: Tick[Reading], message: Mail) -> Closing | None:
        said = await tick.think(str(message.body), step="haiku", stream=True)
        return Finish(result=said) if message.body == "the last" else Sleep.until_woken()


class Talk:
    """One that is asked, and its provider."""

    def __init__(self, theatre: Theatre) -> None:
        self._theatre = theatre
        theatre.do(self._begin())

    async def _begin(self) -> None:
        self._stage = Stage(self._theatre.at.backend, Teller)
        self._speaker = Speaker()
        self._stage.pager = Mortal(self._speaker.desk(self._stage))
        self.cid = await self._stage.start(Teller)
        await self._stage.settle()

    def ask(self, words: str) -> Future[None]:
        """It is asked, and thinks until it was told all."""

        async def asked() -> None:
            await verbs.send(self._stage.at, ContinuationId(self.cid), words)
            await self._stage.tick()

        return self._theatre.begin(asked())

    def say(self, *lines: str | Line) -> None:
        async def said() -> None:
            self._speaker.say(*lines)

        self._theatre.do(said())


@pytest.mark.spec("06.13")
@pytest.mark.spec("06.14")
def test_an_answer_is_read_while_it_is_spoken_also_after_a_reload(theatre: Theatre, seat: Seat) -> None:
    talk = Talk(theatre)
    page = seat.look(f"?view=timeline&id={talk.cid}")
    words, about = page.locator(".voice .words"), page.locator(".voice figcaption")
    tick = talk.ask("why?")
    talk.say("A first ", "try")
    expect(words).to_have_text("A first try")
    talk.say(Reset("the provider broke off"), "Half <img src=x> of ")
    expect(words).to_have_text("Half <img src=x> of ", use_inner_text=True)
    expect(page.locator(".voice")).to_contain_text("the provider broke off")
    page.reload()
    expect(words).to_have_text("Half <img src=x> of ", use_inner_text=True)
    expect(about).to_have_text("It says")

    talk.say("it", END)
    tick.result(30)
    expect(about).to_have_text("It said")
    expect(words).to_have_text("Half <img src=x> of it")
    assert page.locator("img").count() == 0
    last = talk.ask("the last")
    talk.say("Over", END)
    last.result(30)
    expect(page.locator(".voice")).to_have_count(0)  # it has ended, and nobody listens on
    assert seat.complaints == []


@pytest.mark.spec("06.18")
def test_every_state_of_a_delivery_is_told_in_words_of_its_own(theatre: Theatre, seat: Seat) -> None:
    ended = theatre.do(_all_ends(theatre))
    theatre.settle()
    seat.enter()  # two days are longer than a browser stays known
    assert set(ended) == set(DeliveryState)
    words = {}
    for state, cid in ended.items():
        page = seat.look(f"?view=timeline&fold=&id={cid}")
        fact = page.locator(".c-head .facts div", has=page.get_by_text("delivery", exact=True)).locator("dd")
        fact.wait_for()
        words[state] = fact.inner_text()
    assert len(set(words.values())) == len(words), words
    assert "came back" in words[DeliveryState.SUPPRESSED_SESSION_REENGAGED]
    assert "the mailbox is full" in words[DeliveryState.DELIVERY_FAILED]
    assert seat.complaints == []


async def _all_ends(theatre: Theatre) -> dict[DeliveryState, str]:
    """A turn for each state that its delivery may be in."""
    post = PostThatKnows()
    turns, alone = Turns(theatre.at.backend, delivery=post), Turns(theatre.at.backend)
    made = [await alone.resume(await alone.create(), reply())]
    scripts: tuple[tuple[bool, list[Any]], ...] = ((False, []), (True, []), (False, ["the mailbox is full"]))
    for number, (came_back, script) in enumerate(scripts):
        post.came_back, post.script = came_back, script
        made.append(await turns.resume(await turns.create(origin=f"turn-{number + 2}"), reply()))
    killed = await turns.create(origin="turn-6")
    post.script = [_Killed()]
    with suppress(_Killed):
        await turns.resume(killed, reply())
    records = [*(resumed.continuation for resumed in made), await turns.get(killed)]
    superseded = await turns.create(origin="turn-7")
    await turns.create(origin="turn-8", supersede=True)
    expired = await turns.create(origin="turn-9")
    theatre.wind(days=2)
    with suppress(ContinuationExpiredError):
        await turns.resume(expired, reply())
    records += [await turns.get(superseded), await turns.get(expired)]
    return {record.delivery.state: record.id for record in records}


class _Killed(BaseException):
    """The process ends in mid delivery."""
