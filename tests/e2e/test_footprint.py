"""What an installation on one machine takes is measured, and the page that tells of it is not out of date."""

import re

import pytest

from benchmarks import footprint, running
from benchmarks.footprint import MEMORY, PROCESSES, SHARE
from tests.e2e.support import ROOT_FOLDER, Site

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

WATCH_S = 1.0
STALE = 1.6
"""A page that differs from what is by more is out of date; the tests' installation differs from the usual by less."""
PAGE = ROOT_FOLDER / "docs" / "how-to" / "keep-it-running.md"
MEASURED = re.compile(
    r"(?P<processes>\d+) processes, (?P<gib>[\d.]+) GiB of memory \(proportional.*?\), (?P<share>\d+) % of one core"
)


@pytest.mark.spec("02.13")
def test_the_footprint_is_measured_and_the_page_tells_what_is(shared_site: Site) -> None:
    found = footprint.taken(shared_site.settings, WATCH_S)
    rows = {row.what: row for row in found.rows}
    assert list(rows) == [PROCESSES, MEMORY, SHARE]
    mib: dict[str, float] = found.detail["mib_by_kind"]  # type: ignore[assignment]  # JSON
    assert {"actors", "raylet", "gcs_server", "Ray's agents"} <= mib.keys()
    assert sum(mib.values()) == pytest.approx(rows[MEMORY].ours, rel=0.2)
    assert rows[PROCESSES].ours >= len(shared_site.traces()) - 5, (
        "found another way, a moment later, without Ray's agents"
    )
    told = MEASURED.search(" ".join(PAGE.read_text().split()))
    assert told is not None
    for written, row in ((float(told["processes"]), PROCESSES), (float(told["gib"]) * 1024, MEMORY)):
        assert rows[row].ours / STALE <= written <= rows[row].ours * STALE, row


def test_the_page_names_the_command_that_measures_it() -> None:
    assert "footprint" in running.ROOMS
    assert "`python -m benchmarks --only footprint`" in PAGE.read_text()
