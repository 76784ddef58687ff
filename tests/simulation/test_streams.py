"""What a tool's stream says arrives at who listens: in order, once, through deaths, and not after the end."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import BaseModel, JsonValue

from maestro.behaviours import Stream
from maestro.continuation.directive import Closing, Finish, Sleep
from maestro.continuation.mail import Mail
from maestro.errors import InvalidInput
from maestro.ids import ContinuationId
from maestro.testing.harness import Case, Harness, anywhere
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from maestro.tools.classes import Tools, command
from maestro.tools.classes import stream as stream_method
from maestro.tools.streams import MAX_ITEM_BYTES, Gap, Item, stream

TRADES: list[str] = []
"""What has happened at the exchange, oldest first."""
LOST = 0
"""How many of them the exchange remembers no more."""
BROKEN = False
SNAPS = False
"""The line breaks after each trade that it brings."""


class Market(Tools):
    """An exchange."""

    @command(side_effect="pure")
    def last(self) -> str:
        """The newest trade."""
        return TRADES[-1]

    @stream_method(at_most=3, window_s=1)
    async def trades(self, cursor: str | None = None) -> AsyncIterator[Item | Gap]:
        """Each trade."""
        if BROKEN:
            raise ConnectionError("the exchange is closed")
        after = int(cursor or 0)
        if after < LOST:
            yield Gap(gap=f"{LOST - after} trades are remembered no more", cursor=str(LOST))
            after = LOST
        for number, trade in enumerate(TRADES[after:], start=after + 1):
            yield Item(value=trade, cursor=str(number))
            if SNAPS:
                raise ConnectionResetError("the line is dead")


class Heard(BaseModel):
    told: list[JsonValue] = []
    listener: str = ""


class Trader(Behaviour[Heard]):
    """Writes down what it hears."""

    async def start(self, tick: Tick[Heard]) -> Closing | None:
        tick.state.listener = tick.listen(Market.trades, every_s=60)
        return Sleep.until_woken()

    async def on_message(self, tick: Tick[Heard], message: Mail) -> Closing | None:
        body: Any = message.body
        if message.subject.startswith("stream."):
            assert message.trust == "untrusted"
            entries = [each.get("value") or each["gap"] for each in body.get("entries", [])]
            tick.state.told += entries or [body["kind"]]
        elif body == "enough":
            tick.stop_listening(ContinuationId(tick.state.listener))
        elif body == "goodbye":
            return Finish(result=list(tick.state.told))
        return Sleep.until_woken()


PARTY = (Trader, Stream)


@pytest.fixture(autouse=True)
def market(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "TRADES", ["a", "b"])
    monkeypatch.setitem(globals(), "LOST", 0)
    monkeypatch.setitem(globals(), "BROKEN", False)
    monkeypatch.setitem(globals(), "SNAPS", False)


def opened(harness: Harness) -> Case:
    return harness.start(Trader)


def listener_of(harness: Harness) -> Case:
    return next(case for case in harness.all() if case.shown["behaviour"] == "stream")


def test_what_is_new_arrives_in_order_and_what_was_told_is_not_told_again() -> None:
    with Harness(*PARTY, tools=Market.tools) as harness:
        trader = opened(harness)
        assert trader.state["told"] == ["a", "b"]
        TRADES.extend("cdefg")
        harness.advance(seconds=65)
        assert trader.state["told"] == list("abcde"), "three at a time, by the window"
        harness.advance(minutes=10)
        assert trader.state["told"] == list("abcdefg")
        letters = listener_of(harness).state["letters"]
        harness.advance(hours=1)
        assert listener_of(harness).state["letters"] == letters, "where nothing is new nothing is written"


def test_it_goes_on_wherever_a_process_dies() -> None:
    def scenario(harness: Harness) -> Any:
        TRADES[:] = ["a", "b"]
        trader = opened(harness)
        harness.advance(minutes=2)
        TRADES.extend("cde")
        harness.advance(minutes=5)
        return trader.state["told"]

    expected, outcomes = anywhere(scenario, *PARTY, tools=Market.tools)
    assert expected == list("abcde")
    assert len(outcomes) > 20
    assert [each for each in outcomes if each != expected] == []


def test_what_cannot_be_brought_any_more_is_a_gap_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    with Harness(*PARTY, tools=Market.tools) as harness:
        trader = opened(harness)
        TRADES.extend("cdefg")
        monkeypatch.setitem(globals(), "LOST", 4)
        harness.advance(minutes=10)
        assert trader.state["told"] == ["a", "b", "2 trades are remembered no more", "e", "f", "g"]


def test_a_fault_is_told_once_and_so_is_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with Harness(*PARTY, tools=Market.tools) as harness:
        trader = opened(harness)
        monkeypatch.setitem(globals(), "BROKEN", True)
        harness.advance(hours=5)
        assert trader.state["told"] == ["a", "b", "fault"]
        TRADES.append("c")
        monkeypatch.setitem(globals(), "BROKEN", False)
        harness.advance(hours=2)
        assert trader.state["told"] == ["a", "b", "fault", "recovered", "c"]


def test_what_breaks_off_after_it_brought_something_is_a_fault_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "SNAPS", True)
    with Harness(*PARTY, tools=Market.tools) as harness:
        trader = opened(harness)
        harness.advance(seconds=65)
        assert trader.state["told"] == ["a", "fault", "b"], "each as it came; the fault once"
        monkeypatch.setitem(globals(), "SNAPS", False)
        TRADES.append("c")
        harness.advance(hours=1)
        assert trader.state["told"] == ["a", "fault", "b", "recovered", "c"]


@pytest.mark.parametrize("word", ["enough", "goodbye"])
def test_it_ends_when_it_is_told_to_and_when_who_listens_ends(word: str) -> None:
    with Harness(*PARTY, tools=Market.tools) as harness:
        trader = opened(harness)
        trader.send(word)
        TRADES.append("c")
        harness.advance(hours=1)
        assert listener_of(harness).status in ("completed", "cancelled")
        assert trader.state["told"] == ["a", "b"]


def test_a_stream_that_is_not_there_ends_its_child_and_says_why() -> None:
    with Harness(*PARTY) as harness:
        opened(harness)
        ended: Any = listener_of(harness).result
        assert ended["error"]["code"] == "tool_not_found"


def test_an_item_that_is_too_large_is_a_gap() -> None:
    @stream(window_s=1)
    async def pages(cursor: str | None = None) -> AsyncIterator[Item]:
        """Pages."""
        yield Item(value="x" * (MAX_ITEM_BYTES + 1), cursor="1")

    with Harness(*PARTY, tools=[pages]) as harness:
        batch: Any = harness.run(pages.function())
        assert (batch.cursor, type(batch.entries[0])) == ("1", Gap)


@pytest.mark.parametrize(
    ("declared", "field"),
    [
        ({"side_effect": "unsafe"}, "side_effect"),
        ({"outgoing": True}, "outgoing"),
        ({"risk": "high"}, "risk"),
        ({"window_s": 0}, "window_s"),
    ],
)
def test_a_stream_only_takes_in(declared: dict[str, Any], field: str) -> None:
    async def news(cursor: str | None = None) -> AsyncIterator[Item]:
        yield Item(value=1, cursor="1")

    with pytest.raises(InvalidInput) as refused:
        stream(**declared)(news)
    assert refused.value.field == field


def test_a_stream_takes_a_cursor() -> None:
    async def news() -> AsyncIterator[Item]:
        yield Item(value=1, cursor="1")

    with pytest.raises(InvalidInput, match="takes no `cursor`"):
        stream()(news)
