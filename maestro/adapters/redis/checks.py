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
from redis.backoff import NoBackoff
from redis.retry import Retry

from maestro.errors import StoreUnavailable
from maestro.ids import new_token

OLDEST = (6, 2)
HEADROOM = 0.20  # of maxmemory: what frees memory needs some to run
SLOW_WRITE_MS = 50.0  # F20; seen here with appendfsync always: about 1
SKEW_MS = 1_000  # beyond it, people read times wrongly; promises rest on the store's clock alone
PROBE_TTL_MS = 60_000
FLUSHING = ("@all", "@dangerous", "@keyspace", "@write", "flushall")
"""FLUSHALL and the categories that hold it."""


@dataclass(frozen=True, slots=True)
class StoreFinding:
    """One thing that was looked at."""

    check: str
    ok: bool
    seen: str
    wanted: str
    fix: str


def store_findings(client: redis.Redis, fsync: str = "always") -> Sequence[StoreFinding]:
    """What the doctor saw, in the order of `_checks`; a store that does not answer is one finding by itself.

    Args:
        client: a synchronous client that decodes its replies or does not.
        fsync: the durability that these settings promise, `always` or `everysec`.
    """
    try:
        info = {str(key): str(value) for key, value in client.info("everything").items()}
        return list(_checks(client, info, _Config(client), fsync))
    except redis.RedisError as error:
        return [StoreFinding("answers", False, str(error), "an answer", "start it, or correct MAESTRO_REDIS_URL")]


def findings_at(url: str, fsync: str = "always") -> Sequence[StoreFinding]:
    """What the doctor saw of the server at `url`; see `store_findings`."""
    with _client(url) as client:
        return store_findings(client, fsync)


def facts_of(url: str) -> dict[str, str | None]:
    """What `status` tells of the server at `url`: which it is, where (without the password), and how it keeps.

    Raises:
        StoreUnavailable: nothing answers there.
    """
    with _client(url) as client:
        try:
            info = {str(key): str(value) for key, value in client.info("server").items()}
            fsync = _Config(client)("appendfsync")
        except redis.RedisError as error:
            raise StoreUnavailable(f"no answer from the store: {error}", hint="see `maestro doctor`") from None
    version = info.get("valkey_version") or info.get("redis_version")
    server = "Valkey" if "valkey_version" in info else "Redis"
    return {"address": _without_password(url), "server": server, "version": version, "fsync": fsync}


def run_id_of(url: str) -> str:
    """Which running server answers at `url`: the same text however it is reached.

    Raises:
        StoreUnavailable: none does.
    """
    try:
        with _client(url) as client:
            return str(client.info("server")["run_id"])
    except redis.RedisError as error:
        place = _without_password(url)
        raise StoreUnavailable(f"no Redis answers at {place}: {error}", hint="start it, or correct its URL") from error


def _client(url: str) -> redis.Redis:
    """A client that tells the truth at once: no retries, short patience."""
    return redis.Redis.from_url(url, socket_timeout=2.0, socket_connect_timeout=2.0, retry=Retry(NoBackoff(), 0))


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


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
        return StoreFinding(
            name, False, "the server does not tell", wanted, f"allow CONFIG GET {name}, or ask its host"
        )
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
        return StoreFinding("flushall", False, f"the server does not tell: {error}", wanted, fix)
    allowed = False
    for rule in (*told["categories"], *told["commands"]):  # as the client sorts them: categories come first
        if rule[1:] in FLUSHING:
            allowed = rule[0] == "+"
    return StoreFinding("flushall", not allowed, "allowed" if allowed else "denied", wanted, fix)


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
