"""The subtree of a supervisor as JSON, for `maestro status --tree` and the pane."""

import asyncio
from dataclasses import asdict

from pydantic import JsonValue
from ray.exceptions import RayError

from actors.children import Living
from actors.lifecycle import Lifecycle
from actors.names import actor_name
from actors.supervising import Supervising
from maestro.supervision import requests
from maestro.supervision.spec import ChildSpec
from maestro.supervision.state import Child

ANSWER_S = 5.0
WORDS = {"waiting": "waiting to restart"}


async def whole(spec: ChildSpec, life: Lifecycle, supervising: Supervising) -> dict[str, JsonValue]:
    """The supervisor itself with its children, each with its own; a child that does not answer says so."""
    nodes = await asyncio.gather(*(_node(supervising, child) for child in supervising.state.children))
    return {
        "id": spec.id,
        "type": "supervisor",
        "state": supervising.state.phase,
        "strategy": spec.strategy,
        **life.identity(),
        "children": list(nodes),
    }


def flat(supervising: Supervising) -> list[JsonValue]:
    """OTP's `which_children`, in start order."""
    return [
        {"id": child.id, "incarnation": child.incarnation, "type": child.spec.type, "state": child.standing}
        for child in requests.which_children(supervising.state)
    ]


def counts(supervising: Supervising) -> dict[str, int]:
    """OTP's `count_children`."""
    return asdict(requests.count_children(supervising.state))


async def _node(supervising: Supervising, child: Child) -> JsonValue:
    living = supervising.wards.living.get(child.id)
    node: dict[str, JsonValue] = {
        "id": child.id,
        "actor": actor_name(child.spec),
        "type": child.spec.type,
        "state": WORDS.get(child.standing, child.standing),
        "restart": child.spec.restart,
        "restarts": child.restarts,
        "incarnation": child.incarnation,
        "pid": living.pid if living else None,
        "node": living.node if living else None,
        "since_ms": living.since_ms if living else None,
        "last_exit": _last_exit(child, supervising.wards.ended_at_ms.get(child.id)),
    }
    if child.spec.type == "supervisor":
        node |= {"strategy": child.spec.strategy, "children": await _below(living)}
    return node


def _last_exit(child: Child, at_ms: int | None) -> JsonValue:
    if child.last_exit is None:
        return None
    return {"kind": child.last_exit.kind, "text": child.last_exit.text, "at_ms": at_ms}


async def _below(living: Living | None) -> JsonValue:
    if living is None:
        return []
    try:
        async with asyncio.timeout(ANSWER_S):
            answer: dict[str, JsonValue] = await living.handle.tree.remote()
    except (TimeoutError, RayError) as error:
        return [{"id": "?", "state": "unknown", "error": f"{living.spec.id} does not answer: {type(error).__name__}"}]
    return answer["children"]
