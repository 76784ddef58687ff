"""Egress: which addresses of the outside world Maestro may call when somebody else chose the URL.

Invariants:
- pure, and deny by default: only http(s), only public unicast addresses, only the ports of the web;
- a URL has one reading: whatever two parsers could read differently (user parts, backslashes, short, octal, hex and
  decimal IPv4, percent signs, zones) is refused and not repaired;
- an IPv6 address that carries an IPv4 address inside is judged by both;
- a name is judged by every address that it has, one bad address refuses all; the caller connects to one of the judged.

What an operator may open by MAESTRO_EGRESS_ALLOW: a host by name (`wiki.corp`), with its port (`wiki.corp:8080`), or a
network (`10.1.0.0/16`). What an operator wrote down as an address (`http://127.0.0.1:8700/feed` as a source) is meant
so: `with_origin` opens exactly that origin, and a redirect away from it is judged as any other (docs/decisions/0018).

What is not here: resolving and connecting (adapters/web).

Source: PROMISES B64, 5.6; RFC 6890 and IANA's special-purpose registries; WHATWG URL, "ends in a number".
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self, cast
from urllib.parse import SplitResult, urlsplit

import idna

from maestro.errors import EgressRefused, InvalidInput

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_URL_CHARS = 2_048
WEB_PORTS = frozenset({80, 443, 8080, 8443})
_DEFAULT_PORT = {"http": 80, "https": 443}
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_BRACKETED = re.compile(r"\[[0-9A-Fa-f:.]+\](:[0-9]+)?")
_FORBIDDEN_CHARS = re.compile(r"[\x00-\x20\x7f\\\"<>^`{|}]")

_SPECIAL: tuple[tuple[str, str], ...] = (
    ("0.0.0.0/8", "this host"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "carrier-grade NAT"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local, where clouds keep their metadata"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "protocol assignments"),
    ("192.0.2.0/24", "documentation"),
    ("192.88.99.0/24", "6to4 relays"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "benchmarking"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
    ("168.63.129.16/32", "a cloud's own services"),
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("64:ff9b:1::/48", "local NAT64"),
    ("100::/64", "discard only"),
    ("2001::/32", "Teredo"),
    ("2001:2::/48", "benchmarking"),
    ("2001:10::/28", "ORCHID"),
    ("2001:20::/28", "ORCHIDv2"),
    ("2001:db8::/32", "documentation"),
    ("2002::/16", "6to4"),
    ("3fff::/20", "documentation"),
    ("5f00::/16", "segment routing"),
    ("fc00::/7", "private"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local"),
    ("ff00::/8", "multicast"),
)
_TABLE: tuple[tuple[Network, str], ...] = tuple((ipaddress.ip_network(text), why) for text, why in _SPECIAL)
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_ISATAP = 0x5EFE
_LOW_32 = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a URL leads, read once."""

    scheme: Literal["http", "https"]
    host: str
    """In lower case ASCII, without a last dot; an IPv6 address without brackets."""
    port: int

    @property
    def address(self) -> Address | None:
        """The host as an address, where it is one."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Egress:
    """What may be called; the empty one allows the public web and nothing else."""

    hosts: frozenset[tuple[str, int | None]] = frozenset()
    """(host, port or None for any), whatever addresses the host has."""
    networks: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, entries: Iterable[str]) -> Self:
        """What the entries of MAESTRO_EGRESS_ALLOW open.

        Raises:
            InvalidInput: an entry is neither a network nor HOST nor HOST:PORT.
        """
        hosts: set[tuple[str, int | None]] = set()
        networks: list[Network] = []
        for entry in entries:
            try:
                networks.append(ipaddress.ip_network(entry))
            except ValueError:
                hosts.add(_named(entry))
        return cls(frozenset(hosts), tuple(networks))

    def with_origin(self, url: str) -> "Egress":
        """These rules, and the origin of `url` where its host is written as an address or as `localhost`.

        A name is not opened: what it resolves to is not what its author wrote.
        """
        to = destination(url)
        return replace(self, hosts=self.hosts | {(to.host, to.port)}) if to.address or to.host == "localhost" else self

    def check(self, to: Destination, addresses: Sequence[str]) -> Sequence[str]:
        """`addresses` of `to`, each of which may be connected to.

        Raises:
            EgressRefused: one of them may not, or there are none.
        """
        if {(to.host, to.port), (to.host, None)} & self.hosts:
            return addresses
        judged = [parse_address(address) for address in addresses]
        inside = bool(judged) and all(any(a in network for network in self.networks) for a in judged)
        if inside:
            return addresses
        if to.port not in WEB_PORTS:
            raise _refused(f"port {to.port} is none of the web's", to)
        for address in judged:
            if (why := special(address)) is not None:
                raise _refused(f"{to.host} is {address}: {why}" if str(address) != to.host else why, to)
        if not judged:
            raise _refused(f"{to.host} has no address", to)
        return addresses


def destination(url: str) -> Destination:
    """Where `url` leads.

    Raises:
        EgressRefused: it has not exactly one reading as an absolute http(s) URL without a user part.
    """
    if len(url) > MAX_URL_CHARS or _FORBIDDEN_CHARS.search(url):
        raise _unreadable(url, "too long, or with spaces, backslashes or control characters in it")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _unreadable(url, str(error)) from None
    if parts.scheme not in _DEFAULT_PORT:
        raise _unreadable(url, f"{parts.scheme or 'no'} scheme, where http or https is needed")
    if "@" in parts.netloc:
        raise _unreadable(url, "it has a user part")
    if port == 0 or parts.netloc.endswith(":"):
        raise _unreadable(url, "no port")
    scheme = cast('Literal["http", "https"]', parts.scheme)
    return Destination(scheme, _host(url, parts), port or _DEFAULT_PORT[scheme])


def special(address: Address) -> str | None:
    """Why `address` is no public unicast address; None when it is one."""
    for network, why in _TABLE:
        if address.version == network.version and address in network:
            return why
    if isinstance(address, ipaddress.IPv4Address):
        return None if address.is_global else "not public"
    if (inner := _inner(address)) is not None:
        within = special(inner)
        if within is not None or address not in _NAT64:
            return f"IPv4 {inner} inside IPv6 ({within or 'no public form'})"
        return None
    return None if address in _GLOBAL_UNICAST and address.is_global else "not public"


def parse_address(text: str) -> Address:
    """An address as a resolver gives it; a zone (`%eth0`) is a mark of a local one and goes with it."""
    return ipaddress.ip_address(text.partition("%")[0])


def _inner(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that `address` carries: mapped, compatible, NAT64 or ISATAP."""
    value = int(address)
    carries = value >> 48 == 0 or address in _NAT64 or (value >> 32) & 0xFCFFFFFF == _ISATAP
    return ipaddress.IPv4Address(value & _LOW_32) if carries else None


def _host(url: str, parts: SplitResult) -> str:
    raw = parts.hostname or ""
    if parts.netloc.startswith("["):
        try:
            if _BRACKETED.fullmatch(parts.netloc):
                return str(ipaddress.IPv6Address(raw))
        except ValueError:
            pass
        raise _unreadable(url, f"{raw[:60]!r} is no IPv6 address")
    if "%" in raw or ":" in raw:
        raise _unreadable(url, f"{raw[:60]!r} is no host")
    return _name(url, raw)


def _name(url: str, raw: str) -> str:
    """A DNS name, or an IPv4 address in its one full form."""
    try:
        host = raw if raw.isascii() else idna.encode(raw, uts46=True, std3_rules=True).decode()
    except idna.IDNAError as error:
        raise _unreadable(url, f"{raw[:60]!r} is no host: {error}") from None
    host = host.lower().removesuffix(".")
    labels = host.split(".")
    if not host or len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _unreadable(url, f"{raw[:60]!r} is no host")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise _unreadable(url, f"{raw[:60]!r} is no IPv4 address in full") from None
    return host


def _named(entry: str) -> tuple[str, int | None]:
    bracketed = f"[{entry}]" if entry.count(":") > 1 and not entry.startswith("[") else entry
    try:
        if re.search(r"[/?#]", entry):
            raise ValueError(entry)
        to = destination(f"http://{bracketed}/")
        port = urlsplit(f"http://{bracketed}/").port
    except (EgressRefused, ValueError):
        raise InvalidInput(
            f"{entry[:80]!r} names nothing that could be allowed",
            field="egress_allow",
            hint="write HOST, HOST:PORT or a network such as 10.1.0.0/16, comma between two",
        ) from None
    return to.host, port


def _unreadable(url: str, why: str) -> EgressRefused:
    return EgressRefused(
        f"{url[:80]!r} is no address to call: {why}",
        field="url",
        hint="give an address such as https://example.org/page",
        reason="bad_url",
    )


def _refused(why: str, to: Destination) -> EgressRefused:
    return EgressRefused(
        f"{to.host}:{to.port} may not be called: {why}",
        field="url",
        hint="an operator may allow it by name: MAESTRO_EGRESS_ALLOW=HOST:PORT",
        reason="egress_refused",
    )
