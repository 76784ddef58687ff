"""The whole suite as two runs of pytest side by side: what computes, and what mostly waits for processes and Ray.

Either half alone leaves the machine idle for much of its time. What computes gives way (`nice`), so that what waits for
Ray finds the machine as it would find it alone. The half that ends second decides when all ends; each prints whole.

Not here: which tests there are. A folder of `tests` that neither half names is run with those that wait.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

HERE = Path(__file__).parent
COMPUTING = ("unit", "surface", "contract", "property", "simulation")
WAITING = tuple(sorted({folder.parent.name for folder in HERE.glob("*/test_*.py")} - {*COMPUTING}))
GIVE_WAY = ("nice", "-n", "19")
PATIENT = ("-o", "timeout=480")
"""Seconds for a test that has the machine when nobody else wants it."""


def main(options: Sequence[str] = ()) -> int:
    """The exit status of the half that fared worse; pytest's output of both on stdout, one after the other."""
    with tempfile.TemporaryFile("w+") as computed:
        computing = _started(COMPUTING, [*PATIENT, *options], computed, before=GIVE_WAY)
        waiting = _started(WAITING, options, None)
        statuses = []
        try:
            statuses = [waiting.wait(), computing.wait()]
        finally:
            for half in (waiting, computing):
                half.terminate()
                half.wait()
            computed.seek(0)
            sys.stdout.write(computed.read())
            sys.stdout.flush()
    return max(map(abs, statuses))


def _started(
    folders: Sequence[str], options: Sequence[str], output: IO[str] | None, before: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    paths = [str((HERE / folder).relative_to(HERE.parent)) for folder in folders]
    pytest = [*before, sys.executable, "-m", "pytest", *options, *paths]
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {' '.join(pytest)}\n")
    sys.stdout.flush()
    return subprocess.Popen(pytest, cwd=HERE.parent, stdout=output)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
