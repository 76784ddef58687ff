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

from maestro.adapters.duckdb.stock import FRESH, connected, fill, path_of, quoted, stretches
from maestro.errors import InvalidInput
from maestro.warehouse.rows import Row
from maestro.warehouse.views import MOVEMENT, VIEWS

TRIES = 3  # a stretch may vanish into a larger one between two looks
HINT = "one SELECT over fact_model_call, fact_tool_call, fact_human_request, fact_spent, dim_continuation"


@dataclass(frozen=True, slots=True)
class Answer:
    """A table."""

    columns: tuple[str, ...]
    rows: tuple[tuple[JsonValue, ...], ...]


def asked(folder: Path, fresh: Sequence[Row], sql: str, most: int = 10_000) -> Answer:
    """What `sql` selects.

    Args:
        fresh: what the feed tells beyond what is stored; a movement that is in both is counted once.
        most: so many rows at most.

    Raises:
        InvalidInput: it is not one SELECT, or the database refuses it; says why.
    """
    _check(sql)
    for left in reversed(range(TRIES)):
        try:
            return _asked(folder, fresh, sql, most)
        except duckdb.IOException:
            if left == 0:
                raise
        except duckdb.Error as error:
            raise InvalidInput(f"the query cannot be answered: {error}", field="sql", hint=HINT) from None
    raise AssertionError("the last try returns or raises")


def _asked(folder: Path, fresh: Sequence[Row], sql: str, most: int) -> Answer:
    files = ", ".join(quoted(path_of(folder, stretch)) for stretch in stretches(folder))
    with connected() as db:
        fill(db, fresh)
        stored = f" union all by name select * from read_parquet([{files}])" if files else ""  # noqa: S608 - quoted
        db.execute(f"create table {MOVEMENT} as select * from {FRESH}{stored}")  # noqa: S608 - our own words
        for view in VIEWS:
            db.execute(view)
        db.execute("set enable_external_access=false")
        db.execute("set lock_configuration=true")
        db.execute(sql)
        names = tuple(str(column[0]) for column in db.description or ())
        return Answer(names, tuple(tuple(map(_plain, row)) for row in db.fetchmany(most)))


def _check(sql: str) -> None:
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise InvalidInput(f"this is no SQL: {error}", field="sql", hint=HINT) from None
    if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
        raise InvalidInput("only one SELECT is answered", field="sql", hint=HINT)


def _plain(value: object) -> JsonValue:
    """A value as JSON has it; a moment is told in UTC."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return value.isoformat(timespec="milliseconds") if isinstance(value, datetime) else str(value)
