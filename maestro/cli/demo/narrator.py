"""Who tells the demo: each line after it has been seen to hold, within the patience of a busy machine."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

PATIENCE_S = 45.0  # a busy 2-core machine; each wait ends as soon as what it waits for is there
LOOK_S = 0.1


class Untrue(Exception):
    """A narrated line did not hold."""


@dataclass
class Narrator:
    """Says what happened, after it has been seen to have happened."""

    began: float = field(default_factory=time.monotonic)
    lines: int = 0

    def chapter(self, title: str) -> None:
        print(f"\n{title}", flush=True)

    def says(self, text: str, held: bool) -> None:
        """Prints the line when it holds.

        Raises:
            Untrue: it does not.
        """
        if not held:
            raise Untrue(text)
        self.lines += 1
        print(f"  [{time.monotonic() - self.began:5.1f}s] ok  {text}", flush=True)

    def sees(self, text: str, condition: Callable[[], bool]) -> None:
        """Prints the line as soon as it holds, at most PATIENCE_S from now."""
        self.says(text, within(PATIENCE_S, condition))

    def adds(self, text: str) -> None:
        """A word to whoever reads; nothing is claimed."""
        print(f"            {text}", flush=True)


def within(patience_s: float, condition: Callable[[], bool]) -> bool:
    """It becomes true in time."""
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_S)
    return True
