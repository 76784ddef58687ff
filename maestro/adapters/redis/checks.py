"""The store part of `maestro doctor`: every setting of the server that a promise rests on, and one real write.

A check reads what the server says now, not what a file told it once. A server that does not let its settings be read
(a hosted one) is judged by INFO, and told where INFO is silent.

Source: PROMISES M1-M4, F12, F19, B85, B86, B93; section 5.3.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from maestro.adapters.redis.address import Address
from maestro.adapters.redis.rights import rights_of, user_of
from maestro.errors import StoreUnavailable
from maestro.ids import TenantId, new_token

OLDEST = (6, 2)
HEADROOM = 0.20  # of maxmemory: what frees memory needs some to run
SLOW_WRITE_MS = 50.0  # F20; seen here with appendfsync always: about 1
UNTOLD = "the server does not tell"
SKEW_MS = 1_000  # beyond it, people read times wrongly; promises rest on the store's clock alone
PROBE_TTL_MS = 60_000
FLUSHING = ("@all", "@dangerous", "@keyspace", "@write", "flushall")
"""FLUSHALL and the categories that hold it."""
LOSING = ("version", "appendonly", "appendfsync", "maxmemory-policy")
"""Checks that, where they fail, cost what was acknowledged: it is not persisted, or thrown away to make room."""


@dataclass(frozen=True, slots=True)
class StoreFinding:
    """One thing that was looked at."""

    check: str
    ok: bool
    seen: str
    wanted: str
    fix: str


def store_findings(
    client: redis.Redis, fsync: str = "always", tenant: TenantId | None = None, replicas: int = 0
) -> Sequence[StoreFinding]:
    """What the doctor saw, in the order of `_checks`; a store that does not answer is one finding by itself.

    Args:
        client: a synchronous client that decodes its replies or does not.
        fsync: the durability that these settings promise, `always` or `everysec`.
        tenant: whose user is to have no more rights than it needs.
        replicas: how many must have a write before it counts as done.
    """
    try:
        info = {str(key): str(value) for key, value in client.info("everything").items()}
        found = [*_checks(client, info, _Config(client), fsync), *_replicas(info, replicas)]
        return found if tenant is None else [*found, _rights(client, tenant)]
    except redis.RedisError as error:
        return [StoreFinding("answers", False, str(error), "an answer", "start it, or correct MAESTRO_REDIS_URL")]


def findings_at(
    url: str, fsync: str = "always", tenant: TenantId | None = None, replicas: int = 0
) -> Sequence[StoreFinding]:
    """What the doctor saw of the servers at `url`; see `store_findings`. Of several, the worst of each check."""
    try:
        found = [store_findings(client, fsync, tenant, replicas) for client in _clients(url)]
    except redis.RedisError as error:
        return [StoreFinding("answers", False, str(error), "an answer", "start it, or correct MAESTRO_REDIS_URL")]
    worst: dict[str, StoreFinding] = {}
    for finding in (each for of_one in found for each in of_one):
        if finding.check not in worst or not finding.ok:
            worst[finding.check] = finding
    return list(worst.values())


def losing_at(url: str, fsync: str = "always") -> Sequence[StoreFinding]:
    """What the servers at `url` say of themselves by which acknowledged ticks would be lost.

    Not here: what they do not tell, and that they do not answer.
    """
    return [
        found for found in findings_at(url, fsync) if found.check in LOSING and not found.ok and found.seen != UNTOLD
    ]


def facts_of(url: str) -> dict[str, str | None]:
    """What `status` tells of the server at `url`: which it is, where (without the password), and how it keeps.

    Raises:
        StoreUnavailable: nothing answers there.
    """
    try:
        told = [(client.info("server"), _Config(client)("appendfsync")) for client in _clients(url)]
    except redis.RedisError as error:
        raise StoreUnavailable(f"no answer from the store: {error}", hint="see `maestro doctor`") from None
    info, fsync = {str(key): str(value) for key, value in told[0][0].items()}, told[0][1]
    version = info.get("valkey_version") or info.get("redis_version")
    server = "Valkey" if "valkey_version" in info else "Redis"
    return {
        "address": Address.of(url).shown(),
        "server": server if len(told) == 1 else f"{len(told)} primaries of {server}",
        "version": version,
        "fsync": fsync,
    }


def run_ids_of(url: str) -> Sequence[str]:
    """Which running servers answer at `url`: the same texts however they are reached.

    Raises:
        StoreUnavailable: none does.
    """
    try:
        return [str(client.info("server")["run_id"]) for client in _clients(url)]
    except redis.RedisError as error:
        place = Address.of(url).shown()
        raise StoreUnavailable(f"no Redis answers at {place}: {error}", hint="start it, or correct its URL") from error


def _clients(url: str) -> Iterator[redis.Redis]:
    """A client of each server that is written to, one after the other; each is closed when the next is asked for."""
    for client in Address.of(url).clients():
        with client:
            yield client


class _Config:
    """CONFIG GET, of one name at a time; None where the server has no such name or does not tell."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def __call__(self, name: str) -> str | None:
        try:
            told: Iterable[object] = self._client.config_get(name).values()
        except redis.ResponseError:  # NoPermissionError is one: a hosted server
            return None
        values = [value.decode() if isinstance(value, bytes) else str(value) for value in told]
        return values[0] if values else None


def _checks(client: redis.Redis, info: Mapping[str, str], config: _Config, fsync: str) -> Iterator[StoreFinding]:
    yield _version(info)
    yield _same("appendonly", "yes" if info.get("aof_enabled") == "1" else "no", "yes")
    yield _fsync(config("appendfsync"), fsync)
    yield _same("maxmemory-policy", info.get("maxmemory_policy"), "noeviction")
    yield _headroom(info)
    yield _same("timeout", config("timeout"), "0")
    yield _same("aof-load-truncated", config("aof-load-truncated"), "no")
    yield _flushing(client)
    yield _write(client)
    yield _skew(client)


def _version(info: Mapping[str, str]) -> StoreFinding:
    seen = info.get("redis_version", "0")  # Valkey tells the Redis version it is compatible with
    numbers = tuple(int(part) for part in seen.split(".")[:2])
    return StoreFinding("version", numbers >= OLDEST, seen, "6.2 or later", "install Redis 6.2 or later, or Valkey")


def _same(name: str, seen: str | None, wanted: str) -> StoreFinding:
    if seen is None:
        return StoreFinding(name, False, UNTOLD, wanted, f"allow CONFIG GET {name}, or ask its host")
    return StoreFinding(name, seen == wanted, seen, wanted, f"CONFIG SET {name} {wanted}, and in redis.conf")


def _fsync(seen: str | None, promised: str) -> StoreFinding:
    classes = {"always": ("always",), "everysec": ("always", "everysec")}[promised]
    finding = _same("appendfsync", seen, promised)
    return StoreFinding(finding.check, seen in classes, finding.seen, finding.wanted, finding.fix)


def _headroom(info: Mapping[str, str]) -> StoreFinding:
    limit, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    seen = f"{used} of {limit} bytes used" if limit else f"no limit, {used} bytes used"
    ok = not limit or used <= limit * (1 - HEADROOM)
    return StoreFinding("memory", ok, seen, f"{HEADROOM:.0%} of maxmemory free", "raise maxmemory")


def _flushing(client: redis.Redis) -> StoreFinding:
    """Nobody empties the store by accident: the last word of the user's rules on FLUSHALL is no (F18)."""
    wanted = "denied to this user"
    fix = "ACL SETUSER default -flushall -flushdb, and in redis.conf or the ACL file"
    try:
        told: Any = client.acl_getuser(_text(client.acl_whoami()))
    except redis.ResponseError as error:
        return StoreFinding("flushall", False, f"{UNTOLD}: {error}", wanted, fix)
    allowed = False
    for rule in (*told["categories"], *told["commands"]):  # as the client sorts them: categories come first
        if rule[1:] in FLUSHING:
            allowed = rule[0] == "+"
    return StoreFinding("flushall", not allowed, "allowed" if allowed else "denied", wanted, fix)


def _rights(client: redis.Redis, tenant: TenantId) -> StoreFinding:
    """A user of ours has the rights that are needed and no other; the user `default` is whatever its host makes it."""
    wanted, fix = "the rights that are needed, no other", "`maestro acl`, and docs/how-to/secure-an-installation.md"
    try:
        user, surplus = rights_of(client, tenant)
    except redis.ResponseError as error:
        return StoreFinding("rights", False, f"{UNTOLD}: {error}", wanted, fix)
    if user == "default":
        return StoreFinding("rights", True, f"the user default; {user_of(tenant)} would have fewer", wanted, fix)
    seen = f"{user} has what it needs" if not surplus else f"{user} has more: {' '.join(surplus)}"
    return StoreFinding("rights", not surplus, seen, wanted, fix)


def _replicas(info: Mapping[str, str], wanted: int) -> Iterator[StoreFinding]:
    """Whoever waits for replicas has them."""
    if wanted:
        seen = int(info.get("connected_slaves", 0))
        fix = "start them, or lower MAESTRO_REDIS_REPLICAS: until then nothing is acknowledged"
        yield StoreFinding("replicas", seen >= wanted, f"{seen} connected", f"at least {wanted}", fix)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _write(client: redis.Redis) -> StoreFinding:
    """A ping tells nothing: a full disk and a replica answer it (M3)."""
    key = f"maestro:doctor:{new_token('probe')}"
    wanted, fix = f"under {SLOW_WRITE_MS:.0f} ms", "look at the disk below the append-only file"
    begun = time.perf_counter()
    try:
        client.set(key, "1", px=PROBE_TTL_MS)
    except redis.RedisError as error:
        return StoreFinding("write", False, f"refused: {error}", wanted, "free disk or memory; write to the primary")
    took_ms = (time.perf_counter() - begun) * 1_000
    client.delete(key)
    return StoreFinding("write", took_ms < SLOW_WRITE_MS, f"{took_ms:.1f} ms", wanted, fix)


def _skew(client: redis.Redis) -> StoreFinding:
    before = time.time()
    seconds, micros = client.time()
    middle = (before + time.time()) / 2
    skew_ms = (seconds + micros / 1_000_000 - middle) * 1_000
    fix = "synchronise the clocks of both hosts (chrony, systemd-timesyncd)"
    return StoreFinding("clock", abs(skew_ms) < SKEW_MS, f"{skew_ms:+.0f} ms", f"within {SKEW_MS} ms", fix)
