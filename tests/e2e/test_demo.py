"""`maestro demo --pane` tells the story that the README promises, exits 0, and leaves no process.

Meanwhile somebody watches it in the pane, in a real browser, and gives the approval there; without a browser the story
is told alone.
"""

import os
import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from actors.processes import lives
from tests.e2e.support import ROOT_FOLDER
from tests.e2e.watching import Onlooker, Story
from tests.pane.theatre import STATIC, browsing, chromium

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(780)]

MARK = "TESTED_DEMO"
WITHIN_S = float(os.environ.get("COMMAND_S", "240")) * 2


@pytest.fixture
def home() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="md", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def told() -> Iterator[Story]:
    """The story from its first word to its last, with somebody in the pane where there is a browser."""
    home = Path(tempfile.mkdtemp(prefix="md", dir="/tmp"))
    mark, watched = secrets.token_hex(8), chromium() is not None and (STATIC / "index.html").exists()
    inherited = {name: text for name, text in os.environ.items() if not name.startswith(("MAESTRO_", "RAY_"))}
    command = [str(Path(sys.executable).with_name("maestro")), "demo", *(["--pane"] if watched else [])]
    given = {**inherited, "MAESTRO_HOME": str(home), "MAESTRO_PANE_PORT": "0", MARK: mark}
    with Story(command, given, WITHIN_S) as story:
        if watched:
            with browsing() as browser:
                story.onlooker = Onlooker(browser, story)
                story.onlooker.watch()
        story.ended()
    story.left = marked(mark)
    yield story
    shutil.rmtree(home)


def test_the_demo_tells_what_the_readme_promises_and_leaves_nothing(told: Story) -> None:
    assert (told.status, told.complaints[-2_000:] if told.status else "") == (0, ""), told.whole
    assert told.left == []
    lines = iter(told.lines)
    assert [line for line in promised() if not any(shape(line).fullmatch(said) for said in lines)] == [], told.whole
    counted = re.search(r"^(\d+) lines told", told.whole, re.MULTILINE)
    assert counted is not None
    assert int(counted[1]) == len(re.findall(r"^  \[ *[\d.]+s\] ok  ", told.whole, re.MULTILINE))


@pytest.mark.shows("8.2")
def test_the_story_is_followed_in_the_pane_and_approved_there(told: Story) -> None:
    if (seen := told.onlooker) is None:
        pytest.skip("there is no chromium here, or the pane is not built")
    assert seen.failed == "", told.whole
    for line in ("somebody watches in the pane", "approved in the pane, by whoever watches"):
        assert any(said.endswith(line) for said in told.lines), told.whole
    assert {"sleeping", "asks you"} <= seen.states, "rows changed their state before their eyes"
    assert seen.ticks >= 2, "without a reload"
    assert "https://example.org/abs/" in seen.finding
    assert seen.late_ms, "no tick was seen"
    print(f"\n{len(seen.late_ms)} ticks seen, {seen.told_late}")
    assert seen.complaints == []


def test_the_readme_shows_a_story_and_make_demo_is_that_command() -> None:
    assert sum(" ok  " in line for line in promised()) >= 10
    assert "\ndemo: setup\n\t$(BIN)/maestro demo\n" in (ROOT_FOLDER / "Makefile").read_text()


def promised() -> list[str]:
    """The lines of the story in the README, in their order."""
    page = (ROOT_FOLDER / "README.md").read_text()
    (story,) = (block for block in re.findall(r"```text\n(.*?)```", page, re.DOTALL) if "lines told" in block)
    return [line for line in story.splitlines() if line.strip()]


def shape(line: str) -> re.Pattern[str]:
    """The line with any numbers and times in it."""
    pattern = re.sub(r"\d+", "[0-9]+", re.escape(line).replace(r"\ ", " "))
    return re.compile(re.sub(r" +", " +", pattern).replace(r"\[ +", r"\[ *") + ".*")


def marked(mark: str) -> list[str]:
    """Living processes that were given the mark, whoever began them."""
    found = []
    for process in psutil.process_iter():
        try:
            if lives(process) and process.environ().get(MARK) == mark:
                found.append(f"{process.pid} {process.name()}")
        except psutil.Error:
            continue
    return found
