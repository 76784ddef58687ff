"""`maestro audit`: who steered or configured what, by which door; and whether that record is whole."""

from typing import Annotated, Literal

import typer
from pydantic import JsonValue
from rich.text import Text

from maestro.bootstrap import audit_seen
from maestro.cli.command import Call
from maestro.cli.inert import inert
from maestro.cli.output import Column, Row, pretty
from maestro.cli.words import moment
from maestro.errors import IntegrityError
from maestro.runtime import audit as audits
from maestro.runtime.audit import Broken

ActionWord = Annotated[Literal["show", "verify"], typer.Argument(help="What to do.")]


async def audit(
    call: Call,
    action: ActionWord = "show",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="show: how many to look back.")] = 100,
) -> None:
    """Show who asked for which steering or config verb, newest last; or verify that no record of it was touched."""
    if action == "verify":
        await _verified(call)
        return
    at = await call.at()
    count = (await at.backend.audit.tail()).count
    found = await audits.records(at.backend.audit, max(0, count - limit), limit)
    call.out.rows([record.model_dump(mode="json") for record in found], _COLUMNS, "Nobody has steered anything yet.")


async def _verified(call: Call) -> None:
    """It is whole, and goes on from where it was whole last; from now on that is here.

    Raises:
        IntegrityError: names the first record that does not follow.
    """
    at, file = await call.at(), audit_seen(call.settings)
    before = file.read()
    found = await audits.verify(at.backend.audit, at.seal, at.tenant, before)
    if isinstance(found, Broken):
        raise IntegrityError(f"the audit log breaks: {found}", hint="docs/how-to/secure-an-installation.md")
    file.keep(found)
    told: dict[str, JsonValue] = {"ok": True, "records": found.count, "seal": found.seal or None}
    since = "" if before is None else f", {found.count - before.count} of them since it was last verified here"
    call.out.record(told, Text(f"{found.count} records, every link holds{since}"))


def _what(row: Row) -> str:
    told = row["told"]
    return inert(pretty(told)) if told else ""


_COLUMNS = [
    Column("#", lambda row: str(row["number"]), right=True),
    Column("AT (UTC)", lambda row: moment(row["at_ms"]), whole=True),
    Column("WHO", lambda row: inert(str(row["who"])), most=32),
    Column("DOOR", lambda row: str(row["door"])),
    Column(
        "VERB", lambda row: f"{row['verb']}" if row["outcome"] == "asked" else f"  {row['outcome']} #{row['refers']}"
    ),
    Column("ON", lambda row: inert(str(row["on"])), most=48),
    Column("TOLD", _what, most=60),
]
