"""The port to the store: the few atomic writes that a continuation's life consists of.

Each method is one atomic step and one round trip. Each is safe to repeat after a lost reply: `create` by its id,
`deliver` by the mail's id, `record` by its ordinal, `commit` by (epoch, rev). Times are read inside the step, on the
store's clock.

Two adapters keep this contract, memory and Redis, under one suite (tests/contract/test_store_*.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import JsonValue

from maestro.budget.accounts import AccountPath
from maestro.budget.ledger import Ledger
from maestro.budget.vector import BudgetVector
from maestro.continuation.lifecycle import Hold, Status
from maestro.continuation.mail import Mail
from maestro.continuation.predicate import Predicate
from maestro.ids import CallId, ContinuationId, Epoch, HolderId, Partition, Rev, TimeMs
from maestro.tick.linger import Linger
from maestro.tick.watches import Watch


@dataclass(frozen=True, slots=True)
class Birth:
    """A continuation that does not exist yet: its first checkpoint, record 0, its grant and its start mail."""

    cid: ContinuationId
    checkpoint: bytes
    record: bytes
    grant: BudgetVector
    start: Mail
    pool: str
    root: ContinuationId
    behaviour: str
    name: str | None = None
    supersedes: Mail | None = None
    """The order to end for whoever has the name: its owner gets it in the same step, and the name goes over."""
    account: AccountPath | None = None
    """What has lent its grant, and gets back what is left of it."""


def born_fact(birth: Birth, parent: ContinuationId | None) -> dict[str, JsonValue]:
    """What the feed tells of a birth."""
    account: dict[str, JsonValue] = {"account": birth.account} if birth.account else {}
    of: dict[str, JsonValue] = {"cid": birth.cid, "parent": parent, "root": birth.root, "behaviour": birth.behaviour}
    return {"type": "born", **of, **account}


@dataclass(frozen=True, slots=True)
class Renewal:
    """What a holder is told when its lease runs anew."""

    held: tuple[ContinuationId, ...] = ()
    """What it holds: whatever else it has in hand was taken from it."""
    urgent: tuple[ContinuationId, ...] = ()
    """Those of them that an order to end has come for since adoption, unless they carry out such a one already."""


@dataclass(frozen=True, slots=True)
class Orphan:
    """A child that outlives its parent: alone, or (`adopt`) with the nearest living ancestor, who gets `news`."""

    child: ContinuationId
    adopt: bool
    news: Mail


@dataclass(frozen=True, slots=True)
class Heir:
    """Who gets what a merged one leaves: its free money, its findings, its field, and this mail."""

    cid: ContinuationId
    root: ContinuationId
    mail: tuple[Mail, ...]


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One effect of the tick in flight: its intent, and its answer once there is one."""

    ordinal: int
    kind: str
    key: str
    """Hash of what was asked: a repeated tick that asks something else is told so."""
    call_id: CallId
    price: BudgetVector = BudgetVector({})
    """What is reserved for it at most."""
    decision: str | None = None
    asked: JsonValue = None
    """What is asked, as refs to blocks that are kept already: see EffectNote."""
    question: JsonValue = None
    """What the decision was made on: see EffectNote."""
    answer: JsonValue = None
    answered: bool = False
    failed: bool = False
    charge: BudgetVector = BudgetVector({})


@dataclass(frozen=True, slots=True)
class Batch:
    """Which mail a tick sees and what time it is: fixed with its first effect, so a repeated tick sees the same."""

    mail_ids: tuple[str, ...]
    now_ms: TimeMs


@dataclass(frozen=True, slots=True)
class Adopted:
    """A continuation in the hands of one holder, under a fresh epoch."""

    cid: ContinuationId
    epoch: Epoch
    rev: Rev
    tries: int
    """How often this tick was begun, this time included; counted before the tick begins, so a crash counts."""
    checkpoint: bytes
    wake_keys: tuple[str, ...]
    controls: tuple[Mail, ...]
    mail: tuple[Mail, ...]
    batch: Batch | None
    journal: Mapping[int, JournalEntry]
    ledger: Ledger
    now_ms: TimeMs
    ready_since_ms: TimeMs
    last_error: str | None = None
    """Why the previous try failed, if it did."""
    parent: ContinuationId | None = None
    """Whose child it is now; the checkpoint may still name a parent that has ended."""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A committed outgoing message on its way: `kind` is mail or event, `id` the same for every try."""

    id: str
    kind: str
    to: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Terms:
    """What an interest asks of an event beside its subject and its relevance."""

    filters: tuple[Predicate, ...] = ()
    until_ms: TimeMs | None = None


@dataclass(frozen=True, slots=True)
class Commit:
    """The single write that ends a tick."""

    cid: ContinuationId
    epoch: Epoch
    rev: Rev
    checkpoint: bytes
    record: bytes
    status: Status
    wake_keys: tuple[str, ...]
    join: int
    hold: Hold | None
    root: ContinuationId
    name: str | None
    controls_taken: int
    mail_taken: tuple[int, ...]
    """Positions in the adopted mail that this tick consumed."""
    timers: Mapping[str, TimeMs] = field(default_factory=dict)
    timers_cancelled: tuple[str, ...] = ()
    subscriptions: tuple[tuple[str, str, float | None], ...] = ()
    """(pattern, interest id, relevance)"""
    unsubscriptions: tuple[tuple[str, str], ...] = ()
    windows: tuple[tuple[str, int], ...] = ()
    """(interest id, ms) of every interest whose events are collected so long before they wake."""
    terms: Mapping[str, Terms] = field(default_factory=dict)
    """Interest id -> what those in `subscriptions` ask beside; none where they ask nothing."""
    wake_limits: tuple[tuple[str, int], ...] = ()
    """(interest id, wakes in a day of UTC) of every interest that has a limit."""
    events_taken: int = 0
    """How many of the mails that this tick consumed are events."""
    births: tuple[Birth, ...] = ()
    grants: tuple[tuple[ContinuationId, BudgetVector], ...] = ()
    family_mail: tuple[tuple[ContinuationId, Mail], ...] = ()
    """Mail inside the partition, in the order of the tick: delivered in the same step.

    Where it cannot be, a message is a dead letter, and what the runtime wrote itself is dropped.
    """
    projections: tuple[tuple[ContinuationId, bytes], ...] = ()
    """(whose field, finding): queued for scoring as source `finding`, which never wakes."""
    outbox: tuple[OutboxRow, ...] = ()
    findings: tuple[bytes, ...] = ()
    waiting_on_person: bytes | None = None
    facts: tuple[bytes, ...] = ()
    parent: ContinuationId | None = None
    """Set when the status is terminal: who was its parent when the tick began."""
    told: Mail | None = None
    """The news of its end, for whoever is its parent at that moment."""
    orphans: tuple[Orphan, ...] = ()
    heir: Heir | None = None
    watches: tuple[tuple[Watch, Mail], ...] = ()
    """Inside the partition, each with what its watcher, who commits, is told if the target does not live."""
    unwatched: tuple[Watch, ...] = ()
    """Over, and what the committing one has unread of them is gone."""
    last_word: Mail | None = None
    """Set when the status is terminal: what those who watch it are told."""
    keep_journal: bool = False
    """True when the same mail will be worked on again (no money now): answers that are paid for stay."""
    spend: BudgetVector = BudgetVector({})
    """What the commit itself costs, above all the attention of people; spent in the same step."""


@dataclass(frozen=True, slots=True)
class Held:
    """There is no code for the continuation: a note beside its checkpoint, of which not one byte changes."""

    cid: ContinuationId
    epoch: Epoch
    hold: Hold
    reason: str
    controls_taken: int
    """What the orders of this adoption asked for was tried; they are not asked again."""
    waiting_on_person: bytes | None = None
    facts: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Postscript:
    """What is noted of one that has ended: checkpoint and log go on, nothing else of it changes, nothing wakes."""

    cid: ContinuationId
    rev: Rev
    checkpoint: bytes
    record: bytes
    facts: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Committed:
    """The tick is durable."""

    rev: Rev
    duplicate: bool = False
    """True when an earlier try of the same commit had arrived after all."""
    next: Adopted | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """The mail is durable, or was before."""

    duplicate: bool = False
    expired: bool = False
    """True when it came too late to be read: it is a dead letter."""


class Store(Protocol):
    """What a tick and its surroundings ask of a store. Every method may raise StoreError."""

    async def create(self, birth: Birth) -> bool:
        """The continuation exists and is ready; False when it did already.

        Raises:
            Conflict: another living continuation has its name.
        """
        ...

    async def deliver(self, to: ContinuationId, mail: Mail) -> Delivered:
        """The mail is in the mailbox, and its owner ready if it waits for such mail; known again by its id.

        What is older than DEDUPE_MS is known by the number that its sender, a continuation, gave it. An unread mail
        that it supersedes is gone, unless a tick has it in hand.

        Raises:
            ContinuationNotFoundError: nobody has that id.
            ContinuationAlreadyTerminalError: the owner is done.
            MailboxFull: an event or a message, and the mailbox holds MAILBOX_LIMIT mails or MAILBOX_LIMIT_BYTES.
        """
        ...

    async def watch(self, watch: Watch) -> bool:
        """The watcher, who lives in another partition, will be told; False where nobody of the target's id lives."""
        ...

    async def unwatch(self, watch: Watch) -> None:
        """The watcher will not be told."""
        ...

    async def adopt(
        self,
        pool: str,
        holder: HolderId,
        lease_ms: int,
        partition: Partition,
        only: ContinuationId | None = None,
        linger: Linger | None = None,
    ) -> Adopted | None:
        """The one of `pool` ready for longest, held by `holder` under epoch + 1; None if none is ready.

        Args:
            only: this one or none.
            linger: what the holder has already, and whether it is roused by its own name from now on.
        """
        ...

    async def record(self, cid: ContinuationId, epoch: Epoch, entry: JournalEntry, batch: Batch) -> JournalEntry:
        """The intent is journaled and its price reserved; an entry that is there already is returned as it is.

        One that failed is settled and over: the new intent, with a reservation of its own, takes its place.

        Raises:
            Fenced: the epoch is over.
            BudgetExceededError: the price is more than is free; nothing is journaled.
        """
        ...

    async def commit(
        self, commit: Commit, adopt_next: tuple[str, HolderId, int] | None = None, linger: Linger | None = None
    ) -> Committed:
        """The tick is done, all of it or nothing. With (pool, holder, lease_ms), the next ready one is adopted too.

        `linger` is as in `adopt`; what this very commit writes may be known already.

        Open reservations of the tick are charged in full: their outcome will not be known any more.

        Raises:
            Fenced: epoch or rev is not the current one; the attempt is counted, nothing is written.
            BudgetExceededError: births, grants and `spend` ask for more than is free; nothing is written.
            Conflict: it would end without knowing of a child that it has adopted meanwhile, or its heir has ended;
                nothing is written.
        """
        ...

    async def release(
        self, cid: ContinuationId, epoch: Epoch, retry_in_ms: int, error: str | None, counts: bool
    ) -> None:
        """The continuation is handed back uncommitted; it is ready again after `retry_in_ms` (0: at once).

        `error` says why, for people. A try that does not count (a hand-over, a provider that is down) is taken back.
        Failed answers leave the journal, good ones stay.

        Raises:
            Fenced: the epoch is over.
        """
        ...

    async def postscript(self, postscript: Postscript) -> bool:
        """The log of one that has ended goes on by a record; False, and nothing changes, where `rev` is not the next.

        Raises:
            ContinuationNotFoundError: nobody has that id.
            ContinuationStateError: it has not ended.
        """
        ...

    async def hold(self, held: Held) -> None:
        """The continuation is handed back uncommitted, and no mail wakes it until an order has: that one tries again.

        Checkpoint, log, mail, journal, timers and ledger stay byte for byte; its tries begin anew. An order that came
        since adoption makes it ready at once. Adopted again, it is not held any more.

        Raises:
            Fenced: the epoch is over.
        """
        ...

    async def renew(self, holder: HolderId, lease_ms: int) -> Renewal:
        """The holder's lease on all that it holds runs from now; a holder of nothing has none."""
        ...
