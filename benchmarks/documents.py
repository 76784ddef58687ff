"""docs/benchmarks.md, written from the rows of one run beside DESIGN 9's goals: no figure in it is typed by hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.report import HEADINGS, Outcome, cells

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"

OPENING = """# Benchmarks

This page is written by `python -m benchmarks --write-docs`; change the benchmarks, not the page. `make bench` takes the
figures again.

Each job is done by Maestro and, in the same run, by a bare loop: the least that is durable and fenced on the same kind
of server (the embedded one as `maestro up` starts it: append-only file, `appendfsync always`, a Unix socket), with the
same kilobyte of state, through one pipelining connection. A bare loop keeps no log chain, no ledger, no mail, no waits
and no reasons: the ratio is the price of those. Goals are those of the design, section 9; what falls short says NO.
"""

PEERS = """## Peers

Restate, DBOS and LangGraph are not run here: their servers are no dependency of this repository. The design states what
was once seen of them on a 2-core machine with Ray 2.60, Redis 7.0 and Python 3.11. That is repeated here only to give
the figures above a place; it was measured neither in this run nor on this machine.

| what | seen once, elsewhere |
|---|---|
| durable ticks/s, 64 continuations | Restate 720-863; DBOS PostgreSQL 282, SQLite 337; LangGraph 232 |
| one alone, p50 | Restate 3.7 ms |
| event -> user code, 10,000 asleep, p50 / p99 | Restate 5.4 / 8.0 ms; DBOS 6.7-699 ms |
| timers, lateness p99 | Restate 237-248 ms |
| spawn 1,000, a step each, join | Restate 2.0 s; DBOS 8.3-10.4 s |
| store memory per sleeper | Restate 19-22 KB |
| kill -9 -> runs again | Ray max_restarts 1,170-1,705 ms |
"""


def write(outcomes: Sequence[Outcome], facts: Mapping[str, str]) -> None:
    """The page tells of this run."""
    PAGE.write_text(page(outcomes, facts))


def page(outcomes: Sequence[Outcome], facts: Mapping[str, str]) -> str:
    """The whole page."""
    rows = [row for outcome in outcomes for row in outcome.rows]
    judged = [row.reached for row in rows if row.reached is not None]
    return "\n".join(
        (
            OPENING,
            "## This run\n",
            _markdown(("on", ""), list(facts.items())),
            f"\n## Figures\n\n{sum(judged)} of {len(judged)} goals are reached.\n",
            _markdown(HEADINGS, [cells(row) for row in rows]),
            "\n## The same as JSON\n",
            "```json",
            *(outcome.line() for outcome in outcomes),
            "```\n",
            PEERS,
        )
    )


def _markdown(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    marked = [headings, ["---"] * len(headings), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in marked)
