"""The files that say which MCP servers there are, and what was approved of them: read when they change.

    mcp.toml         one table per server, written by people       (fields: maestro.tools.servers.ToolServer)
    mcp.pins.json    beside it: what a person has approved, written by `maestro mcp approve`

Invariants: at every moment the tools are those of files that were read whole and found good; bad ones change nothing
but `trouble`; a pin is written whole or not at all. Both files are on each node, as the modules of behaviours are.
"""

import os
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson
import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from maestro.errors import InvalidInput
from maestro.home import read_private
from maestro.tools.servers import Offer, Offers, ToolServer, list_digest, tools_of
from maestro.tools.spec import Tool

log = structlog.get_logger()

Look = tuple[tuple[int, int, int] | None, ...]


class Pin(BaseModel):
    """What was approved of one server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: str
    """Over the whole list, as the person was shown it."""
    offers: Mapping[str, Offer]


class ServerShelf:
    """Servers, pins and the tools that come of both, at this moment.

    Raises:
        InvalidInput: the file of servers is not good when it is first read.
    """

    def __init__(self, path: Path | None) -> None:
        self.trouble: InvalidInput | None = None
        """Why the files as they are now do not count; None when they do."""
        self._path = path
        self._seen: Look | None = None
        self._servers: Mapping[str, ToolServer] = {}
        self._pins: Mapping[str, Pin] = {}
        self._tools: Mapping[str, Tool] = {}
        if path is not None:
            self._read(path)

    @property
    def servers(self) -> Mapping[str, ToolServer]:
        self._look()
        return self._servers

    @property
    def tools(self) -> Mapping[str, Tool]:
        """By name; of servers that nobody has approved there are none."""
        self._look()
        return self._tools

    def server(self, name: str) -> ToolServer:
        """Raises InvalidInput where there is none of that name."""
        if name not in self.servers:
            known = ", ".join(sorted(self._servers)) or "none; set MAESTRO_MCP_FILE"
            raise InvalidInput(f"no MCP server {name[:40]!r}", field="server", hint=f"known: {known}")
        return self._servers[name]

    def approved(self, server: str) -> Offers:
        """What was approved of it, whether or not its entry exposes it."""
        self._look()
        pin = self._pins.get(server)
        return {} if pin is None else pin.offers

    def approve(self, server: str, offers: Offers) -> None:
        """From now on these are the tools of `server`, and no others."""
        self.server(server)
        assert self._path is not None  # noqa: S101 - a server is known: there is a file
        pins = {**self._pins, server: Pin(digest=list_digest(offers.values()), offers=offers)}
        body = {name: pin.model_dump(mode="json") for name, pin in sorted(pins.items())}
        _write(_pins_beside(self._path), orjson.dumps(body, option=orjson.OPT_INDENT_2))
        self._look()

    def _look(self) -> None:
        """Files that have changed are read; bad ones are told of once and change nothing."""
        if self._path is None or _looked(self._path) == self._seen:
            return
        try:
            self._read(self._path)
        except InvalidInput as error:
            if str(error) != str(self.trouble):
                log.error("mcp_servers_refused", file=str(self._path), error=str(error))  # noqa: TRY400 - the text says it all
            self.trouble = error

    def _read(self, path: Path) -> None:
        self._seen = _looked(path)
        servers, pins = _servers(path), _pins(_pins_beside(path))
        made = [tool for name, pin in pins.items() if name in servers for tool in tools_of(servers[name], pin.offers)]
        self._servers, self._pins = servers, pins
        self._tools = {tool.name: tool for tool in made}
        self.trouble = None


def hello_of(
    server: ToolServer, watch: bool, egress: Sequence[str] = (), line_bytes: int = 2 << 20
) -> dict[str, object]:
    """What a bridge is told, with the secrets that this server is given; for its line and nothing else.

    Raises:
        InvalidInput: a secret cannot be read.
    """
    told: dict[str, object] = {"transport": server.spoken, "watch": watch}
    if server.command is not None:
        memory = None if server.memory_mib is None else server.memory_mib << 20
        env = {name: _secret(value) for name, value in server.env.items()}
        argv = [server.command, *server.args]
        command = {"argv": argv, "env": env, "cwd": server.cwd, "memory_bytes": memory, "line_bytes": line_bytes}
        return {**told, "command": command}
    token = None if server.token_file is None else read_private(Path(server.token_file)).strip()
    told["egress"] = list(egress)
    return {**told, "url": server.url, "headers": {} if token is None else {"Authorization": f"Bearer {token}"}}


def _secret(value: str) -> str:
    return read_private(Path(value.removeprefix("file:"))).strip() if value.startswith("file:") else value


def _servers(path: Path) -> Mapping[str, ToolServer]:
    try:
        tables = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _bad(path, str(error)) from None
    found: dict[str, ToolServer] = {}
    for name, table in tables.items():
        try:
            if not isinstance(table, dict):
                raise _bad(path, f"{name} is no table: write [{name}]")
            found[name] = ToolServer.model_validate({"name": name, **table})
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, (name, *first["loc"])))
            raise _bad(path, f"{where}: {first['msg']}") from None
    return found


def _pins(path: Path) -> Mapping[str, Pin]:
    if not path.exists():
        return {}
    try:
        return {name: Pin.model_validate(body) for name, body in orjson.loads(path.read_bytes()).items()}
    except (OSError, ValueError, AttributeError) as error:
        raise _bad(path, str(error).splitlines()[0]) from None


def _pins_beside(path: Path) -> Path:
    return path.with_suffix(".pins.json")


def _write(path: Path, body: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as scratch:
        scratch.write(body)
        scratch.flush()
        os.fsync(scratch.fileno())
    Path(scratch.name).replace(path)


def _looked(path: Path) -> Look:
    return tuple(_stat(each) for each in (path, _pins_beside(path)))


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _bad(path: Path, told: str) -> InvalidInput:
    return InvalidInput(f"{path}: {told}", field="mcp_file", hint="see docs/how-to/use-an-mcp-server.md")
