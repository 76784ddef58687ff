"""Nodes on which nothing is to be started: a fact about this Ray cluster, kept in its own key-value store.

Every start of a child asks for it, whoever starts it and why. Not here: who decides it (`actors.node_keeper`).
"""

import asyncio
import json
from collections.abc import Iterable

from ray.experimental.internal_kv import _internal_kv_get, _internal_kv_put

from actors.names import NAMESPACE
from maestro.supervision.spec import Resources

NODE_ID = "ray.io/node-id"
"""The label that Ray itself gives every node."""
_KEY = b"maestro:avoided"


async def avoid(node_ids: Iterable[str]) -> None:
    """Nothing is started on these nodes from now on, and on all others again."""
    await asyncio.to_thread(_write, sorted(node_ids))


def avoiding(needs: Resources) -> Resources:
    """What a child needs, and not to stand on an avoided node; for use outside an event loop."""
    avoided: list[str] = json.loads(_internal_kv_get(_KEY, namespace=NAMESPACE) or b"[]")
    if not avoided or NODE_ID in needs.labels or needs.node not in (None, *avoided):
        return needs
    labels = {**needs.labels, NODE_ID: f"!in({','.join(avoided)})"}
    return needs.model_copy(update={"labels": labels, "node": None})


def _write(node_ids: list[str]) -> None:
    wanted = json.dumps(node_ids).encode()
    if (_internal_kv_get(_KEY, namespace=NAMESPACE) or b"[]") != wanted:
        _internal_kv_put(_KEY, wanted, namespace=NAMESPACE)
