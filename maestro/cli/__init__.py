"""The command line. `main` is what the script `maestro` runs; `maestro.cli.app` says which verb lives where."""

import sys


def main() -> None:
    """Runs the command in `sys.argv`, and exits with its status."""
    sys.path.append("")  # the folder where the caller stands: a script's path has only its own, and behaviours lie here
    try:
        from maestro.cli.app import run  # a Ctrl-C while Python still imports leaves no traceback either

        status = run(sys.argv[1:])
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)
