"""`make demo` tells the story that the README promises, exits 0, and leaves no process."""

import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from actors.processes import lives
from tests.e2e.support import ROOT_FOLDER

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

MARK = "TESTED_DEMO"
WITHIN_S = float(os.environ.get("COMMAND_S", "240")) * 2


@pytest.fixture
def home() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="md", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


def test_the_demo_tells_what_the_readme_promises_and_leaves_nothing(home: Path) -> None:
    mark = secrets.token_hex(8)
    inherited = {name: text for name, text in os.environ.items() if not name.startswith(("MAESTRO_", "RAY_"))}
    ran = subprocess.run(
        [Path(sys.executable).with_name("maestro"), "demo"],
        cwd=ROOT_FOLDER,
        env={**inherited, "MAESTRO_HOME": str(home), MARK: mark},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert (ran.returncode, ran.stderr[-2_000:] if ran.returncode else "") == (0, "")
    assert marked(mark) == []
    told = iter(ran.stdout.splitlines())
    assert [line for line in promised() if not any(shape(line).fullmatch(said) for said in told)] == [], ran.stdout
    lines = re.search(r"^(\d+) lines told", ran.stdout, re.MULTILINE)
    assert lines is not None
    assert int(lines[1]) == len(re.findall(r"^  \[ *[\d.]+s\] ok  ", ran.stdout, re.MULTILINE))


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
    return re.compile(re.sub(r" +", " +", pattern) + ".*")


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
