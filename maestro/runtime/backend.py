"""A backend: every port of one store, bound to one tenant. An adapter hands out one such value, and nothing else."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from maestro.budget.accounts import Accounts
from maestro.clock import Clock
from maestro.field.shelf import Shelf
from maestro.ids import TenantId
from maestro.mesh.source import SourceRecords
from maestro.pager.notices import Notices
from maestro.pager.pieces import Pieces
from maestro.pager.placed import Placements
from maestro.runtime.alarms import Alarms
from maestro.runtime.audit import AuditLog
from maestro.runtime.claims import Claims
from maestro.runtime.identity import Identity
from maestro.runtime.nodes import Nodes
from maestro.runtime.ports import Gatherings, Leases, Outbox, Projections, Router, Signals, Timers
from maestro.runtime.register import Register
from maestro.tick.blocks import Blocks
from maestro.tick.journals import Journals
from maestro.tick.moves import Moves
from maestro.tick.records import Records
from maestro.tick.steering import Steering
from maestro.tick.store import Store
from maestro.tools.calls import ToolRecords
from maestro.tools.room import ArtifactRoom


@dataclass(frozen=True, slots=True)
class Backend:
    """The ports of one store; they see each other's writes at once."""

    tenant: TenantId
    partitions: int
    clock: Clock
    store: Store
    journals: Journals
    leases: Leases
    timers: Timers
    outbox: Outbox
    projections: Projections
    signals: Signals
    router: Router
    records: Records
    steering: Steering
    shelf: Shelf
    gatherings: Gatherings
    sources: SourceRecords
    blocks: Blocks
    moves: Moves
    claims: Claims
    notices: Notices
    nodes: Nodes
    identity: Identity
    placements: Placements
    pieces: Pieces
    alarms: Alarms
    accounts: Accounts
    tools: ToolRecords
    room: ArtifactRoom
    register: Register
    audit: AuditLog
    close: Callable[[], Awaitable[None]]
    """Ends connections; what is stored stays."""
