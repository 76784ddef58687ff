"""Answers: as a table for people, as JSON or JSON lines for programs.

    -o table   on a terminal, and in a pipe too (no colours there, and nothing is cut): a program asks for json
    -o json    one value, indented
    -o jsonl   one value a line; what is one thing is one line

Invariants: stdout gets data and nothing else; a note for people goes to stderr, and only with tables. No character of a
goal, a title or an error steers the terminal.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import orjson
from pydantic import JsonValue
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from maestro.cli.inert import inert, inert_json, inert_lines

Row = Mapping[str, JsonValue]
PIPE_WIDTH = 10_000  # nothing is cut for a program's sake
MANY_LINES = 40
GAP = 2
FLOORS = (40, 30, 24, 18, 12, 6)  # how far columns give, round by round, on a terminal that is too narrow


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: its title, and how a cell is made of a row."""

    title: str
    cell: Callable[[Row], str | Text]
    right: bool = False
    whole: bool = False
    """Never cut, however narrow the terminal."""
    most: int | None = None
    """At most so many characters on a terminal."""


class Output:
    """Where one call's answer goes."""

    def __init__(self, format: Format) -> None:
        self.format = format
        terminal = sys.stdout.isatty()
        self._terminal = terminal
        self._console = Console(
            highlight=False, markup=False, emoji=False, soft_wrap=False, width=None if terminal else PIPE_WIDTH
        )

        self._width = self._console.width

    @property
    def for_people(self) -> bool:
        return self.format is Format.TABLE

    def rows(self, rows: Sequence[Row], columns: Sequence[Column], empty: str, whole: JsonValue = None) -> None:
        """Many things of one kind.

        Args:
            empty: what people read when there are none.
            whole: the value for `-o json`, where it is more than the rows.
        """
        if self.format is Format.JSON:
            self._write_json(list(map(dict, rows)) if whole is None else whole, indent=True)
        elif self.format is Format.JSONL:
            for row in rows:
                self._write_json(dict(row))
        elif rows:
            self._print(self._table(rows, columns))
        else:
            self.note(empty)

    def record(self, data: Row, *shown: RenderableType) -> None:
        """One thing; `shown` is how people see it."""
        if self.for_people:
            for part in shown:
                self._print(part)
        else:
            self._write_json(dict(data), indent=self.format is Format.JSON)

    def live(self, data: Row, line: Text) -> None:
        """One line of something that goes on: at once, and with -o json too one line."""
        if self.for_people:
            self._print(line)
        else:
            self._write_json(dict(data))
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """A remark for people."""
        if self.for_people:
            print(inert(text), file=sys.stderr)

    def _table(self, rows: Sequence[Row], columns: Sequence[Column]) -> Table:
        cells = [[_cell(column.cell(row)) for column in columns] for row in rows]
        natural = [
            max(cell_len(column.title), *(line[place].cell_len for line in cells))
            for place, column in enumerate(columns)
        ]
        widths = _fitted(natural, columns, self._width) if self._terminal else natural
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, GAP, 0, 0))
        for column, width in zip(columns, widths, strict=True):
            justify: Literal["left", "right"] = "right" if column.right else "left"
            table.add_column(column.title, justify=justify, no_wrap=True, overflow="ellipsis", width=width)
        for line in cells:
            table.add_row(*line)
        return table

    def _print(self, shown: RenderableType) -> None:
        self._console.width = max(self._width, _needed(shown))
        with self._console.capture() as captured:
            self._console.print(shown)
        sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))

    def _write_json(self, value: JsonValue, indent: bool = False) -> None:
        text = orjson.dumps(value, option=orjson.OPT_INDENT_2 if indent else None).decode()
        sys.stdout.write(inert_json(text) + "\n")


def facts(pairs: Sequence[tuple[str, str | Text]]) -> Table:
    """Names and values, two columns; a value that is empty leaves no line."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        if value:
            table.add_row(Text(name), value if isinstance(value, Text) else Text(inert_lines(value)))
    return table


def pretty(value: JsonValue) -> str:
    """JSON for people: indented; a long one is cut, and says so."""
    lines = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode().splitlines()
    more = len(lines) - MANY_LINES
    return "\n".join(lines if more <= 0 else [*lines[:MANY_LINES], f"... {more} more lines: ask with -o json"])


def _fitted(natural: Sequence[int], columns: Sequence[Column], room: int) -> list[int]:
    """The widths that fit into `room`: the last columns give first, what must stay whole gives nothing."""
    widths = [min(width, column.most or width) for width, column in zip(natural, columns, strict=True)]
    for floor in FLOORS:
        for place in reversed(range(len(columns))):
            excess = sum(widths) + GAP * len(widths) - room
            if not columns[place].whole and excess > 0:
                widths[place] -= min(excess, max(0, widths[place] - floor))
    return widths


def _needed(shown: RenderableType) -> int:
    """The width below which a table would lose columns; a terminal folds the line instead."""
    return sum((column.width or 0) + GAP for column in shown.columns) if isinstance(shown, Table) else 0


def _cell(cell: str | Text) -> Text:
    """A `Text` is made of our own words; a str may come from anywhere."""
    return cell if isinstance(cell, Text) else Text(inert(cell))
