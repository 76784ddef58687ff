"""docs/benchmarks.md, written from the rows of one run beside DESIGN 9's goals: no figure in it is typed by hand.

The parts on ranking and on the kernel's engines have runs of their own (`make bench-field`, `make bench-kernel`): these
need packages that the rest does not, and each part is replaced by itself.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import retrieval
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


RANKING = "## Ranking, judged"
RANKING_OPENING = """
Cranfield: 1,400 abstracts on aerodynamics, 225 queries with graded judgements, read from beside the repository. The
constants of `local` were chosen on three other goals and on the queries named `seen`; `held out` are those on which
nothing was chosen. With the lexicon counted in the collection `local` ranks as whoever searches a collection does; with
the shipped one as a field does, which has no collection to count in. Written by `make bench-field`.
"""

ENGINES = "## The kernel's engines, timed"
ENGINES_OPENING = """
How long the engines of the context kernel take to rank so many entries against one goal, in one process, without Serve.
A headline has 22 words, an abstract 190. `torch` and `vllm` have MiniLM's weights; without a GPU `vllm` is the build
for CPUs, which computes on one of two cores, and `torch` is given one too. Written by `make bench-kernel`.
"""


def write(outcomes: Sequence[Outcome], facts: Mapping[str, str]) -> None:
    """The page tells of this run; its parts with a run of their own stay as they were where this run has none."""
    before = PAGE.read_text() if PAGE.exists() else ""
    whole = page(outcomes, facts)
    judged = next((outcome for outcome in outcomes if outcome.name == "retrieval" and not outcome.failed), None)
    part = _part_of(before, RANKING) if judged is None else ranking(judged, facts)
    PAGE.write_text(_with_part(_with_part(whole, RANKING, part), ENGINES, _part_of(before, ENGINES)))


def write_ranking(outcomes: Sequence[Outcome], facts: Mapping[str, str]) -> None:
    """The page's part on ranking tells of this run, the rest of it stays."""
    for outcome in outcomes:
        if outcome.name == "retrieval" and not outcome.failed:
            PAGE.write_text(_with_part(PAGE.read_text(), RANKING, ranking(outcome, facts)))


def ranking(outcome: Outcome, facts: Mapping[str, str]) -> str:
    """The part on ranking."""
    taken = f"Taken {facts['date']}, Python {facts['Python']}."
    return "\n".join((RANKING, RANKING_OPENING, taken, "", _markdown(*retrieval.table(outcome.detail)), ""))


def write_engines(table: tuple[Sequence[str], Sequence[Sequence[str]]], facts: Mapping[str, str]) -> None:
    """The page's part on the kernel's engines tells of this run, the rest of it stays."""
    taken = f"Taken {facts['date']}, {facts['processor']}, load {facts['load at the start']}, Python {facts['Python']}."
    part = "\n".join((ENGINES, ENGINES_OPENING, taken, "", _markdown(*table), ""))
    PAGE.write_text(_with_part(PAGE.read_text(), ENGINES, part))


def _part_of(page: str, heading: str) -> str:
    _, found, rest = page.partition(heading)
    return found + rest.partition("\n## ")[0].rstrip("\n") + "\n" if found else ""


def _with_part(page: str, heading: str, part: str) -> str:
    """`page` with `part` in place of its own under that heading, or before the peers."""
    if not part:
        return page
    own = _part_of(page, heading)
    if own:
        return page.replace(own, part)
    head, peers, tail = page.partition("## Peers")
    return "\n".join((head.rstrip("\n"), "", part)) + (f"\n{peers}{tail}" if peers else "")


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
