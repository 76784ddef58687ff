"""The tutorial as a newcomer follows it: each block in order, in an empty folder, on an installation of its own.

With TUTORIAL_FROM_CLONE=1 (`make tutorial`) the first block is followed too: a clone, and an environment from the lock.
Else the folder finds the environment of these tests where the clone would be. Only ports differ from what is written.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.support import COMMAND_S, ROOT_FOLDER
from tests.integration.test_readme import alike, dialogue
from tests.loopback import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

PAGE = (ROOT_FOLDER / "docs" / "tutorial" / "an-observer-of-your-own.md").read_text()
BLOCK = re.compile(r"^<!-- tested: (?P<how>[\w. ]+) -->\n```\w+\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
FROM_CLONE = os.environ.get("TUTORIAL_FROM_CLONE", "") == "1"
PORT = "8123"
SHELL_S = 1_200.0 if FROM_CLONE else COMMAND_S
SEEN_S = 120.0


@dataclass
class Newcomer:
    """A person with a shell: where they are, and what they have exported, outlasts each block."""

    folder: Path
    port: str
    environment: dict[str, str]

    def follow(self, how: str, text: str) -> None:
        text = text.replace(PORT, self.port)
        match how.split():
            case ["clone"] if FROM_CLONE:
                self.run(text)
            case ["clone"]:
                (self.folder / "maestro").symlink_to(ROOT_FOLDER)
            case ["file", name]:
                (self._here / name).write_text(text)
            case ["sh"]:
                self.run(text)
            case ["console"]:
                self.talk(text)
            case _:
                raise AssertionError(f"a block is tested as {how!r}")

    def run(self, text: str) -> str:
        """What these lines print; each succeeds."""
        before = f". {self._kept}; cd {self._here}" if self._kept.exists() else ""
        after = f"export -p > {self._kept}; pwd > {self._place}"
        out = self.folder / "out"
        with out.open("w+") as printed:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", f"{before}\n{text}\n{after}"],
                cwd=self.folder,
                env=self.environment,
                stdout=printed,
                stderr=subprocess.STDOUT,
                timeout=SHELL_S,
                check=False,
            )
        assert done.returncode == 0, f"{text}\n{out.read_text()[-3000:]}"
        return out.read_text()

    def talk(self, text: str) -> None:
        """Each command says what stands below it, soon."""
        for command, printed in dialogue(text):
            deadline = time.monotonic() + SEEN_S
            while alike(said := self.run(command)) != alike(printed):
                assert not command.startswith("maestro start"), f"$ {command}\n{said}"
                assert time.monotonic() < deadline, f"$ {command}\n{said}"
                time.sleep(0.5)

    @property
    def _kept(self) -> Path:
        return self.folder / ".exported"

    @property
    def _place(self) -> Path:
        return self.folder / ".place"

    @property
    def _here(self) -> Path:
        return Path(self._place.read_text().strip()) if self._place.exists() else self.folder


@pytest.fixture
def newcomer() -> Iterator[Newcomer]:
    folder = Path(tempfile.mkdtemp(prefix="mtut-", dir="/tmp"))
    inherited = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith(("MAESTRO_", "RAY_", "OTEL_", "PYTHON", "VIRTUAL_ENV"))
    }
    own = {
        "HOME": str(folder),
        "MAESTRO_DASHBOARD_PORT": "0",
        "MAESTRO_PANE": "off",
        "REPOSITORY": str(ROOT_FOLDER),
    }
    made = Newcomer(folder, str(free_port()), {**inherited, **own})
    yield made
    home = folder / "observatory" / "home"
    if home.exists():
        maestro = [str(Path(sys.executable).with_name("maestro")), "--home", str(home), "down", "--purge"]
        subprocess.run(maestro, env=made.environment, capture_output=True, timeout=SHELL_S, check=False)
    with suppress(OSError, ValueError):
        os.kill(int((folder / "observatory" / "feed.pid").read_text()), signal.SIGTERM)
    shutil.rmtree(folder)


def test_every_block_of_the_tutorial_is_tested() -> None:
    assert len(BLOCK.findall(PAGE)) == PAGE.count("\n```") // 2


def test_from_nothing_to_an_own_behaviour_that_wakes_on_an_own_feed(newcomer: Newcomer) -> None:
    for block in BLOCK.finditer(PAGE):
        newcomer.follow(block["how"], block["text"])
    home = newcomer.folder / "observatory" / "home"
    assert not (home / "redis" / "data").exists(), "nothing is left"
