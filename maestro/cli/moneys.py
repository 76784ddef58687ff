"""Money that has been granted: moved inside a family, corrected, lent by accounts."""

from collections.abc import Callable
from typing import Annotated, Literal

import typer
from pydantic import JsonValue
from rich.text import Text

from maestro.budget.vector import budget_changes
from maestro.cli import reading
from maestro.cli.command import Call, Id
from maestro.cli.inert import inert
from maestro.cli.output import Column, Row, facts
from maestro.cli.words import account, amount, with_readable
from maestro.errors import InvalidInput
from maestro.pane import views
from maestro.runtime import moneys

Amounts = Annotated[list[str], typer.Argument(metavar="RESOURCE=N...", help="Such as usd=0.50.")]
Key = Annotated[str | None, typer.Option(help="The same key again changes nothing.", show_default=False)]


async def transfer(
    call: Call,
    id: Id,
    to: Annotated[str, typer.Argument(metavar="TO", help="Another of its family: an id or a name.")],
    amounts: Amounts,
    key: Key = None,
) -> None:
    """Grant another of the family a part of what this one has free."""
    moved = reading.budget(",".join(amounts))
    source, heir = await call.find(id), await call.find(to)
    left, _ = await moneys.transfer(await call.at(), source.id, heir.id, moved, key=key)
    budget = views.budget(left)
    lines = [(name, account(name, figures)) for name, figures in budget.items() if isinstance(figures, dict)]
    call.out.record({"id": source.id, "to": heir.id, "budget": with_readable(budget)}, facts(lines))


async def refund(
    call: Call,
    id: Id,
    charge: Annotated[str, typer.Argument(metavar="CALL", help="A call that was charged in full.")],
    amounts: Amounts,
) -> None:
    """Tell what a call has really cost that was charged in full because its outcome was unknown."""
    actual = reading.budget(",".join(amounts))
    handle = await call.find(id)
    ledger = await moneys.refund(await call.at(), handle.id, charge, actual)
    told: dict[str, JsonValue] = {"id": handle.id, "call": charge, "budget": with_readable(views.budget(ledger))}
    call.out.record(told, Text(inert(f"{charge} is corrected")))


async def accounts(
    call: Call,
    action: Annotated[Literal["show", "grant"], typer.Argument(help="What to do.")] = "show",
    path: Annotated[str | None, typer.Argument(metavar="[PATH]", help="TENANT/KEY/PROJECT/SESSION, or less.")] = None,
    changes: Annotated[
        list[str] | None, typer.Argument(metavar="[RESOURCE=+N|-N|N...]", help="Such as usd=+10.", show_default=False)
    ] = None,
    key: Key = None,
) -> None:
    """Show what accounts above continuations have, or grant one more. `start --account PATH` draws on it."""
    at = await call.at()
    if action == "grant":
        if path is None or not changes:
            raise InvalidInput("grant whom how much?", field="changes", hint="write grant acme/key-7 usd=+10")
        wanted = reading.assignments(changes, "budget", "write usd=+10, usd=-5 or usd=20")
        more, less, exactly = budget_changes(wanted)
        await moneys.grant_account(at, path, more, less, exactly=exactly, key=key)
    rows = [row for row in await moneys.account_lines(at) if path is None or row["account"] == path]
    columns = [
        Column("ACCOUNT", lambda row: str(row["account"]), whole=True),
        Column("RESOURCE", lambda row: str(row["resource"])),
        *(Column(part.upper(), _amount(part), right=True) for part in ("granted", "lent", "free")),
    ]
    call.out.rows(rows, columns, "No accounts: whoever is started without one asks nobody.")


def _amount(part: str) -> Callable[[Row], str]:
    return lambda row: "unlimited" if row[part] is None else amount(str(row["resource"]), row[part])
