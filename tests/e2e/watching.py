"""The demo's story as it is told, line by line; and somebody who follows it in the pane, with eyes and a keyboard.

The onlooker knows only what the story prints and the page shows: the link, rows, questions, findings.
"""

import queue
import statistics
import subprocess
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Self

from playwright.sync_api import Browser, Error, Page

from tests.e2e.support import ROOT_FOLDER
from tests.pane.theatre import LATE, WATCH

LOOK_MS = 250
STATES = """() => [...document.querySelectorAll('.strip .state')].map((one) => one.textContent.trim())"""
TICKS = """() => Math.max(0, ...[...document.querySelectorAll('.strip .facts')].map(
  (one) => Number(/tick (\\d+)/.exec(one.textContent)?.[1] ?? 0)))"""
TO_APPROVE = """(done) => {
  const open = [...document.querySelectorAll('li.wait.approval')].find((one) => !done.includes(one.dataset.wait));
  open?.focus();
  return open?.dataset.wait ?? null;
}"""


class Story:
    """`maestro demo`, under way: what it says is there as it says it."""

    def __init__(self, command: Iterable[str | Path], given: Mapping[str, str], within_s: float) -> None:
        self._until = monotonic() + within_s
        self._said: queue.Queue[str | None] = queue.Queue()
        self._complained: list[str] = []
        self.lines: list[str] = []
        self.left: list[str] = []
        """Processes that outlived it."""
        self.onlooker: Onlooker | None = None
        self._process = subprocess.Popen(
            list(command), cwd=ROOT_FOLDER, env=given, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read, self._read_complaints)]

    def __enter__(self) -> Self:
        for reader in self._readers:
            reader.start()
        return self

    def __exit__(self, *failed: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(60)
        for reader in self._readers:
            reader.join(60)
        self._process.__exit__(None, None, None)  # its pipes are closed

    @property
    def status(self) -> int | None:
        return self._process.returncode

    @property
    def whole(self) -> str:
        return "\n".join(self.lines)

    @property
    def complaints(self) -> str:
        return "".join(self._complained)

    def hears(self, words: str, wait_s: float = 0.0) -> bool:
        """True once a line has these words; waits so long for more lines."""
        until = monotonic() + wait_s
        while not any(words in line for line in self.lines):
            with suppress(queue.Empty):
                line = self._said.get(timeout=max(0.0, min(until, self._until) - monotonic()) or 0.001)
                if line is None:
                    self._said.put(None)
                    return any(words in line for line in self.lines)
                self.lines.append(line)
                continue
            if monotonic() >= min(until, self._until):
                return False
        return True

    def line(self, words: str) -> str:
        """The line with these words, as soon as it is told.

        Raises:
            AssertionError: the story ended, or its time is over, without it.
        """
        assert self.hears(words, self._until - monotonic()), f"the story was told without {words!r}"
        return next(line for line in self.lines if words in line)

    def ended(self) -> None:
        """It was told to its end."""
        self.hears("\0", self._until - monotonic())
        self._process.wait(max(1.0, self._until - monotonic()))

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.put(line.rstrip("\n"))
        self._said.put(None)

    def _read_complaints(self) -> None:
        assert self._process.stderr is not None
        self._complained.extend(self._process.stderr)


class Onlooker:
    """One person before the pane, who never reloads it; what they saw is kept."""

    def __init__(self, browser: Browser, story: Story) -> None:
        self._story = story
        self.complaints: list[str] = []
        self.states: set[str] = set()
        self.ticks = 0
        """The highest that a row showed."""
        self.finding = ""
        """The newest of them, with its provenance."""
        self.late_ms: list[float] = []
        """How long after its commit each tick was seen."""
        self.failed = ""
        self._page: Page = browser.new_page(viewport={"width": 1440, "height": 900})
        self._page.set_default_timeout(60_000)
        self._page.on("pageerror", lambda error: self.complaints.append(str(error)))

    @property
    def told_late(self) -> str:
        return f"p50 {statistics.median(self.late_ms):.0f} ms, worst {max(self.late_ms):.0f} ms after their commit"

    def watch(self) -> None:
        """From the link to the finding behind the approval; what went wrong is kept for the test."""
        try:
            self._watch()
        except (AssertionError, Error) as error:
            self.failed = str(error)
        finally:
            self._page.close()

    def _watch(self) -> None:
        link = self._story.line("/login?code=").split("open ")[1].strip()
        self._page.goto(link)
        self._page.goto(link.partition("/login")[0] + "/?fold=&view=waits")
        self._page.evaluate(WATCH)
        self._approve()
        self._page.keyboard.press("1")
        provenance = self._page.locator(".finding", has_text="https://example.org/abs/").first
        provenance.wait_for()
        self.finding = provenance.inner_text()
        self.late_ms = self._page.evaluate(LATE)

    def _approve(self) -> None:
        """Every question is approved once by its key, until the story says that somebody did."""
        done: list[str] = []
        while not self._story.hears("approved in the pane") and not self._story.hears("kill -9 of the actor"):
            self._look()
            if self._story.hears("approve it in the pane") and (wait := self._page.evaluate(TO_APPROVE, done)):
                self._page.keyboard.press("a")
                done.append(wait)
            self._page.wait_for_timeout(LOOK_MS)
        assert done, "nobody was asked before the pane"

    def _look(self) -> None:
        self.states |= set(self._page.evaluate(STATES))
        self.ticks = max(self.ticks, self._page.evaluate(TICKS))
