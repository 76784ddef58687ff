"""The whole suite as two lanes of pytest side by side: what computes and what has a store of its own, and all of Ray.

Either lane alone leaves the machine idle for much of its time. What computes gives way (`nice`), so that what waits for
Ray finds the machine as it would find it alone. The lane that ends second decides when all ends; each prints whole.

Not here: which tests there are. A folder of `tests` that no run names is run with those that wait for Ray.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

HERE = Path(__file__).parent


@dataclass
class Run:
    """One pytest over some folders."""

    folders: Sequence[str]
    nice: int = 0
    options: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    over: bool = field(default=False, init=False)

    def status(self, options: Sequence[str], output: IO[str] | None) -> int:
        """How it exited; 0 where all is over before it begins."""
        if self.over:
            return 0
        paths = [str((HERE / folder).relative_to(HERE.parent)) for folder in self.folders]
        command = ["nice", "-n", str(self.nice), sys.executable, "-m", "pytest", *self.options, *options, *paths]
        print(f"{time.strftime('%H:%M:%S')} {' '.join(command)}", file=output or sys.stdout, flush=True)
        self.process = subprocess.Popen(command, cwd=HERE.parent, stdout=output)
        return self.process.wait()

    def end(self) -> None:
        """It has ended, or never begins."""
        self.over = True
        if self.process is not None:
            self.process.terminate()
            self.process.wait()


PATIENT = ("-o", "timeout=480")
"""Seconds for a test that has the machine when nobody else wants it."""

FIRST = Run(("simulation/test_story.py",))
"""What has to be done within a minute, on the machine as a person has it: before the lanes."""
QUIET = (
    Run(
        ("unit", "surface", "contract", "property", "simulation"),
        nice=19,
        options=(*PATIENT, "--ignore=tests/simulation/test_story.py"),
    ),
    Run(("integration",), nice=10, options=PATIENT),
)
LOUD = (
    Run(sorted({each.parent.name for each in HERE.glob("*/test_*.py")} - {name for r in QUIET for name in r.folders})),
)


def main(options: Sequence[str] = ()) -> int:
    """The exit status of the run that fared worst; pytest's output of the lanes on stdout, one after the other."""

    def lane(runs: Sequence[Run], output: IO[str] | None) -> int:
        return max([abs(run.status(options, output)) for run in runs])

    with tempfile.TemporaryFile("w+") as quietly, ThreadPoolExecutor() as lanes:
        try:
            first = abs(FIRST.status(options, None))
            statuses = [lanes.submit(lane, QUIET, quietly), lanes.submit(lane, LOUD, None)]
            return max(first, *(each.result() for each in reversed(statuses)))
        finally:
            for run in (FIRST, *LOUD, *QUIET):
                run.end()
            quietly.seek(0)
            sys.stdout.write(quietly.read())
            sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
