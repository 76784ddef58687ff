"""The end of a process, told by the kernel at once: Ray tells it later, by way of its raylet and its control store.

Invariants: it is told at most once, in the event loop that asked; what was forgotten is not told, and nothing is left
open. Who is not told (the process had ended before, runs on another machine, or the kernel is too old) hears it of Ray.
Not here: what the end was, and what follows from it (`actors.wards`).
"""

import asyncio
import os
from collections.abc import Callable


def on_end(pid: int, tell: Callable[[], object]) -> Callable[[], None]:
    """`tell` is called when that process of this machine has ended; calling what is returned forgets it."""
    try:
        fd = os.pidfd_open(pid)
    except (OSError, AttributeError):
        return lambda: None
    loop, open_fds = asyncio.get_running_loop(), [fd]

    def forget() -> None:
        while open_fds:
            loop.remove_reader(fd)
            os.close(open_fds.pop())

    def ended() -> None:
        forget()
        tell()

    loop.add_reader(fd, ended)
    return forget
