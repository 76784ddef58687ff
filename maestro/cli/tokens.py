"""Who may use the HTTP API: tokens of programs, and log-ins of browsers."""

from collections.abc import Mapping
from typing import Annotated, Literal, cast

import typer
from pydantic import JsonValue
from rich.text import Text

from maestro.cli.command import Call
from maestro.cli.output import Column
from maestro.cli.pane import place_of
from maestro.cli.words import moment
from maestro.errors import InvalidInput
from maestro.gateway.access import Doorkeeper, TokenNote
from maestro.gateway.shapes import Role
from maestro.runtime.audit import note
from maestro.runtime.verbs import Installation
from maestro.settings import Settings

ActionWord = Annotated[Literal["create", "list", "revoke"], typer.Argument(help="What to do.")]
Which = Annotated[
    str | None, typer.Argument(metavar="[NAME]", help="Create: a name. Revoke: a token's id.", show_default=False)
]
RoleWord = Annotated[str, typer.Option(help="viewer, approver, operator or admin.")]
_COLUMNS = (
    Column("ID", lambda row: str(row["id"]), whole=True),
    Column("NAME", lambda row: str(row["name"])),
    Column("ROLE", lambda row: str(row["role"])),
    Column("SUBTREE", lambda row: str(row["subtree"] or "-")),
    Column("MADE (UTC)", lambda row: moment(row["created_at_ms"]), whole=True),
    Column("ENDS (UTC)", lambda row: moment(row["expires_at_ms"]), whole=True),
    Column("REVOKED (UTC)", lambda row: moment(row["revoked_at_ms"]), whole=True),
)


async def token(
    call: Call,
    action: ActionWord,
    which: Which = None,
    role: RoleWord = "viewer",
    expires_s: Annotated[int | None, typer.Option(min=1, help="For how long.", show_default=False)] = None,
    subtree: Annotated[str | None, typer.Option(metavar="ID", help="Only it and below.", show_default=False)] = None,
) -> None:
    """Tokens of the HTTP API: create one, which is shown this once; list them; revoke one."""
    at = await call.at()
    if action == "list":
        call.out.rows(list(map(_row, await doorkeeper(at).tokens())), _COLUMNS, "No token was made yet.")
        return
    if which is None:
        needs = "a name" if action == "create" else "the id of a token"
        raise InvalidInput(f"{action} needs {needs}", field="which", hint=f"write `maestro token {action} ...`")
    if action == "revoke":
        over = await doorkeeper(at).revoke(which)
        await note(at, "token revoke", over.id)
        call.out.record(_row(over), Text(f"{over.id} ({over.name}) is revoked"))
        return
    below = None if subtree is None else (await call.find(subtree)).id
    made, text = await doorkeeper(at).create(which, cast(Role, role), expires_s, below)
    await note(at, "token create", made.id, name=made.name, role=made.role)
    call.out.record({**_row(made), "token": text}, Text(text))
    call.out.note("It is shown this once; the store keeps only its hash.")


async def login(call: Call) -> None:
    """A link that logs a browser in, once, within ten minutes."""
    at = await call.at()
    link = await link_of(at, call.settings)
    await note(at, "login link", "")
    call.out.record({"link": link}, Text(link))


async def link_of(at: Installation, settings: Settings) -> str:
    """A link that logs a browser in as whoever runs this installation."""
    return f"{place_of(settings)}/login?code={await doorkeeper(at).code()}"


def doorkeeper(at: Installation) -> Doorkeeper:
    """Who knows the tokens of this installation."""
    return Doorkeeper(at.backend.register, at.backend.clock, at.tenant)


def _row(made: TokenNote) -> dict[str, JsonValue]:
    told: Mapping[str, JsonValue] = made.model_dump(mode="json", exclude={"hash", "csrf"})
    return dict(told)
