"""What the contract of the store is told with: births and commits with real checkpoints, records and seals.

Invariant: whatever a test did, the books balance and every log leads to its checkpoint (`World.audit`).
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from pydantic import JsonValue

from maestro.budget.ledger import Ledger
from maestro.budget.vector import BudgetVector
from maestro.continuation import patch
from maestro.continuation.checkpoint import Checkpoint, LogRecord, digest, replay
from maestro.continuation.directive import Spawn
from maestro.continuation.envelope import Envelope, Seal
from maestro.continuation.goal import GoalFrame
from maestro.continuation.lifecycle import Hold, Status
from maestro.continuation.mail import Kind, Mail
from maestro.continuation.wait import StreamEvent, wake_keys
from maestro.ids import (
    CallId,
    ContinuationId,
    HolderId,
    MailId,
    Partition,
    Rev,
    TimeMs,
    child_id,
    home_partition,
    new_continuation_id,
)
from maestro.mesh.event import Event, new_event
from maestro.runtime.backend import Backend
from maestro.tick.birth import born, child_of, root_of
from maestro.tick.store import Adopted, Batch, Birth, Commit, Committed, JournalEntry

SEAL = Seal(b"a key of thirty-two bytes to test")
GOAL = GoalFrame(goal="find what bears on sleeping computations")
ANYTHING = wake_keys(StreamEvent())
ALICE, BOB = HolderId("alice"), HolderId("bob")
LEASE_MS = 30_000
_numbers = itertools.count()


def letter(
    kind: Kind = Kind.MESSAGE, correlation: str | None = None, *, id_: str | None = None, subject: str = ""
) -> Mail:
    """A mail of its own id."""
    return Mail(
        id=MailId(id_ or f"mail-{next(_numbers)}"),
        kind=kind,
        sender="a test",
        subject=subject,
        correlation=correlation,
        body={"n": 1},
        sent_ms=TimeMs(1),
    )


def control(subject: str = "wake") -> Mail:
    return letter(Kind.CONTROL, subject=subject)


def ended(child: str) -> Mail:
    """What a parent is told when a child ends."""
    return letter(Kind.CHILD, child)


def happening(subject: str = "arxiv.cs.AI", key: str | None = None, payload: JsonValue = None) -> Event:
    return new_event(
        subject, "feed.item", "source.arxiv", key or f"key-{next(_numbers)}", payload, TimeMs(5), taint="untrusted"
    )


def money(**amounts: int) -> BudgetVector:
    return BudgetVector(amounts)


def intent(ordinal: int = 0, price: BudgetVector | None = None, call: str | None = None) -> JournalEntry:
    return JournalEntry(
        ordinal=ordinal,
        kind="think",
        key=f"key-{ordinal}",
        call_id=CallId(call or f"call-{next(_numbers)}"),
        price=BudgetVector({}) if price is None else price,
        decision="sonnet",
    )


def batch_of(adopted: Adopted) -> Batch:
    return Batch(tuple(mail.id for mail in adopted.mail), adopted.now_ms)


def opened(adopted: Adopted) -> tuple[Envelope, Checkpoint]:
    envelope = SEAL.open(adopted.checkpoint, "checkpoint", adopted.cid, _tenant(adopted))
    return envelope, Checkpoint.model_validate_json(envelope.body)


def _tenant(adopted: Adopted) -> Any:
    return orjson.loads(adopted.checkpoint.partition(b"\n")[0])["tenant"]


def child_birth(adopted: Adopted, ordinal: int = 0, grant: BudgetVector | None = None, pool: str = "default") -> Birth:
    """A child of the tick in hand."""
    _, parent = opened(adopted)
    cid = child_id(adopted.cid, Rev(adopted.rev + 1), ordinal, adopted.now_ms)
    budget = BudgetVector({}) if grant is None else grant
    spawn = Spawn(child=cid, behaviour="reader", goal=GOAL, budget=budget, pool=pool)
    return born(child_of(parent, spawn, adopted.now_ms), budget, SEAL)


def tick_end(
    adopted: Adopted,
    *,
    status: Status = Status.PENDING,
    wake: tuple[str, ...] = ANYTHING,
    take: Sequence[int] | None = None,
    hold: Hold | None = None,
    **outward: Any,
) -> Commit:
    """The commit that ends the tick in hand; all its mail is consumed unless `take` says which."""
    envelope, before = opened(adopted)
    after = before.model_copy(
        update={
            "status": status,
            "hold": hold,
            "state": {"ticks": adopted.rev + 1},
            "updated_at_ms": adopted.now_ms,
            "wait": None if status is not Status.PENDING else StreamEvent(),
        }
    )
    body = after.body()
    rev = Rev(adopted.rev + 1)
    record = LogRecord(
        cid=before.id,
        tenant=before.tenant,
        rev=rev,
        epoch=adopted.epoch,
        behaviour=before.behaviour,
        behaviour_version=before.behaviour_version,
        trigger=None,
        started_at_ms=adopted.now_ms,
        reason="a test ended the tick",
        state_hash=digest(body),
        previous_hash=envelope.previous_hash,
        patch=patch.diff(orjson.loads(envelope.body), orjson.loads(body)),
    ).body()
    place = (before.id, before.tenant, adopted.epoch, rev)
    positions = tuple(range(len(adopted.mail)) if take is None else take)
    plain = Commit(
        cid=before.id,
        epoch=adopted.epoch,
        rev=rev,
        checkpoint=SEAL.close(Envelope("checkpoint", *place, digest(record), body)),
        record=SEAL.close(Envelope("record", *place, envelope.previous_hash, record)),
        status=status,
        wake_keys=wake if status is Status.PENDING else (),
        join=0,
        hold=hold,
        root=before.root,
        name=before.name,
        controls_taken=len(adopted.controls),
        mail_taken=positions,
        events_taken=sum(adopted.mail[position].kind is Kind.EVENT for position in positions),
        parent=before.parent if status is not Status.PENDING else None,
    )
    return replace(plain, **outward)


def finish(adopted: Adopted, **outward: Any) -> Commit:
    return tick_end(adopted, status=Status.COMPLETED, **outward)


@dataclass
class World:
    """One backend, and the partition that a test's family lives in."""

    backend: Backend
    overbilled: bool = False
    """Set by a test in which a provider bills more than its maximum: only then may free be negative."""
    partition: Partition = field(init=False)

    def __post_init__(self) -> None:
        self.partition = Partition(self.backend.partitions - 1)

    async def now(self) -> TimeMs:
        return await self.backend.clock.now_ms()

    async def birth(self, budget: BudgetVector | None = None, name: str | None = None, pool: str = "default") -> Birth:
        """A root that is not created yet."""
        home = self.partition if name is None else home_partition(name, self.backend.partitions)
        cid = new_continuation_id(now := await self.now(), home)
        first = root_of(cid, self.backend.tenant, "scout", GOAL, now, pool=pool, name=name)
        return born(first, BudgetVector({}) if budget is None else budget, SEAL)

    async def root(
        self, budget: BudgetVector | None = None, name: str | None = None, pool: str = "default"
    ) -> ContinuationId:
        """A root that waits for its first tick."""
        birth = await self.birth(budget, name, pool)
        assert await self.backend.store.create(birth)
        return birth.cid

    async def take(
        self, holder: HolderId = ALICE, pool: str = "default", partition: Partition | None = None
    ) -> Adopted:
        """The next ready one, which must be there."""
        where = self.partition if partition is None else partition
        adopted = await self.backend.store.adopt(pool, holder, LEASE_MS, where)
        assert adopted is not None, f"nobody is ready in {pool}"
        return adopted

    async def sleeper(self, budget: BudgetVector | None = None, pool: str = "default", **ending: Any) -> ContinuationId:
        """One that had its first tick and sleeps."""
        cid = await self.root(budget, pool=pool)
        adopted = await self.take(pool=pool)
        assert adopted.cid == cid, "the world has somebody else ready"
        await self.backend.store.commit(tick_end(adopted, **ending))
        return cid

    async def commit(self, adopted: Adopted, **ending: Any) -> Committed:
        return await self.backend.store.commit(tick_end(adopted, **ending))

    async def family(self, budget: BudgetVector, *grants: BudgetVector) -> tuple[ContinuationId, list[ContinuationId]]:
        """A parent asleep with so many children, each asleep after its first tick."""
        parent = await self.root(budget)
        adopted = await self.take()
        births = tuple(child_birth(adopted, n, grant) for n, grant in enumerate(grants))
        await self.commit(adopted, births=births)
        for _ in births:
            await self.commit(await self.take())
        return parent, [birth.cid for birth in births]

    async def woken(self, cid: ContinuationId, holder: HolderId = ALICE) -> Adopted:
        """It gets a control mail and is adopted."""
        await self.backend.store.deliver(cid, control())
        adopted = await self.take(holder)
        assert adopted.cid == cid
        return adopted

    async def is_ready(self, cid: ContinuationId) -> bool:
        glance = await self.backend.records.glance(cid)
        assert glance is not None
        return glance.ready_since_ms is not None

    async def unread(self, cid: ContinuationId) -> int:
        glance = await self.backend.records.glance(cid)
        assert glance is not None
        return glance.unread

    async def ledger(self, cid: ContinuationId) -> Ledger:
        glance = await self.backend.records.glance(cid)
        assert glance is not None
        return glance.ledger

    async def count(self, name: str) -> int:
        return (await self.backend.records.counts(self.partition)).get(name, 0)

    async def advance(self, by_ms: int) -> TimeMs:
        return await self.backend.steering.advance(by_ms)

    async def balanced(self) -> None:
        """Every mail that was ever delivered is accounted for."""
        for number in map(Partition, range(self.backend.partitions)):
            counts = await self.backend.records.counts(number)
            unread = sum([await self.unread(cid) for cid in await self.backend.records.ids(number)])
            gone = sum(counts.get(f"mail_{fate}", 0) for fate in ("read", "expired", "superseded", "ended"))
            assert counts.get("mail_delivered", 0) == unread + gone, f"{unread} unread, {gone} gone: {counts}"

    async def audit(self) -> None:
        """The books balance, nobody is held and ready at once, and every log leads to its checkpoint."""
        await self.balanced()
        for number in range(self.backend.partitions):
            ids = await self.backend.records.ids(Partition(number))
            ledgers, parents = {}, {}
            for cid in ids:
                glance = await self.backend.records.glance(cid)
                assert glance is not None
                assert glance.holder is None or glance.ready_since_ms is None, f"{cid} is held and ready"
                ledgers[cid] = glance.ledger
                await self._replayed(cid, glance.checkpoint)
                parents[cid] = glance.parent
            for cid in ids:
                self._balance(cid, ledgers[cid], [ledgers[kid] for kid in ids if parents[kid] == cid])

    async def _replayed(self, cid: ContinuationId, sealed: bytes) -> Checkpoint:
        log = await self.backend.records.log(cid)
        opened = (SEAL.open(record, "record", cid, self.backend.tenant).body for _, record in log)
        led_to = replay(opened)
        kept = SEAL.open(sealed, "checkpoint", cid, self.backend.tenant)
        assert led_to == Checkpoint.model_validate_json(kept.body)
        return led_to

    def _balance(self, cid: ContinuationId, ledger: Ledger, children: Sequence[Ledger]) -> None:
        """Nothing is negative, what is reserved is what is open, what is lent is what the children were granted."""
        for resource, account in ledger.accounts.items():
            place = f"{cid}, {resource}: {account}"
            assert min(account.reserved, account.spent, account.lent) >= 0, place
            assert account.reserved == sum(price[resource] for price in ledger.reservations.values()), place
            if account.granted is not None and not self.overbilled:
                assert account.free is not None, place
                assert account.free >= 0, place
            assert account.lent == sum(child.account(resource).granted or 0 for child in children), place
