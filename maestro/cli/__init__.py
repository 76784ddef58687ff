"""The command line. `main` is what the script `maestro` runs; `maestro.cli.app` says which verb lives where."""

import signal
import sys


def main() -> None:
    """Runs the command in `sys.argv`, and exits with its status; told to end (SIGTERM), it tidies up first."""
    sys.path.append("")  # the folder where the caller stands: a script's path has only its own, and behaviours lie here
    try:
        signal.signal(signal.SIGTERM, _terminated)
        from maestro.cli.app import run  # a Ctrl-C while Python still imports leaves no traceback either

        status = run(sys.argv[1:])
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)


def _terminated(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)
