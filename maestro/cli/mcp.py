"""`maestro mcp`: other people's MCP servers, looked at and approved; and Maestro's own verbs as one."""

import secrets
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import JsonValue
from rich.text import Text

from maestro.adapters.mcp.offered import groups_of, verbs_server
from maestro.adapters.mcp.served import listening_at, serve_http, url_of
from maestro.adapters.mcp.servers import McpServers
from maestro.bootstrap import mcp_servers, this_user
from maestro.cli.command import Call
from maestro.cli.inert import inert
from maestro.cli.output import Column, Row
from maestro.client import Maestro
from maestro.errors import Conflict, InvalidInput, MCPConnectionError
from maestro.home import private_folder, private_text
from maestro.runtime.audit import note
from maestro.runtime.verbs import Installation
from maestro.tools.servers import Difference, Offers, differences, list_digest

DIGEST_CHARS = 12  # of SHA-256: a server that looks for another list with the same beginning has 2^48 to try

ActionWord = Annotated[Literal["list", "check", "approve", "serve"], typer.Argument(help="What to do.")]


async def mcp(
    call: Call,
    action: ActionWord = "list",
    server: Annotated[str | None, typer.Argument(metavar="[SERVER]", help="check, approve: which one.")] = None,
    digest: Annotated[
        str | None, typer.Argument(metavar="[DIGEST]", help="approve: of what `maestro mcp check SERVER` has shown.")
    ] = None,
    may: Annotated[str, typer.Option(help="serve: which verbs, of look, send, start, answer, stop; or all.")] = "look",
    who: Annotated[str, typer.Option(help="serve: how what comes this way is named.")] = "mcp",
    http: Annotated[
        str | None, typer.Option(metavar="[ADDRESS:]PORT", help="serve: over HTTP, and not on standard streams.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="serve --http: the token that clients bring; one is made where there is none.")
    ] = None,
) -> None:
    """MCP servers: list their tools, check what they offer now, approve it; or serve Maestro's own verbs.

    Nothing that a server offers is used before it is approved, and what it changes later is off until it is approved
    again. Which servers there are, MAESTRO_MCP_FILE says.
    """
    if action == "serve":
        await (_serve(call, may, who) if http is None else _serve_http(call, may, who, http, token_file))
        return
    if action != "list" and server is None:
        raise InvalidInput(f"{action} which server?", field="server", hint="see `maestro mcp list`")
    at = await call.at()
    servers = mcp_servers(call.settings, at.backend.register)
    await servers.shelf.refresh()
    if servers.shelf.trouble is not None:
        raise servers.shelf.trouble
    try:
        if server is None or action == "list":
            _list(call, servers)
            return
        servers.shelf.server(server)
        offered = await servers.offers(server)
        if action == "check":
            _checked(call, servers, server, offered)
        else:
            await _approved(call, at, servers, server, offered, digest)
    finally:
        await servers.close()


def _list(call: Call, servers: McpServers) -> None:
    rows: list[Row] = [
        {
            "server": name,
            "transport": server.spoken,
            "tool": tool,
            "side_effect": str(spec.side_effect),
            "scopes": list(spec.scopes),
            "description": spec.description,
            "approved_by": pin.by,
            "approved_at_ms": pin.at_ms,
        }
        for name, server in servers.shelf.servers.items()
        if (pin := servers.shelf.pin(name)) is not None
        for tool, spec in ((each, found.spec) for each, found in servers.shelf.tools.items())
        if tool.startswith(f"{name}.")
    ]
    for name, why in servers.shelf.spoiled.items():
        call.out.note(f"The approval of {inert(name)} in the store does not count: {inert(why)}")
    quiet = [name for name in servers.shelf.servers if not servers.shelf.approved(name)]
    columns = [
        Column("TOOL", lambda row: inert(str(row["tool"])), whole=True),
        Column("EFFECT", lambda row: str(row["side_effect"]), whole=True),
        Column("OVER", lambda row: str(row["transport"]), whole=True),
        Column("WHAT", lambda row: inert(str(row["description"])), most=80),
    ]
    call.out.rows(rows, columns, "No tool of an MCP server is approved.")
    for name in quiet:
        call.out.note(f"{name} is not approved: look at it with `maestro mcp check {name}`.")


def _checked(call: Call, servers: McpServers, server: str, offered: Offers) -> None:
    """What a person has to look at, and the command that approves exactly this."""
    found, digest = differences(servers.shelf.approved(server), offered, server), _short(offered)
    lines = [Text(f"{each.tool} is {each.kind}\n{inert_lines(each)}") for each in found]
    told: list[JsonValue] = [{"tool": each.tool, "kind": each.kind, "told": each.told} for each in found]
    data: dict[str, JsonValue] = {"server": server, "digest": digest, "differences": told}
    good = f"{server} offers what was approved: {len(offered)} tools."
    next_step = f"If all of this is good: maestro mcp approve {server} {digest}"
    call.out.record(data, *(lines or [Text(good)]), *([Text(next_step)] if found else []))


async def _approved(
    call: Call, at: Installation, servers: McpServers, server: str, offered: Offers, digest: str | None
) -> None:
    """What was shown is approved; anything else is not."""
    now = _short(offered)
    if digest is None:
        raise InvalidInput("what was looked at?", field="digest", hint=f"see `maestro mcp check {server}`")
    if digest != now:
        told = f"{server} does not offer what {digest} stands for"
        raise Conflict(told, field="digest", hint=f"look again: `maestro mcp check {server}`")
    await note(at, "mcp approve", server, digest=list_digest(offered.values()))
    await servers.shelf.approve(server, offered, this_user(), await at.backend.clock.now_ms())
    usable = [name for name in servers.shelf.tools if name.startswith(f"{server}.")]
    data: dict[str, JsonValue] = {"server": server, "digest": now, "tools": list(usable)}
    call.out.record(data, Text(f"{len(usable)} tools of {server} are approved."))


async def _serve(call: Call, may: str, who: str) -> None:
    """Until the other side closes the standard streams."""
    groups = groups_of(may)
    await verbs_server(await _heard(call, who), groups, who).run_stdio_async()


async def _heard(call: Call, who: str) -> Maestro:
    """The installation, with `who` at its door."""
    at = await call.at()
    return Maestro(replace(at, audit=None if at.audit is None else at.audit.of(who, "mcp")))


async def _serve_http(call: Call, may: str, who: str, place: str, token_file: Path | None) -> None:
    """Until it is interrupted."""
    groups, listening = groups_of(may), listening_at(place)
    try:
        file = token_file or private_folder(call.settings.home / "secrets") / "mcp-token"
        token = private_text(file, lambda: secrets.token_urlsafe(32)).strip()
        server = verbs_server(await _heard(call, who), groups, who)
        url = url_of(listening)
        call.out.live({"url": url, "token_file": str(file)}, Text(f"{url}, for whoever brings the token in {file}"))
        await serve_http(server, listening, token)
    finally:
        listening.close()


def inert_lines(each: Difference) -> str:
    """The lines about a difference, none of which moves a terminal's cursor."""
    return "\n".join(f"  {inert(line)}" for line in each.told.splitlines())


def _short(offered: Offers) -> str:
    if not offered:
        raise MCPConnectionError("it offers no tool", hint="see its own documentation")
    return list_digest(offered.values())[:DIGEST_CHARS]
