"""Readable names of Ray actors: what the dashboard shows, and how a living child is found again.

Invariant: a name is a function of the child's id and type, so that a supervisor's successor finds its children by it.
Not here: which incarnation bears a name (`maestro.ids.HolderId`).
"""

from maestro.ids import ContinuationId
from maestro.supervision.spec import ChildSpec

NAMESPACE = "maestro"
ROOT = "root"
SUPERVISOR_PREFIX = "supervisor/"
OWN = "own"
"""The supervisor of the actors that people bring along."""
TIMEKEEPER = "timekeeper"
RELAY = "relay"
HERALD = "herald"
REAPER = "reaper"
PROJECTOR = "projector"
WAREHOUSE = "warehouse"
PAGER = "pager"
PLACER = "placer"
NODE_KEEPER = "node-keeper"
KERNEL_KEEPER = "kernel-keeper"
PANE_KEEPER = "pane-keeper"
POOL_KEEPER = "pool-keeper"
SOURCE_KEEPER = "source-keeper"


def actor_name(spec: ChildSpec) -> str:
    """The name of the actor that `spec` describes: its id, and `supervisor/<id>` for a supervisor."""
    return spec.id if spec.type == "worker" or spec.id == ROOT else f"{SUPERVISOR_PREFIX}{spec.id}"


def pool_actor(pool: str, place: int) -> str:
    """The id of one actor of a pool, such as `pool/default/2`."""
    return f"pool/{pool}/{place}"


def continuation_actor(cid: ContinuationId, node: str | None = None) -> str:
    """The id of the own actor of a continuation with `dedicated` placement, or of one that is to wake at a node."""
    return f"continuation/{cid}" + (f"/{node.replace(':', '.')}" if node else "")


def source_actor(source: str) -> str:
    """The id of one event source."""
    return f"source/{source}"
