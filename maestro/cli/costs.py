"""What was spent, summed: from the warehouse and what the feed has told since, held against the ledgers.

Invariant: rows add up to the total. The total is what the ledgers say, but for what a feed dropped before anybody kept
it, and what was spent in another store before an import; the difference is told.
"""

from collections.abc import Callable, Sequence
from typing import Annotated

import typer
from pydantic import JsonValue

from maestro.adapters.duckdb.reader import Answer
from maestro.adapters.duckdb.spending import KEYS, Spending
from maestro.bootstrap import warehouse_folder
from maestro.budget.vector import USD
from maestro.cli import output
from maestro.cli.command import Call
from maestro.cli.output import Column
from maestro.cli.words import usd
from maestro.errors import InvalidInput
from maestro.runtime import verbs
from maestro.runtime.verbs import Installation
from maestro.settings import Settings

MOST_ROWS = 10_000
Row = dict[str, JsonValue]
By = Annotated[str, typer.Option(metavar="KEY,...", help=f"What to sum by: {', '.join(KEYS)}.")]


async def costs(call: Call, by: By = "behaviour,tier") -> None:
    """What was spent, and on what. Counted from the feed, and held against the ledgers."""
    keys = [key.strip() for key in by.split(",")]
    for key in keys:
        if key not in KEYS:
            raise InvalidInput(f"cannot sum by {key!r}", field="by", hint=f"use one or more of {', '.join(KEYS)}")
    at = await call.at()
    rows = await grouped(at, call.settings, keys)
    whole = account_of(rows, await in_ledgers(at))
    names = [Column(key.upper(), _cell(key), whole=key == "continuation") for key in keys]
    columns = [
        *names,
        Column("CALLS", lambda row: str(row["calls"]), right=True),
        Column("TOKENS", lambda row: f"{row['tokens']:,}", right=True),
        Column("USD", lambda row: str(row["usd"]), right=True, whole=True),
    ]
    call.out.rows(
        rows, columns, "Nothing was spent yet.", whole={"by": list(keys), "rows": list(map(dict, rows)), **whole}
    )
    call.out.note(f"{usd(whole['total_usd_micros'])} told of, {usd(whole['ledger_usd_micros'])} in the ledgers.")
    if whole["open_usd_micros"]:
        call.out.note("What is between them was spent before an import, or the feed dropped it before it was kept.")


async def query(
    call: Call, sql: Annotated[str, typer.Argument(metavar="SQL", help='Such as "SELECT * FROM fact_model_call".')]
) -> None:
    """Ask fact_model_call, fact_tool_call, fact_human_request, fact_spent or dim_continuation. Read-only."""
    found = await answer(await call.at(), call.settings, sql, MOST_ROWS)
    rows: list[Row] = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    columns = [Column(name.upper(), _cell(name), whole=True) for name in found.columns]
    call.out.rows(rows, columns, "No rows.")
    if not found.whole:
        call.out.note(f"There is more: these are the first {MOST_ROWS:,} rows.")


async def answer(at: Installation, settings: Settings, sql: str, most: int = MOST_ROWS) -> Answer:
    """What `sql` selects from all that was spent up to now.

    Raises:
        InvalidInput: it is not one SELECT that can be answered.
    """
    return await Spending(at, warehouse_folder(settings)).answer(sql, most)


async def grouped(at: Installation, settings: Settings, keys: Sequence[str]) -> list[Row]:
    """One row per combination of `keys`, the dearest first."""
    rows = await Spending(at, warehouse_folder(settings)).by(keys)
    return [{**row, "usd": usd(_int(row["usd_micros"]))} for row in rows]


async def in_ledgers(at: Installation) -> int:
    """The micro-dollars that all ledgers together call spent."""
    cids = [cid for partition in verbs.partitions(at) for cid in await at.backend.records.ids(partition)]
    return sum([(await verbs.glance_of(at, cid)).ledger.account(USD).spent for cid in cids])


def account_of(rows: Sequence[Row], spent: int) -> dict[str, int]:
    """The sums beside the ledgers, and what is between them."""
    total = sum(_int(row["usd_micros"]) for row in rows)
    return {"total_usd_micros": total, "ledger_usd_micros": spent, "open_usd_micros": spent - total}


def _int(value: JsonValue) -> int:
    return value if isinstance(value, int) else 0


def _cell(key: str) -> Callable[[output.Row], str]:
    return lambda row: "-" if row[key] is None else str(row[key])
