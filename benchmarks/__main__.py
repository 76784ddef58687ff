"""Runs the benchmarks and prints a table of ratios and one JSON line for each; exit 1 when one failed."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import documents, machine, running
from benchmarks.report import Scale, table


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(arguments)
    facts, outcomes = machine.facts(), []
    for name in asked.only or running.ROOMS:
        begun = time.monotonic()
        outcome = running.run(name, asked.scale)
        outcomes.append(outcome)
        print(outcome.line(), flush=True)
        print(f"{name}: {outcome.failed or 'done'} in {time.monotonic() - begun:.0f} s", file=sys.stderr)
    print(table(outcomes))
    if asked.out:
        asked.out.write_text("".join(f"{outcome.line()}\n" for outcome in outcomes))
    if asked.write_docs:
        documents.write(outcomes, facts)
    if asked.write_ranking:
        documents.write_ranking(outcomes, facts)
    return 1 if any(outcome.failed for outcome in outcomes) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.set_defaults(scale=Scale.USUAL)
    quick, full = "small and short: shows that all works, figures are rough", "100,000 sleepers instead of 10,000"
    parser.add_argument("--quick", dest="scale", action="store_const", const=Scale.QUICK, help=quick)
    parser.add_argument("--full", dest="scale", action="store_const", const=Scale.FULL, help=full)
    names = tuple(running.ROOMS)
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=f"of {', '.join(names)}")
    parser.add_argument("--out", type=Path, help="where the JSON lines go too")
    parser.add_argument("--write-docs", action="store_true", help="docs/benchmarks.md tells of this run")
    parser.add_argument("--write-ranking", action="store_true", help="its part on ranking does, and nothing else of it")
    return parser


if __name__ == "__main__":
    sys.exit(main())
