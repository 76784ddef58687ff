"""Where a store is, as its URL says: one server, the primary that Sentinels name, or the primaries of a Redis Cluster.

    redis://[USER@]HOST:PORT/DB     rediss:// with TLS     unix:///PATH
    redis+sentinel://[USER@]HOST:PORT,HOST:PORT,.../SERVICE[/DB]     rediss+sentinel://
    redis+cluster://[USER@]HOST:PORT,HOST:PORT,...     rediss+cluster://

What follows a question mark is redis-py's, such as `ssl_ca_certs=FILE`. Any of the hosts will do; all that are named
are tried. Sentinels are asked without a password. A cluster has no numbered databases.

Not here: what is sent (`wire`), and which node serves a partition (`slots`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import redis
import redis.asyncio
from redis.asyncio import sentinel as async_sentinel
from redis.asyncio.connection import parse_url
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from maestro.errors import InvalidInput

Kind = Literal["server", "sentinel", "cluster"]
PATIENCE_S = 2.0
"""For a client that tells the truth at once: no retries, short patience."""


@dataclass(frozen=True, slots=True)
class Address:
    """A URL in its parts."""

    kind: Kind
    scheme: str
    """What redis-py calls it: redis, rediss or unix."""
    user: str
    """`USER:PASSWORD@`, or nothing."""
    places: tuple[str, ...]
    """HOST:PORT each; of a Unix socket, its path."""
    service: str
    """Of Sentinels, what the primary is called there."""
    rest: str
    """Database and options."""

    @classmethod
    def of(cls, url: str) -> "Address":
        """The parts of a URL.

        Raises:
            InvalidInput: it is none of those above.
        """
        scheme, _, rest = url.partition("://")
        scheme, _, kind = scheme.partition("+")
        path, question, options = rest.partition("?")
        options = question + options
        if kind == "":
            user, at, place = path.rpartition("@")
            host, slash, database = place.partition("/") if scheme != "unix" else (place, "", "")
            return cls("server", scheme, user + at, (host,), "", slash + database + options)
        user, at, place = path.rpartition("@")
        hosts, _, below = place.partition("/")
        service, _, database = below.partition("/")
        places = tuple(filter(None, hosts.split(",")))
        if kind not in ("sentinel", "cluster") or not places or (kind == "sentinel") != bool(service):
            hint = "write redis+sentinel://HOST:PORT,HOST:PORT/SERVICE or redis+cluster://HOST:PORT,HOST:PORT"
            raise InvalidInput("the Redis URL leads nowhere", field="redis_url", hint=hint)
        return cls(
            "sentinel" if kind == "sentinel" else "cluster",
            scheme,
            user + at,
            places,
            service,
            (f"/{database}" if database else "") + options,
        )

    def at(self, place: str) -> str:
        """The URL of the server at `place`, reached as this one is."""
        return f"{self.scheme}://{self.user}{place}{self.rest}"

    def shown(self) -> str:
        """The address without password and options."""
        prefix = self.scheme if self.kind == "server" else f"{self.scheme}+{self.kind}"
        path = f"/{self.service}" if self.service else ""
        return f"{prefix}://{','.join(self.places)}{path}{self.rest.partition('?')[0]}"

    def pool(self, **options: Any) -> redis.asyncio.ConnectionPool:
        """Connections to the server, or to whichever is the primary at the moment of connecting."""
        if self.kind == "server":
            return redis.asyncio.ConnectionPool.from_url(self.at(self.places[0]), **options)
        given = self._given() | options
        sentinels = async_sentinel.Sentinel(self._hosts(), sentinel_kwargs=self._asking())  # type: ignore[no-untyped-call]
        return async_sentinel.SentinelConnectionPool(self.service, sentinels, **given)  # type: ignore[no-untyped-call]

    def clients(self) -> Iterator[redis.Redis]:
        """A client of each server that is written to; whoever asks closes them.

        Raises:
            redis.RedisError: nobody tells which they are.
        """
        options: dict[str, Any] = {
            "socket_timeout": PATIENCE_S,
            "socket_connect_timeout": PATIENCE_S,
            "retry": Retry(NoBackoff(), 0),
        }
        match self.kind:
            case "server":
                yield redis.Redis.from_url(self.at(self.places[0]), **options)
            case "sentinel":
                told = Sentinel(self._hosts(), sentinel_kwargs=self._asking())  # type: ignore[no-untyped-call]
                host, port = told.discover_master(self.service)  # type: ignore[no-untyped-call]
                yield redis.Redis.from_url(self.at(f"{host}:{port}"), **options)
            case "cluster":
                for place in self._primaries(options):
                    yield redis.Redis.from_url(self.at(place), **options)

    def _primaries(self, options: dict[str, Any]) -> Sequence[str]:
        failed: redis.RedisError = redis.ConnectionError("no node of the cluster is named")
        for place in self.places:
            try:
                with redis.Redis.from_url(self.at(place), **options) as client:
                    rows: Any = client.execute_command("CLUSTER", "SLOTS")
                    return sorted({row.place for row in slot_rows(_raw(rows), place)})
            except redis.RedisError as error:
                failed = error
        raise failed

    def _hosts(self) -> list[tuple[str, int]]:
        return [host_port(place, 26379) for place in self.places]

    def _given(self) -> dict[str, Any]:
        """User, password, database and certificates, as a connection takes them."""
        given: dict[str, Any] = dict(parse_url(self.at("any:1")))
        tls = given.pop("connection_class", None) is not None
        return {name: value for name, value in given.items() if name not in ("host", "port")} | {"ssl": tls}

    def _asking(self) -> dict[str, Any]:
        """How Sentinels are asked: with the same certificates, as nobody."""
        given = {name: value for name, value in self._given().items() if name.startswith("ssl")}
        if not given.pop("ssl"):
            given = {}
        else:
            given["ssl"] = True
        return {**given, "socket_timeout": PATIENCE_S, "socket_connect_timeout": PATIENCE_S}


async def close_pool(pool: redis.asyncio.ConnectionPool) -> None:
    """No connection of it is open, nor one to the Sentinels that it asks."""
    await pool.aclose()
    manager = getattr(pool, "sentinel_manager", None)
    for sentinel in () if manager is None else manager.sentinels:
        await sentinel.aclose()


@dataclass(frozen=True, slots=True)
class SlotRow:
    """Slots `first` to `last` are served by the primary at `place`."""

    first: int
    last: int
    place: str


def slot_rows(reply: Any, asked: str) -> list[SlotRow]:
    """CLUSTER SLOTS as the server sends it; a node that does not know its own address is where it was asked."""
    rows = []
    for first, last, primary, *_ in reply:
        host = primary[0].decode() if isinstance(primary[0], bytes) else str(primary[0] or "")
        host = host if host not in ("", "?") else host_port(asked, 6379)[0]
        rows.append(SlotRow(int(first), int(last), f"{host}:{int(primary[1])}"))
    return rows


def host_port(place: str, usual: int) -> tuple[str, int]:
    """The two parts of HOST:PORT; an IPv6 address stands in brackets."""
    host, colon, port = place.rpartition(":")
    if not colon or place.endswith("]"):
        return place.strip("[]"), usual
    return host.strip("[]"), int(port) if port.isdigit() else usual


def _raw(rows: Any) -> Any:
    """CLUSTER SLOTS as the server sends it, where redis-py has made a mapping of it."""
    if not isinstance(rows, dict):
        return rows
    return [(first, last, told["primary"]) for (first, last), told in rows.items()]
