"""People: what is asked of you, and what was found for you."""

from collections.abc import Iterable, Mapping
from typing import Annotated

import orjson
import typer
from pydantic import JsonValue

from maestro.cli.command import Call
from maestro.cli.output import Column, Row
from maestro.cli.words import moment, sentence, shortest, usd
from maestro.ids import ContinuationId
from maestro.pane import views
from maestro.runtime import verbs
from maestro.runtime.verbs import Installation


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
        Column("RESTS ON", lambda row: "no evidence" if row["without_evidence"] else "evidence", whole=True),
        Column("TITLE", lambda row: str(row["title"]), most=60),
        Column("LINKS", _links),
    ]
    call.out.rows(rows, columns, "No findings yet.")


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
