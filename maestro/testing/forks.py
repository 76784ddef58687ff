"""Many ends of one beginning: a process forks at each place where its run may go two ways, and each child goes one.

Invariants: a child gives one value back, as bytes that are not empty, and ends; whatever goes wrong in it, it never
returns to its parent's caller. Values come in the order of the forks; no more than so many children live at once.

What is not here: threads, which no child inherits. Who forks has none that its run needs.
"""

import os
import signal
import sys
import traceback
from asyncio import _get_running_loop, _set_running_loop
from collections import deque
from collections.abc import Callable, Iterator, Set
from typing import NoReturn

from maestro.testing.faults import CutPoint, Fault
from maestro.testing.spread import cores


class Forks:
    """The children of this process.

    Args:
        at_once: so many live at a time, as many as there are cores unless told; `fork` waits for the oldest to end.
    """

    def __init__(self, at_once: int | None = None) -> None:
        self._at_once = at_once or cores()
        self._values: list[bytes] = []
        self._living: deque[tuple[int, int]] = deque()
        self._out: int | None = None

    @property
    def forked(self) -> bool:
        """Whether this process is a child."""
        return self._out is not None

    def fork(self) -> bool:
        """True in the child, False in the parent; an event loop that runs goes on running in both."""
        while len(self._living) >= self._at_once:
            self._gather()
        sys.stdout.flush()
        sys.stderr.flush()
        loop = _get_running_loop()  # a loop is known to run in the process that began it only
        ours, theirs = os.pipe()
        child = os.fork()
        if child:
            os.close(theirs)
            self._living.append((child, ours))
            return False
        self._out = theirs
        _set_running_loop(loop)
        return True

    def told(self, tell: Callable[[], bytes]) -> bytes:
        """What `tell` returns, in the parent; in a child it goes to the parent, and the child ends."""
        try:
            value = tell()
        except BaseException:
            if self._out is not None:
                traceback.print_exc()
                _end(1)
            raise
        if self._out is not None:
            self._give(self._out, value)
        return value

    def gathered(self) -> Iterator[bytes]:
        """The value of each child, in the order of the forks.

        Raises:
            RuntimeError: a child ended without one; it has printed why.
        """
        while self._living:
            self._gather()
        yield from self._values

    def end(self) -> None:
        """No child lives, whether it had told its value or not."""
        while self._living:
            child, ours = self._living.popleft()
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(ours)

    def _give(self, out: int, value: bytes) -> NoReturn:
        with os.fdopen(out, "wb") as pipe:
            pipe.write(value)
        _end(0)

    def _gather(self) -> None:
        child, ours = self._living.popleft()
        with os.fdopen(ours, "rb") as pipe:
            told = pipe.read()
        os.waitpid(child, 0)
        if not told:
            raise RuntimeError(f"the child {child} ended without a value: what it printed tells why")
        self._values.append(told)


class ForkPoint:
    """Forks a run at each of its places, and cuts the child there; the parent's run goes on undisturbed.

    Args:
        places: numbers of calls, and whether the crash comes after the call: what a `CutPoint` is made of.
    """

    def __init__(self, places: Set[tuple[int, bool]], forks: Forks) -> None:
        self._places, self._forks = places, forks
        self._point = CutPoint()

    @property
    def cut(self) -> str | None:
        """Who was cut at which call, in a child."""
        return self._point.cut

    def strike(self, process: str, call: str) -> Fault | None:
        before, fault = self._point.calls, self._point.strike(process, call)
        here = self._point.calls
        if here == before or self._forks.forked:
            return fault
        for after in (False, True):
            if (here, after) in self._places and self._forks.fork():
                self._point = CutPoint(here, after, before)
                return self._point.strike(process, call)
        return None

    def latency_s(self) -> float:
        return 0.0


def _end(status: int) -> NoReturn:
    """This process is gone, without the cleaning up that is its parent's."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
