"""What of a Redis server Maestro needs, as ACL users: no command and no key more.

    maestro-<tenant>   what processes and command lines of one tenant use: its own keys, the commands of our scripts
    maestro-admin      for people: everything but emptying the store
    maestro-replica    for replicas of the server, where there are any
    default            off: who says no name gets in nowhere

Invariants: `NEEDED` names each command that our scripts call and that our adapter sends (a test compares), and none
that empties, configures or dumps a server; EVAL is not among them: what runs there is what was loaded by its text.
Not here: who keeps the passwords (`maestro acl`). SCRIPT LOAD is needed, because Redis 6.2 has no functions: who has
this password can run scripts of his own, on this tenant's keys and with these commands only.

Source: PROMISES 5.3.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import redis

from maestro.ids import TenantId

READS = (
    "exists", "get", "hexists", "hget", "hgetall", "hkeys", "hlen", "hmget", "hrandfield", "hvals", "lindex", "llen",
    "lpos", "lrange", "mget", "scard", "smembers", "time", "xlen", "xrange", "xrevrange", "zcard", "zrange",
    "zrangebyscore", "zrevrange", "zscan", "zscore",
)  # fmt: skip
WRITES = (
    "blpop", "del", "hdel", "hincrby", "hset", "hsetnx", "incrby", "lpop", "lrem", "lset", "ltrim", "pexpire", "rpush",
    "sadd", "set", "setnx", "srem", "xadd", "xdel", "zadd", "zpopmin", "zrem", "zremrangebyscore",
)  # fmt: skip
CARRIES = ("evalsha", "script|load", "select", "ping", "wait", "cluster|slots")
LOOKS = ("info", "config|get", "acl|whoami", "acl|getuser", "acl|cat")
"""For `status` and `doctor`; GETUSER shows digests of passwords, and ours have 256 random bits."""
NEEDED = (*READS, *WRITES, *CARRIES, *LOOKS)

PROBES = "maestro:doctor:*"
ADMIN, REPLICA = "maestro-admin", "maestro-replica"
REPLICATES = ("psync", "replconf", "ping")


def user_of(tenant: TenantId) -> str:
    """What the user of a tenant is called."""
    return f"maestro-{tenant}"


def patterns(tenant: TenantId) -> tuple[str, str]:
    """The keys of a tenant, and those that the doctor tries a write with."""
    return f"maestro:{tenant}:*", PROBES


def acl_lines(tenant: TenantId, passwords: dict[str, str]) -> Sequence[str]:
    """The lines of an ACL file; it holds digests, no password.

    Args:
        passwords: of `user_of(tenant)`, ADMIN and REPLICA.
    """
    keys = " ".join(f"~{pattern}" for pattern in patterns(tenant))
    digests = {user: hashlib.sha256(password.encode()).hexdigest() for user, password in passwords.items()}
    needed, replicates = (" ".join(f"+{command}" for command in some) for some in (NEEDED, REPLICATES))
    own = user_of(tenant)
    return [
        "user default off resetpass resetkeys resetchannels -@all",
        f"user {own} on #{digests[own]} resetkeys {keys} resetchannels -@all {needed}",
        f"user {ADMIN} on #{digests[ADMIN]} ~* &* +@all -flushall -flushdb",
        f"user {REPLICA} on #{digests[REPLICA]} resetkeys resetchannels -@all {replicates}",
    ]


def surplus(told: dict[str, Any], tenant: TenantId, members: Callable[[str], Iterable[str]]) -> Sequence[str]:
    """What ACL GETUSER, as the client parses it, grants beyond what is needed.

    Args:
        members: the commands of a category: a server sums rules up as it likes, such as `+@hash -hscan`.
    """
    granted: set[str] = set()
    for rule in map(_text, (*told.get("categories", ()), *told.get("commands", ()))):
        sign, name = rule[0], rule[1:]
        meant = {name} if not name.startswith("@") else {name} if name == "@all" else set(members(name[1:]))
        granted = granted | meant if sign == "+" else set() if name == "@all" else granted - meant
    keys = told.get("keys") or ()
    seen = {_text(key).removeprefix("~") for key in (keys.split() if isinstance(keys, str | bytes) else keys)}
    return [*sorted(granted - set(NEEDED)), *(f"~{key}" for key in sorted(seen - set(patterns(tenant))))]


def rights_of(client: redis.Redis, tenant: TenantId) -> tuple[str, Sequence[str]]:
    """The user of this connection, and what it may do beyond what is needed.

    Raises:
        redis.ResponseError: the server does not tell.
    """

    def members(category: str) -> Iterable[str]:
        found: Any = client.acl_cat(category)
        return map(_text, found)

    user = _text(client.acl_whoami())
    told: Any = client.acl_getuser(user)
    return user, surplus(told, tenant, members)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
