"""The harness that users test their behaviours with; the page that explains it is run as it stands."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from maestro.continuation.directive import Closing, Finish, Sleep
from maestro.continuation.mail import Mail
from maestro.testing.harness import Harness, anywhere
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "test-a-behaviour.md").read_text()


class Sum(BaseModel):
    total: int = 0


class Adder(Behaviour[Sum]):
    """Adds what it is sent, and fails on what it is told to fail on."""

    async def on_message(self, tick: Tick[Sum], message: Mail) -> Closing | None:
        if message.body == "fail":
            raise ValueError("told to fail")
        if message.body == "spin":
            return await self.on_timer(tick, "spin")
        tick.state.total += int(str(message.body))
        return Finish(result=tick.state.total) if tick.state.total > 9 else Sleep.until_woken()

    async def on_timer(self, tick: Tick[Sum], timer_id: str) -> Closing | None:
        tick.set_timer(timer_id, tick.now_ms)
        return None


def _of_page() -> dict[str, Any]:
    """The page's blocks as one module."""
    module: dict[str, Any] = {"__name__": "page"}
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        exec(compile(block, "docs/how-to/test-a-behaviour.md", "exec"), module)  # noqa: S102 - our own page
    return module


_page = _of_page()
PAGE_TESTS: dict[str, Callable[[], None]] = {name: test for name, test in _page.items() if name.startswith("test_")}


@pytest.mark.parametrize("name", PAGE_TESTS)
def test_the_page_says_what_is_so(name: str) -> None:
    PAGE_TESTS[name]()


def test_the_page_has_three_tests() -> None:
    assert len(PAGE_TESTS) == 3


def test_a_case_tells_of_itself() -> None:
    with Harness(Adder) as maestro:
        adder = maestro.start(Adder, goal="add")
        adder.send(4)
        assert (adder.state, adder.status, adder.result) == ({"total": 4}, "pending", None)
        adder.send(6)
        assert (adder.result, adder.why, len(adder.log)) == (10, "completed", 3)
        assert [case.id for case in maestro.all()] == [adder.id]


def test_a_tick_that_fails_is_on_hold_when_the_deed_returns() -> None:
    with Harness(Adder) as maestro:
        adder = maestro.start(Adder)
        adder.send("fail")
        assert "quarantined: ValueError: told to fail" in adder.why


def test_who_goes_on_for_ever_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maestro.testing.loop.STILL_TURNS", 2_000)
    with Harness(Adder) as maestro:
        adder = maestro.start(Adder)
        with pytest.raises(AssertionError, match=adder.id):
            adder.send("spin")


def test_what_must_never_be_is_told_on_the_way_out() -> None:
    with pytest.raises(AssertionError, match="I9: this is planted"), Harness(Adder) as maestro:
        maestro.world.history.violations.append("I9: this is planted")


def test_the_failure_of_the_test_itself_goes_first() -> None:
    with pytest.raises(ZeroDivisionError), Harness(Adder) as maestro:
        maestro.world.history.violations.append("planted")
        raise ZeroDivisionError


def test_a_scenario_that_differs_from_run_to_run_is_told() -> None:
    runs: list[int] = []

    def moody(maestro: Harness) -> None:
        runs.append(1)
        adder = maestro.start(Adder)
        for _ in range(3 if len(runs) == 1 else 0):
            adder.send(1)

    with pytest.raises(AssertionError, match="differs from run to run"):
        anywhere(moody, Adder)
