"""What a store in memory holds: partitions, and in them one row per continuation.

Invariant: everything that one step changes lies in one partition.
What is not here: any rule; those are in waking, money, commit and the ports.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from maestro.adapters.memory.clock import ReadableClock
from maestro.adapters.memory.lists import Agenda, Line, Seen
from maestro.adapters.memory.signals import MemorySignals
from maestro.adapters.memory.telling import Telling
from maestro.budget.accounts import NOTHING, AccountPath, Rest, Slice
from maestro.budget.ledger import Ledger
from maestro.budget.standing import Standing
from maestro.budget.vector import BudgetVector
from maestro.continuation.lifecycle import TERMINAL, Hold, Status
from maestro.continuation.mail import DEAD_LETTERS_KEPT, Control, Mail
from maestro.errors import ContinuationAlreadyTerminalError, ContinuationMovedError, ContinuationNotFoundError
from maestro.ids import (
    DEFAULT_TENANT,
    CallId,
    ContinuationId,
    EntryId,
    Epoch,
    HolderId,
    Partition,
    Rev,
    TenantId,
    TimeMs,
    new_token,
    partition_of,
)
from maestro.runtime.identity import shut_store
from maestro.tick.moves import Packed
from maestro.tick.records import Frost, Pin
from maestro.tick.store import Batch, JournalEntry, OutboxRow, Terms

EVENTS_KEPT = 100_000
EPOCHS_OF_ONE = 1 << 32
"""Of one incarnation: those of a later one are all larger."""
NEVER_ADOPTED = Epoch(0)
BIRTH = Rev(0)
LONG_AGO = TimeMs(0)

TimerKey = tuple[ContinuationId, str]
Interest = tuple[ContinuationId, str]
"""(who, interest id)"""


@dataclass(slots=True)
class Tenure:
    """Who has it in hand, and how often the tick in hand was begun."""

    epoch: Epoch = NEVER_ADOPTED
    commit_epoch: Epoch = NEVER_ADOPTED
    """The epoch of the last commit: it tells a repeated commit from a stale one."""
    holder: HolderId | None = None
    last_holder: HolderId | None = None
    """Who holds it, or held it last."""
    tries: int = 0
    error: str | None = None
    controls_seen: int = 0
    """How much control mail the holder was given; more than that came since."""
    mail_seen: int = 0
    """How much other mail."""


@dataclass(slots=True)
class Vigil:
    """What wakes it, and what keeps it from waking."""

    wake_keys: tuple[str, ...] = ()
    join: int = 0
    hold: Hold | None = None
    frost: Frost | None = None
    """Who froze it, while it is frozen."""
    tree: bool = False
    """Whoever is born to it is born frozen."""
    owed: bool = False
    """It would be ready if it were not frozen."""
    timers: set[str] = field(default_factory=set)
    interests: set[tuple[str, str]] = field(default_factory=set)
    """(pattern, interest id)"""
    windows: dict[str, int] = field(default_factory=dict)
    """Interest id -> how long (ms) its events are collected before they wake."""
    wake_limits: dict[str, int] = field(default_factory=dict)
    """Interest id -> how often it may wake in a day."""
    wakes: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Interest id -> the day on which it last woke, and how often on that day."""

    @property
    def frozen(self) -> bool:
        return self.frost is not None


@dataclass(slots=True)
class Scratch:
    """The tick in flight: its journal, and the mail that it was begun with."""

    batch: Batch | None = None
    journal: dict[int, JournalEntry] = field(default_factory=dict)
    pieces: dict[CallId, Telling] = field(default_factory=dict)
    """What is told of answers that are being written."""


@dataclass(frozen=True, slots=True)
class Gone:
    """One that has left for another store, as it left."""

    export_id: str
    to: str
    at_ms: TimeMs
    packed: Packed


@dataclass(slots=True)
class Row:
    """One continuation."""

    cid: ContinuationId
    pool: str
    name: str | None
    parent: ContinuationId | None
    checkpoint: bytes
    ledger: Ledger
    status: Status = Status.PENDING
    rev: Rev = BIRTH
    log: list[tuple[TimeMs, bytes]] = field(default_factory=list)
    controls: list[Mail] = field(default_factory=list)
    mail: list[Mail] = field(default_factory=list)
    mail_bytes: int = 0
    heard: dict[str, int] = field(default_factory=dict)
    """Sender -> its last number, of senders outside the partition."""
    watches: dict[str, tuple[ContinuationId, bool]] = field(default_factory=dict)
    """Who is told of its end: name of the watch -> watcher, and whether it is a link."""
    tenure: Tenure = field(default_factory=Tenure)
    vigil: Vigil = field(default_factory=Vigil)
    scratch: Scratch = field(default_factory=Scratch)
    gone: Gone | None = None
    arrived_by: str | None = None
    """The export that brought it."""
    pin: Pin | None = None
    account: AccountPath | None = None
    """What has lent its family what it has."""
    standings: dict[str, Standing] = field(default_factory=dict)
    """How its accounts stood when it was last told, by resource."""
    crossings: int = 0
    """How often a border of its accounts was crossed."""

    @property
    def terminal(self) -> bool:
        return self.status in TERMINAL or self.gone is not None

    def is_ordered(self, order: Control, first: int = 0) -> bool:
        """True when unread control mail, from the `first` on, holds such an order."""
        return any(mail.subject == order for mail in self.controls[first:])


@dataclass(slots=True)
class Debt:
    """What a family owes its account, and what of it is being paid."""

    amount: BudgetVector = NOTHING
    open: Rest | None = None
    last: int = 0


@dataclass(frozen=True, slots=True)
class Unscored:
    """A projection without its position."""

    cid: ContinuationId
    source: str
    interest_id: str | None
    relevance: float | None
    payload: bytes
    told: int = 1
    """The event before which the field is complete without it, plus one."""
    at_ms: TimeMs = LONG_AGO


@dataclass(frozen=True, slots=True)
class Shelved:
    """A field entry as bytes, with its place in the set of its half-life."""

    rank_key: float
    entry: bytes


@dataclass(slots=True)
class PartitionState:
    """All that changes together."""

    clock: ReadableClock
    signals: MemorySignals
    tenant: TenantId = DEFAULT_TENANT
    rows: dict[ContinuationId, Row] = field(default_factory=dict)
    names: dict[str, ContinuationId] = field(default_factory=dict)
    ready: defaultdict[str, Agenda[ContinuationId]] = field(default_factory=lambda: defaultdict(Agenda))
    held: defaultdict[HolderId, dict[ContinuationId, Row]] = field(default_factory=lambda: defaultdict(dict))
    leases: dict[HolderId, TimeMs] = field(default_factory=dict)
    homes: dict[str, tuple[TimeMs, str]] = field(default_factory=dict)
    """Who listens to its own name -> until when, and the pool that it serves."""
    room: dict[str, int] = field(default_factory=dict)
    """What pools have room for."""
    timers: Agenda[TimerKey] = field(default_factory=Agenda)
    seen: Seen = field(default_factory=Seen)
    interests: defaultdict[str, dict[Interest, float | None]] = field(default_factory=lambda: defaultdict(dict))
    terms: dict[Interest, Terms] = field(default_factory=dict)
    """What interests ask beside subject and relevance."""
    outbox: Line[OutboxRow] = field(default_factory=Line)
    projections: Line[Unscored] = field(default_factory=Line)
    shelves: dict[ContinuationId, dict[int, dict[EntryId, Shelved]]] = field(default_factory=dict)
    degraded: dict[tuple[ContinuationId, int, EntryId], None] = field(default_factory=dict)
    """Entries that wait for the engine that was away, oldest first."""
    asked: dict[ContinuationId, int] = field(default_factory=dict)
    """Fields that want to be looked through, and how many events were told when they asked."""
    looked: dict[ContinuationId, tuple[int, str]] = field(default_factory=dict)
    """How many events were told by the last look, and what is kept of it."""
    gatherer: str | None = None
    """Who looks; None where nobody does."""
    bonds: dict[str, dict[tuple[str, str], TimeMs]] = field(default_factory=dict)
    """Node of the graph -> kind and other end of each of its edges, and of when it is."""
    tied: dict[EntryId, TimeMs] = field(default_factory=dict)
    """Entries that have edges, and of when they are."""
    blocks: dict[str, tuple[bytes, TimeMs]] = field(default_factory=dict)
    """Name -> the block, and when it was last put."""
    findings: defaultdict[ContinuationId, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    waiting: dict[ContinuationId, bytes] = field(default_factory=dict)
    feed: list[bytes] = field(default_factory=list)
    events: deque[bytes] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))
    dead_letters: list[bytes] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    brake: Frost | None = None
    accounts: dict[AccountPath, Ledger] = field(default_factory=dict)
    slices: dict[str, Slice] = field(default_factory=dict)
    """What accounts have lent and nobody has confirmed, by key."""
    debts: dict[ContinuationId, Debt] = field(default_factory=dict)
    alarms: dict[str, dict[str, object]] = field(default_factory=dict)
    """Alerts that people are not told of, by key."""
    once: dict[tuple[str, str], ContinuationId] = field(default_factory=dict)
    """What a call under a key has made."""

    store: str = field(default_factory=lambda: new_token("store"))
    incarnation: int = 0
    shut: bool = False
    """Nobody may write until an incarnation begins."""

    def now(self) -> TimeMs:
        """The time, for whoever is about to write.

        Raises:
            StoreRefused: nobody may.
        """
        self.check_open()
        return self.clock.read()

    def check_open(self) -> None:
        """Somebody may write here.

        Raises:
            StoreRefused: nobody may.
        """
        if self.shut:
            raise shut_store()

    def next_epoch(self, epoch: int) -> int:
        """The epoch after this one: none of this incarnation was ever given out before it."""
        return max(epoch, self.incarnation * EPOCHS_OF_ONE) + 1

    def fact(self, body: Mapping[str, object]) -> None:
        self.feed.append(orjson.dumps(body))

    def bury(self, cause: str, to: str, kind: str, id_: str, payload: bytes, **more: str) -> None:
        """A dead letter is kept, with why it could not arrive."""
        letter = {"cause": cause, "to": to, "kind": kind, "id": id_, "payload": payload.decode(), **more}
        self.dead_letters.append(orjson.dumps(letter))
        del self.dead_letters[:-DEAD_LETTERS_KEPT]
        self.counts["dead"] += 1


@dataclass(frozen=True, slots=True)
class Memory:
    """The partitions of one store, by number and by who lives in them."""

    partitions: Sequence[PartitionState]

    def at(self, partition: Partition) -> PartitionState:
        return self.partitions[partition]

    def of(self, cid: ContinuationId) -> PartitionState:
        """The partition that `cid` lives in.

        Raises:
            ContinuationNotFoundError: this store has no such partition.
        """
        number = partition_of(cid)
        if number >= len(self.partitions):
            raise unknown(cid)
        return self.partitions[number]

    def find(self, cid: ContinuationId) -> tuple[PartitionState, Row]:
        """The row of `cid`, and its partition.

        Raises:
            ContinuationNotFoundError: nobody has that id.
        """
        state = self.of(cid)
        row = state.rows.get(cid)
        if row is None:
            raise unknown(cid)
        return state, row


def ended(row: Row) -> ContinuationAlreadyTerminalError:
    """The refusal of one that takes nothing any more: it is done, or lives elsewhere."""
    if row.gone is not None:
        return moved_away(row)
    return ContinuationAlreadyTerminalError(
        f"{row.cid} is done and takes no mail", hint=f"see `maestro show {row.cid}`"
    )


def moved_away(row: Row) -> ContinuationMovedError:
    to = row.gone.to if row.gone else "nowhere"
    return ContinuationMovedError(f"{row.cid} has moved to {to}", field="id", hint="ask for it there", to=to)


def unknown(cid: ContinuationId) -> ContinuationNotFoundError:
    return ContinuationNotFoundError(f"no continuation {cid}", field="id", hint="see `maestro list`")
