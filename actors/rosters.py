"""What a supervisor leaves behind for its successor: the list of its children, in Ray's own key-value store.

Who is a child at this moment is a fact about this Ray cluster and dies with it, so this is its place; no truth of
Maestro is in it. Ray Serve keeps its controller's memory in the same way.

Invariant: a supervisor that ended in order has left nothing.
"""

import asyncio
from collections.abc import Sequence

from pydantic import TypeAdapter
from ray.experimental.internal_kv import _internal_kv_del, _internal_kv_get, _internal_kv_put

from actors.names import NAMESPACE
from maestro.supervision.spec import RosterEntry

_ENTRIES = TypeAdapter(tuple[RosterEntry, ...])


async def load(supervisor: str) -> tuple[RosterEntry, ...] | None:
    """What the predecessor left, or None."""
    data = await asyncio.to_thread(_internal_kv_get, _key(supervisor), namespace=NAMESPACE)
    return _ENTRIES.validate_json(data) if data else None


async def save(supervisor: str, entries: Sequence[RosterEntry]) -> None:
    """A successor will find `entries`."""
    data = _ENTRIES.dump_json(tuple(entries), exclude_defaults=True)
    await asyncio.to_thread(_internal_kv_put, _key(supervisor), data, namespace=NAMESPACE)


async def forget(supervisor: str) -> None:
    """A successor will find nothing, and begin from its spec."""
    await asyncio.to_thread(_internal_kv_del, _key(supervisor), namespace=NAMESPACE)


def _key(supervisor: str) -> bytes:
    return f"roster:{supervisor}".encode()
