"""Stretches as Parquet files in one folder; their names are the only index.

    <partition>_<after>_<last>.parquet

Invariants: a file appears by one rename, whole; what a larger file covers is dropped, at once or at the next start;
one process writes, anybody may read. No extension of DuckDB is asked for: Parquet is built in.
"""

import importlib
import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from maestro.errors import StoreRefused
from maestro.ids import Partition
from maestro.warehouse.rows import Row
from maestro.warehouse.stock import BEGINNING, Stretch, place_of

Database = Any
"""A connection of duckdb."""
FRESH = "fresh"
MANY = 64  # files of a partition that become one: a look at some dozens takes milliseconds
SUFFIX = ".parquet"
WRITING = ".writing-"  # before the number of the process that writes
_TYPES = {int: "bigint", str: "varchar", bool: "boolean", float: "double"}
SAFE: dict[str, str] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "threads": "1",
    "memory_limit": "512MB",
}
"""Of every connection: nothing is fetched, and little is taken."""


class ParquetStock:
    """maestro.warehouse.stock.Stock in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._writing = folder / f"{WRITING}{os.getpid()}"
        self._drop_covered()
        for half in folder.glob(f"{WRITING}*"):  # whoever wrote it is dead, or is refused its rename and begins again
            half.unlink(missing_ok=True)

    def reached(self, partition: Partition) -> str:
        return reached_in(self._folder, partition)

    def store(self, stretch: Stretch, rows: Sequence[Row]) -> None:
        with connected() as db:
            fill(db, rows)
            self._write(db, f"select * from {FRESH}", stretch)  # noqa: S608 - our own words

    def compact(self, partition: Partition) -> bool:
        mine = sorted(
            (stretch for stretch in stretches(self._folder) if stretch.partition == partition),
            key=lambda stretch: place_of(stretch.last),
        )
        if len(mine) < MANY:
            return False
        with connected() as db:
            files = ", ".join(quoted(path_of(self._folder, stretch)) for stretch in mine)
            once = "qualify row_number() over (partition by id, entry order by at_ms) = 1"
            whole = Stretch(partition, mine[0].after, mine[-1].last)
            self._write(db, f"select * from read_parquet([{files}], union_by_name = true) {once}", whole)  # noqa: S608 - quoted
        self._drop_covered()
        return True

    def clear(self) -> None:
        for stretch in stretches(self._folder):
            path_of(self._folder, stretch).unlink(missing_ok=True)

    def _write(self, db: Database, rows: str, stretch: Stretch) -> None:
        db.execute(f"copy ({rows}) to {quoted(self._writing)} (format parquet)")
        with self._writing.open("rb") as written:
            os.fsync(written.fileno())
        self._writing.replace(path_of(self._folder, stretch))

    def _drop_covered(self) -> None:
        found = stretches(self._folder)
        for one, other in itertools.permutations(found, 2):
            if other.covers(one) and one != other:
                path_of(self._folder, one).unlink(missing_ok=True)


def reached_in(folder: Path, partition: Partition) -> str:
    """Up to which fact the feed of a partition is kept in a folder."""
    ends = [stretch.last for stretch in stretches(folder) if stretch.partition == partition]
    return max(ends, key=place_of, default=BEGINNING)


def stretches(folder: Path) -> list[Stretch]:
    """What is kept in a folder; none where there is no folder."""
    names = sorted(path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}"))
    parts = [name.split("_") for name in names]
    return [Stretch(Partition(int(number)), after, last) for number, after, last in parts]


def path_of(folder: Path, stretch: Stretch) -> Path:
    return folder / f"{stretch.partition}_{stretch.after}_{stretch.last}{SUFFIX}"


def quoted(path: Path) -> str:
    """A path as SQL writes a text."""
    return "'" + str(path).replace("'", "''") + "'"


def fill(db: Database, rows: Sequence[Row]) -> None:
    """The table `fresh` holds `rows`: column by column, because row by row takes a millisecond each."""
    db.execute(f"create table {FRESH} ({', '.join(f'{name} {type_}' for name, type_ in COLUMNS.items())})")
    if rows:
        unnested = ", ".join(f"unnest(?::{type_}[])" for type_ in COLUMNS.values())
        db.execute(f"insert into {FRESH} select {unnested}", [list(column) for column in zip(*rows, strict=True)])


def connected() -> Database:
    """A database of this process' memory alone.

    Raises:
        StoreRefused: it cannot be had.
    """
    duckdb = importlib.import_module("duckdb")  # here, so that only who keeps or asks pays for it, and no other actor
    try:
        return duckdb.connect(":memory:", config=SAFE)
    except duckdb.Error as error:
        raise StoreRefused(f"the warehouse cannot be opened: {error}") from error


def _type_of(annotation: object) -> str:
    """The type of a column; a choice of words is a text."""
    return next((name for kind, name in _TYPES.items() if kind.__name__ in str(annotation)), "varchar")


COLUMNS = {name: _type_of(Row.__annotations__[name]) for name in Row._fields}
"""The columns of a table of rows, with their types."""
