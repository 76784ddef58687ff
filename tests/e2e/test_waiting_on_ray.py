"""Continuations in slow model calls on a real Ray hold no process; the short form of `benchmarks --only waiting`."""

import pytest

from benchmarks import waiting
from benchmarks.report import Scale

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.mark.shows("6.6")
@pytest.mark.spec("05.3")
async def test_thirty_in_slow_calls_hold_as_many_processes_as_three_and_each_asks_once() -> None:
    outcome = await waiting.measure(Scale.QUICK)
    print(outcome.line())
    figures = {row.what.partition(": ")[2]: (row.ours, row.bare) for row in outcome.rows}
    most, crowd = figures["under way at once"]
    assert most == crowd == 30
    many, few = figures[f"processes, beside {waiting.FEW}"]
    assert few is not None
    assert many <= few
    assert figures["calls at the provider for each"] == (1, 1)
    assert outcome.detail["spent"] == [1_100], "all were charged what the provider billed"
