"""What a supervisor leaves behind for its successor: the list of its children, in Ray's own key-value store.

Who is a child at this moment is a fact about this Ray cluster and dies with it, so this is its place; no truth of
Maestro is in it. Ray Serve keeps its controller's memory in the same way.

Invariants: a supervisor that ended in order has left nothing; what cannot be read is set aside, never in the way.
"""

import asyncio
from collections.abc import Sequence

import structlog
from ray.experimental.internal_kv import (
    _internal_kv_del,
    _internal_kv_get,
    _internal_kv_list,
    _internal_kv_put,
)

from actors.names import NAMESPACE, SUPERVISOR_PREFIX
from maestro.supervision.roster import Roster, Spoilt, parse, render, survey
from maestro.supervision.spec import ChildSpec

_PREFIX = "roster:"
_SPOILT = "spoilt-roster:"

_log = structlog.get_logger()


async def load(supervisor: str) -> Roster | None:
    """What the predecessor left, or None; one that cannot be read is set aside."""
    data = await asyncio.to_thread(_internal_kv_get, _key(supervisor), namespace=NAMESPACE)
    try:
        return parse(data) if data else None
    except ValueError as error:
        await asyncio.to_thread(_set_aside, supervisor, f"unreadable: {error}")
        return None


async def save(supervisor: str, entries: Roster) -> None:
    """A successor will find `entries`."""
    await asyncio.to_thread(_internal_kv_put, _key(supervisor), render(entries), namespace=NAMESPACE)


async def forget(supervisor: str) -> None:
    """A successor will find nothing, and begin from its spec."""
    await asyncio.to_thread(_internal_kv_del, _key(supervisor), namespace=NAMESPACE)


async def mend(root: ChildSpec) -> Sequence[Spoilt]:
    """What the supervisors of this cluster left makes one tree below `root`; what does not fit was set aside."""
    return await asyncio.to_thread(_mend, root)


def _mend(root: ChildSpec) -> Sequence[Spoilt]:
    names = [key.decode().removeprefix(_PREFIX) for key in _internal_kv_list(_PREFIX, namespace=NAMESPACE)]
    found = {name: _internal_kv_get(_key(name), namespace=NAMESPACE) or b"" for name in names}
    seen = survey(root, {name.removeprefix(SUPERVISOR_PREFIX): data for name, data in found.items()})
    for spoilt in seen.spoilt:
        name = spoilt.supervisor if spoilt.supervisor == root.id else SUPERVISOR_PREFIX + spoilt.supervisor
        _set_aside(name, f"{spoilt.entry}: {spoilt.why}" if spoilt.entry else spoilt.why)
        if spoilt.supervisor in seen.kept:
            _internal_kv_put(_key(name), render(seen.kept[spoilt.supervisor]), namespace=NAMESPACE)
    return seen.spoilt


def _set_aside(supervisor: str, why: str) -> None:
    data = _internal_kv_get(_key(supervisor), namespace=NAMESPACE) or b""
    _internal_kv_put(f"{_SPOILT}{supervisor}".encode(), data, namespace=NAMESPACE)
    _internal_kv_del(_key(supervisor), namespace=NAMESPACE)
    _log.error("roster set aside", supervisor=supervisor, reason=why, bytes=len(data))


def _key(supervisor: str) -> bytes:
    return f"{_PREFIX}{supervisor}".encode()
