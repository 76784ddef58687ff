"""The shelf of MCP servers: which there are, as a file says, and what was approved of them, as the store says.

    mcp.toml            one table per server, written by people       (fields: maestro.tools.servers.ToolServer)
    register "mcp_pin"  server -> what a person has approved of it, written by `maestro mcp approve`

Invariants: at every moment the tools are those of a file that was read whole and found good, and of approvals of which
each is whole; a bad file changes nothing but `trouble`, and what is no whole approval is none (`spoiled`). An approval
replaces that of its own server and no other, whoever else approves at the same time; what one process has approved,
every process of the tenant calls by. The file is on each node, as the modules of behaviours are. An `mcp.pins.json` of
an earlier release beside it is taken into the store once, where the store has nothing of that server, and set aside.
"""

import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import orjson
import structlog
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from maestro.errors import InvalidInput
from maestro.home import read_private
from maestro.ids import TimeMs
from maestro.runtime.register import Register
from maestro.tools.servers import Offer, Offers, ToolServer, list_digest, tools_of
from maestro.tools.spec import Tool

log = structlog.get_logger()

PINS = "mcp_pin"
"""The kind of notes in the register."""

NEVER = TimeMs(0)

Look = tuple[int, int, int] | None


class Pin(BaseModel):
    """What was approved of one server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: str
    """Over the whole list, as the person was shown it."""
    offers: Mapping[str, Offer]
    by: str = ""
    at_ms: TimeMs = NEVER

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.digest != list_digest(self.offers.values()):
            raise ValueError("it is not what its digest stands for")
        return self


class ServerShelf:
    """Servers, approvals, and the tools that come of both.

    What the store has was last read by `refresh`; without a register nothing is approved.

    Raises:
        InvalidInput: the file of servers is not good when it is first read.
    """

    def __init__(self, path: Path | None, register: Register | None = None) -> None:
        self.trouble: InvalidInput | None = None
        """Why the file as it is now does not count; None when it does."""
        self.spoiled: Mapping[str, str] = {}
        """Server -> why its approval, as it lies in the store, does not count."""
        self._path = path
        self._register = register
        self._seen: Look = None
        self._servers: Mapping[str, ToolServer] = {}
        self._notes: Mapping[str, bytes] = {}
        self._pins: Mapping[str, Pin] = {}
        self._tools: Mapping[str, Tool] = {}
        if path is not None:
            self._read(path)

    @property
    def is_stocked(self) -> bool:
        """There may be servers: a file is named."""
        return self._path is not None

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
        pin = self.pin(server)
        return {} if pin is None else pin.offers

    def pin(self, server: str) -> Pin | None:
        """The approval itself: by whom, and when."""
        return self._pins.get(server)

    async def refresh(self) -> None:
        """What is approved is what the store has now.

        Raises:
            StoreError: it cannot be read; what was known stays.
        """
        if self._register is None or self._path is None:
            return
        await self._take_in(_pins_beside(self._path), self._register)
        notes = await self._register.all(PINS)
        if dict(notes) != self._notes:
            self._notes = dict(notes)
            self._judge()

    async def approve(self, server: str, offers: Offers, by: str = "", at_ms: TimeMs = NEVER) -> None:
        """From now on these are the tools of `server`, and no others, in every process of the tenant."""
        self.server(server)
        if self._register is None:
            raise InvalidInput("there is no store to approve it in", field="server", hint="see `maestro status`")
        pin = Pin(digest=list_digest(offers.values()), offers=offers, by=by, at_ms=at_ms)
        await self._register.put(PINS, server, orjson.dumps(pin.model_dump(mode="json")))
        await self.refresh()

    async def _take_in(self, file: Path, register: Register) -> None:
        """The approvals of a file are in the store, but where it has others; the file is set aside."""
        try:
            pins = _pins(file)
        except InvalidInput as error:
            self._tell(error)
            return
        for name, pin in pins.items():
            await register.add(PINS, name, orjson.dumps(pin.model_dump(mode="json")))
        if pins:
            _set_aside(file)

    def _look(self) -> None:
        """A file that has changed is read; a bad one is told of once and changes nothing."""
        if self._path is None or _stat(self._path) == self._seen:
            return
        try:
            self._read(self._path)
        except InvalidInput as error:
            self._tell(error)

    def _read(self, path: Path) -> None:
        self._seen = _stat(path)
        self._servers = _servers(path)
        self.trouble = None
        self._judge()

    def _judge(self) -> None:
        """Each note that is whole counts; the tools are those of the servers that there are."""
        pins: dict[str, Pin] = {}
        spoiled: dict[str, str] = {}
        for name, note in self._notes.items():
            try:
                pins[name] = Pin.model_validate_json(note)
            except ValidationError as error:
                spoiled[name] = error.errors(include_url=False, include_input=False)[0]["msg"]
        for name in spoiled.keys() - self.spoiled.keys():
            log.error("mcp_approval_spoiled", server=name, error=spoiled[name])
        known = [(self._servers[name], pin) for name, pin in pins.items() if name in self._servers]
        self._tools = {tool.name: tool for server, pin in known for tool in tools_of(server, pin.offers)}
        self._pins, self.spoiled = pins, spoiled

    def _tell(self, error: InvalidInput) -> None:
        if str(error) != str(self.trouble):
            log.error("mcp_servers_refused", error=str(error))
        self.trouble = error


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


def _pins(file: Path) -> Mapping[str, Pin]:
    """Of an earlier release; empty where there is no such file."""
    if not file.exists():
        return {}
    try:
        return {name: Pin.model_validate(body) for name, body in orjson.loads(file.read_bytes()).items()}
    except (OSError, ValueError, AttributeError) as error:
        raise _bad(file, str(error).splitlines()[0]) from None


def _set_aside(file: Path) -> None:
    with suppress(OSError):  # another process was quicker, or nobody may write there: the store has it either way
        file.rename(file.with_suffix(".json.moved"))


def _pins_beside(path: Path) -> Path:
    return path.with_suffix(".pins.json")


def _stat(path: Path) -> Look:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _bad(path: Path, told: str) -> InvalidInput:
    return InvalidInput(f"{path}: {told}", field="mcp_file", hint="see docs/how-to/use-an-mcp-server.md")
