import asyncio

import pytest

from maestro.adapters.memory.clock import SystemClock
from maestro.clock import Clock, ManualClock
from maestro.ids import TimeMs


async def _sleeper(clock: Clock, due_ms: int, woken: list[int]) -> None:
    await clock.sleep_until(TimeMs(due_ms))
    woken.append(due_ms)


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_clock_moves_only_when_told() -> None:
    clock = ManualClock(start_ms=100)
    assert await clock.now_ms() == clock.read() == 100
    assert clock.advance(50) == 150
    assert await clock.now_ms() == 150


async def test_nobody_wakes_early() -> None:
    clock, woken = ManualClock(start_ms=0), list[int]()
    task = asyncio.create_task(_sleeper(clock, 100, woken))
    await _settle()
    clock.advance(99)
    await _settle()
    assert woken == []
    clock.advance(1)
    await task
    assert woken == [100]


async def test_one_leap_wakes_sleepers_in_order_of_their_due_times() -> None:
    clock, woken = ManualClock(start_ms=0), list[int]()
    tasks = [asyncio.create_task(_sleeper(clock, due, woken)) for due in (300, 100, 200, 400)]
    await _settle()
    clock.advance(300)
    await _settle()
    assert woken == [100, 200, 300]
    clock.advance(100)
    await asyncio.gather(*tasks)
    assert woken == [100, 200, 300, 400]


async def test_a_time_that_has_come_is_not_waited_for() -> None:
    await asyncio.wait_for(ManualClock(start_ms=100).sleep_until(TimeMs(100)), timeout=5)


async def test_a_cancelled_sleeper_harms_nobody() -> None:
    clock, woken = ManualClock(start_ms=0), list[int]()
    gone, stays = (asyncio.create_task(_sleeper(clock, due, woken)) for due in (100, 101))
    await _settle()
    gone.cancel()
    clock.advance(200)
    await stays
    assert woken == [101]
    assert gone.cancelled()


def test_a_clock_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="cannot go back by -1 ms"):
        ManualClock().advance(-1)


def test_where_the_machine_s_clock_is_set_back_it_goes_on_from_where_it_was() -> None:
    shown = iter([1_000, 1_100, 400, 450, 1_149, 1_150, 1_200])
    clock = SystemClock(lambda: next(shown))
    assert [clock.read() for _ in range(7)] == [1_000, 1_100, 1_100, 1_150, 1_849, 1_850, 1_900]


def test_having_caught_up_it_shows_what_the_machine_shows() -> None:
    shown = iter([1_000, 400, 500, 1_200])
    clock = SystemClock(lambda: next(shown))
    assert [clock.read() for _ in range(4)] == [1_000, 1_000, 1_100, 1_200]
