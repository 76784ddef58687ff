"""Questions to the warehouse: what is stored, and what the feed has told since, as if it were one.

Invariants: nothing can be written and nothing but the warehouse be read, whatever the SQL says; a question asked while
stretches are put together is asked again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
from pydantic import JsonValue

from maestro.adapters.duckdb.stock import FRESH, Database, connected, fill, path_of, quoted, stretches
from maestro.errors import InvalidInput, StoreRefused
from maestro.warehouse.rows import Row
from maestro.warehouse.views import MOVEMENT, VIEWS

TRIES = 3  # a stretch may vanish into a larger one between two looks
HINT = "one SELECT over fact_model_call, fact_tool_call, fact_human_request, fact_spent, dim_continuation"


@dataclass(frozen=True, slots=True)
class Answer:
    """A table."""

    columns: tuple[str, ...]
    rows: tuple[tuple[JsonValue, ...], ...]
    whole: bool = True
    """False where there is more than was wanted."""


def asked(folder: Path, fresh: Sequence[Row], sql: str, most: int = 10_000) -> Answer:
    """What `sql` selects.

    Args:
        fresh: what the feed tells beyond what is stored; a movement that is in both is counted once.
        most: so many rows at most.

    Raises:
        InvalidInput: it is not one SELECT, or the database refuses it; says why.
        StoreRefused: what is stored cannot be read.
    """
    _check(sql)
    for left in reversed(range(TRIES)):
        with connected() as db:
            fill(db, fresh)
            try:
                _load(db, folder)
            except duckdb.Error as error:
                if left == 0:
                    raise _damaged(folder, error) from None
                continue
            return _answered(db, sql, most)
    raise AssertionError("the last try returns or raises")


def _load(db: Database, folder: Path) -> None:
    """The views stand on what is stored and what is fresh; from here on nothing else can be read."""
    files = ", ".join(quoted(path_of(folder, stretch)) for stretch in stretches(folder))
    named = f" union all by name select * from read_parquet([{files}], union_by_name = true)"  # noqa: S608 - quoted
    db.execute(f"create table {MOVEMENT} as select * from {FRESH}{named if files else ''}")  # noqa: S608 - our own
    for view in VIEWS:
        db.execute(view)
    db.execute("set enable_external_access=false")
    db.execute("set lock_configuration=true")


def _answered(db: Database, sql: str, most: int) -> Answer:
    try:
        db.execute(sql)
        found = db.fetchmany(most + 1)
    except duckdb.Error as error:
        raise InvalidInput(f"the query cannot be answered: {_line(error)}", field="sql", hint=HINT) from None
    names = tuple(str(column[0]) for column in db.description or ())
    return Answer(names, tuple(tuple(map(_plain, row)) for row in found[:most]), len(found) <= most)


def _damaged(folder: Path, error: duckdb.Error) -> StoreRefused:
    """The refusal of files that are no tables; nothing is lost with them that the feed still tells."""
    hint = f"move {folder} away: it is made anew from the feed"
    return StoreRefused(f"the warehouse cannot be read: {_line(error)}", hint=hint)


def _line(error: duckdb.Error) -> str:
    """What the database says, in one line, without its drawing of the place."""
    return " ".join(str(error).partition("LINE 1:")[0].split())


def _check(sql: str) -> None:
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise InvalidInput(f"this is no SQL: {_line(error)}", field="sql", hint=HINT) from None
    if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
        raise InvalidInput("only one SELECT is answered", field="sql", hint=HINT)


def _plain(value: object) -> JsonValue:
    """A value as JSON has it; a moment is told in UTC."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return value.isoformat(timespec="milliseconds") if isinstance(value, datetime) else str(value)
