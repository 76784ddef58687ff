"""What a benchmark found: rows that stand beside a bare loop and a goal, and how they are printed and kept.

Invariant: no figure is typed by hand: the table of docs/benchmarks.md is written from the rows of one run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import orjson
from pydantic import JsonValue


class Scale(StrEnum):
    """How much is measured."""

    QUICK = "quick"
    """Small and short: shows that all works; the figures are rough."""
    USUAL = "usual"
    FULL = "full"
    """With 100,000 sleepers."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound on the ratio to the bare loop, or, with `absolute`, on the figure itself."""

    text: str
    at_most: float | None = None
    at_least: float | None = None
    absolute: bool = False

    def reached(self, ours: float, bare: float | None) -> bool | None:
        """None where there is nothing to compare with."""
        judged = ours if self.absolute else (ours / bare if bare else None)
        if judged is None:
            return None
        return (self.at_most is None or judged <= self.at_most) and (self.at_least is None or judged >= self.at_least)


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of ours beside the bare loop's, in the same unit."""

    what: str
    unit: str
    ours: float
    bare: float | None = None
    goal: Goal | None = None

    @property
    def ratio(self) -> float | None:
        return self.ours / self.bare if self.bare else None

    @property
    def reached(self) -> bool | None:
        return None if self.goal is None else self.goal.reached(self.ours, self.bare)

    def as_json(self) -> dict[str, JsonValue]:
        return {
            "what": self.what,
            "unit": self.unit,
            "maestro": self.ours,
            "bare": self.bare,
            "ratio": None if self.ratio is None else round(self.ratio, 3),
            "goal": None if self.goal is None else self.goal.text,
            "reached": self.reached,
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one benchmark found; or, in `failed`, why it did not."""

    name: str
    rows: tuple[Row, ...] = ()
    detail: Mapping[str, JsonValue] = field(default_factory=dict)
    failed: str | None = None

    def line(self) -> str:
        """One line of JSON."""
        body = {"benchmark": self.name, "rows": [row.as_json() for row in self.rows], **self.detail}
        return orjson.dumps(body if self.failed is None else {**body, "failed": self.failed}).decode()


HEADINGS = ("what", "Maestro", "bare loop", "ratio", "goal", "reached")


def cells(row: Row) -> tuple[str, ...]:
    """A row as the table shows it."""
    bare = "-" if row.bare is None else f"{shown(row.bare)} {row.unit}"
    ratio = "-" if row.ratio is None else f"{row.ratio:.2f}x"
    verdict = {None: "-", True: "yes", False: "NO"}[row.reached]
    return row.what, f"{shown(row.ours)} {row.unit}", bare, ratio, row.goal.text if row.goal else "-", verdict


def table(outcomes: Sequence[Outcome]) -> str:
    """All rows, in columns for a terminal."""
    lines = [HEADINGS, *(cells(row) for outcome in outcomes for row in outcome.rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in lines)


def shown(figure: float) -> str:
    """Three significant digits, whole from a hundred on."""
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"


def quantile(values: Sequence[float], q: float) -> float:
    """The value below which a share `q` of `values` lies."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(q * len(ranked)))]


def spread_ms(seconds: Sequence[float]) -> dict[str, JsonValue]:
    """p50, p99 and the largest, in milliseconds."""
    return {
        "n": len(seconds),
        "p50_ms": round(quantile(seconds, 0.5) * 1_000, 3),
        "p99_ms": round(quantile(seconds, 0.99) * 1_000, 3),
        "max_ms": round(max(seconds) * 1_000, 3),
    }
