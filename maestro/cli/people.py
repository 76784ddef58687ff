"""People and money: what is asked of you, what was found for you, and what it cost."""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated

import orjson
import typer
from pydantic import JsonValue

from maestro.cli.command import Call
from maestro.cli.costs import KEYS, account_of, grouped, tallied
from maestro.cli.output import Column, Row
from maestro.cli.words import moment, sentence, shortest, usd
from maestro.errors import InvalidInput
from maestro.ids import ContinuationId
from maestro.pane import views
from maestro.runtime import verbs
from maestro.runtime.verbs import Installation

By = Annotated[str, typer.Option(metavar="KEY,...", help=f"What to sum by: {', '.join(KEYS)}.")]


async def waits(call: Call) -> None:
    """What people are asked, and the command that answers."""
    at = await call.at()
    rows = [
        {**row, "answer": _answer(row)}
        for partition in verbs.partitions(at)
        for row in map(orjson.loads, (await at.backend.records.waiting(partition)).values())
    ]
    columns = [
        Column("WHO", lambda row: str(row["behaviour"]), whole=True),
        Column("ASKS", lambda row: sentence(str(row["reason"]))),
        Column("UNTIL (UTC)", lambda row: moment(row.get("until_ms"))),
        Column("THEN", lambda row: str(row.get("patience") or "").rpartition("then ")[2] or "-"),
        Column("ANSWER WITH", lambda row: str(row["answer"]), whole=True),
    ]
    call.out.rows(sorted(rows, key=lambda row: str(row["id"])), columns, "Nobody waits for you.")


async def findings(
    call: Call,
    root: Annotated[
        str | None, typer.Option(metavar="ID", help="Only those of its whole family.", show_default=False)
    ] = None,
) -> None:
    """What was found, oldest first."""
    at = await call.at()
    roots = await _roots(at) if root is None else [(await verbs.checkpoint_of(at, (await call.find(root)).id)).root]
    rows = [row for cid in roots for row in views.findings(await at.backend.records.findings(cid))]
    rows.sort(key=lambda row: str(row["at_ms"]))
    short = shortest({str(row["continuation"]) for row in rows})
    columns = [
        Column("AT (UTC)", lambda row: moment(row["at_ms"]), whole=True),
        Column("BY", lambda row: f"{row['behaviour']} {short[str(row['continuation'])]}", whole=True),
        Column("SURE", _confidence, right=True),
        Column("TITLE", lambda row: str(row["title"]), most=60),
        Column("LINKS", _links),
    ]
    call.out.rows(rows, columns, "No findings yet.")


async def costs(call: Call, by: By = "behaviour,tier") -> None:
    """What was spent on models. Counted from every log, and held against the ledgers."""
    keys = [key.strip() for key in by.split(",")]
    for key in keys:
        if key not in KEYS:
            raise InvalidInput(f"cannot sum by {key!r}", field="by", hint=f"use one or more of {', '.join(KEYS)}")
    at = await call.at()
    charges, spent = await tallied(at)
    rows = grouped(charges, keys)
    whole = account_of(rows, spent)
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
    call.out.note(
        f"{usd(whole['total_usd_micros'])} in committed ticks, {usd(whole['ledger_usd_micros'])} in the ledgers."
    )
    if whole["open_usd_micros"]:
        call.out.note(f"The {usd(whole['open_usd_micros'])} between them belong to ticks that are not committed yet.")


def _answer(row: Mapping[str, JsonValue]) -> str:
    """The command that a person types to let it go on."""
    cid = row["id"]
    if row["hold"] is not None:
        return f"maestro thaw {cid}"
    asked = row["asked"] if isinstance(row["asked"], list) else []
    for part in asked:
        match part:
            case {"type": "approval_resolution", "approval_id": approval}:
                return f"maestro approve {cid} {approval}"
            case {"type": "user_reply"}:
                return f"maestro reply {cid} TEXT"
            case {"type": "budget", "resource": "usd", "asked": int(wanted), "free": int(free)}:
                return f"maestro rebudget {cid} usd=+{usd(max(1, wanted - free)).removeprefix('$')}"
            case {"type": "budget", "resource": resource, "asked": int(wanted), "free": int(free)}:
                return f"maestro rebudget {cid} {resource}=+{max(1, wanted - free)}"
    return f"maestro show {cid}"


async def _roots(at: Installation) -> Iterable[ContinuationId]:
    """Every family, once; a child needs no look of its own."""
    cids = [cid for partition in verbs.partitions(at) for cid in await at.backend.records.ids(partition)]
    return list(dict.fromkeys([(await verbs.checkpoint_of(at, cid)).root for cid in cids]))


def _confidence(row: Row) -> str:
    sure = row["confidence"]
    return f"{sure:.2f}" if isinstance(sure, int | float) else "-"


def _links(row: Row) -> str:
    links = row["links"]
    if isinstance(links, list) and links:
        return "  ".join(map(str, links))
    return "no link" if row["evidence"] else "without evidence"


def _cell(key: str) -> Callable[[Row], str]:
    return lambda row: str(row[key])
