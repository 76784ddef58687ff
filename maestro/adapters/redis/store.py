"""The store port on Redis: each method is one script, one round trip, one slot."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import JsonValue

from maestro.adapters.redis import codec
from maestro.adapters.redis.slots import AnyWire
from maestro.budget.accounts import given_up
from maestro.budget.ledger import exceeded
from maestro.budget.vector import BudgetVector
from maestro.continuation.mail import Mail, mailbox_full
from maestro.errors import (
    Conflict,
    ContinuationAlreadyTerminalError,
    ContinuationMovedError,
    ContinuationNotFoundError,
    Fenced,
)
from maestro.ids import CallId, ContinuationId, Epoch, HolderId, Partition, TenantId, partition_of
from maestro.tick.journals import NOTHING_MORE, About
from maestro.tick.linger import Linger
from maestro.tick.postscript import unended
from maestro.tick.steering import heirless, news
from maestro.tick.store import (
    Adopted,
    Batch,
    Birth,
    Commit,
    Committed,
    Delivered,
    Held,
    JournalEntry,
    Postscript,
    Renewal,
)
from maestro.tick.watches import Watch


@dataclass(frozen=True, slots=True)
class Keys:
    """Where a tenant's partitions lie, and the wire to them."""

    wire: AnyWire
    tenant: TenantId
    partitions: int

    def partition(self, partition: Partition) -> str:
        return f"maestro:{self.tenant}:{{{partition}}}"

    def of(self, cid: ContinuationId) -> str:
        return self.partition(partition_of(cid))

    async def script(self, name: str, cid: ContinuationId, *arguments: Any) -> Any:
        """The reply of a script about `cid`, in its partition.

        Raises:
            ContinuationNotFoundError: there is no such partition.
        """
        if partition_of(cid) >= self.partitions:
            raise unknown(cid)
        return await self.wire.script(name, self.of(cid), *arguments)


class RedisStore:
    """maestro.tick.store.Store on Redis."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def create(self, birth: Birth) -> bool:
        plan = codec.dumps(codec.birth_plan(birth, None))
        outcome, *facts = await self._keys.script("create", birth.cid, plan, birth.checkpoint, birth.record)
        if outcome == b"name":
            raise Conflict(
                f"the name {birth.name!r} belongs to {facts[0].decode()}", field="name", hint="choose another name"
            )
        if outcome == b"void":
            raise given_up(birth.cid)
        return bool(outcome == b"ok")

    async def deliver(self, to: ContinuationId, mail: Mail) -> Delivered:
        sequence = () if mail.sequence is None else (mail.sender, mail.sequence, mail.sent_ms)
        outcome, *facts = await self._keys.script(
            "deliver", to, to, codec.box(mail), mail.wake_key, mail.id, codec.line(mail), *sequence
        )
        match outcome:
            case b"ok" | b"duplicate" | b"expired":
                return Delivered(duplicate=outcome == b"duplicate", expired=outcome == b"expired")
            case b"terminal":
                raise await ended(self._keys, to)
            case b"full":
                raise mailbox_full(to, *facts)
            case _:
                raise unknown(to)

    async def watch(self, watch: Watch) -> bool:
        if partition_of(watch.target) >= self._keys.partitions:
            return False
        return bool(await self._keys.script("watch", watch.target, *codec.watch_plan(watch)))

    async def unwatch(self, watch: Watch) -> None:
        if partition_of(watch.target) < self._keys.partitions:
            await self._keys.script("unwatch", watch.target, watch.target, watch.ref)

    async def adopt(
        self,
        pool: str,
        holder: HolderId,
        lease_ms: int,
        partition: Partition,
        only: ContinuationId | None = None,
        linger: Linger | None = None,
    ) -> Adopted | None:
        key, told = self._keys.partition(partition), codec.linger_text(linger)
        return codec.adopted_of(await self._keys.wire.script("adopt", key, pool, holder, lease_ms, only or "", told))

    async def record(self, cid: ContinuationId, epoch: Epoch, entry: JournalEntry, batch: Batch) -> JournalEntry:
        intent, price = codec.entry_json(entry), codec.dumps(entry.price.root)
        outcome, *facts = await self._keys.script(
            "record", cid, cid, epoch, entry.ordinal, entry.call_id, intent, price, codec.batch_json(batch)
        )
        match outcome:
            case b"ok":
                return entry
            case b"known":
                return codec.entry_of(entry.ordinal, *facts)
            case b"budget":
                raise exceeded("reserve", facts[0].decode(), facts[1], facts[2])
            case _:
                raise Fenced(cid, epoch, facts[0])

    async def commit(
        self, commit: Commit, adopt_next: tuple[str, HolderId, int] | None = None, linger: Linger | None = None
    ) -> Committed:
        blobs = [blob for birth in commit.births for blob in (birth.checkpoint, birth.record)]
        plan = codec.commit_plan(commit, commit.name or "")
        outcome, *facts = await self._keys.script(
            "commit",
            commit.cid,
            commit.cid,
            commit.epoch,
            commit.rev,
            commit.checkpoint,
            commit.record,
            plan,
            *(adopt_next or ("", "", 0)),
            codec.linger_text(linger),
            *blobs,
        )
        match outcome:
            case b"fenced":
                raise Fenced(commit.cid, commit.epoch, facts[0])
            case b"budget":
                raise exceeded("lend", facts[0].decode(), facts[1], facts[2])
            case b"news":
                raise news(commit.cid)
            case b"heirless" if commit.heir is not None:
                raise heirless(commit.heir.cid)
            case _:
                adopted = codec.adopted_of(facts[0] if facts else None)
                return Committed(commit.rev, duplicate=outcome == b"duplicate", next=adopted)

    async def release(
        self, cid: ContinuationId, epoch: Epoch, retry_in_ms: int, error: str | None, counts: bool
    ) -> None:
        outcome, *facts = await self._keys.script("release", cid, cid, epoch, retry_in_ms, error or "", int(counts))
        if outcome == b"fenced":
            raise Fenced(cid, epoch, facts[0])

    async def postscript(self, postscript: Postscript) -> bool:
        cid = postscript.cid
        blobs = (postscript.checkpoint, postscript.record, *postscript.facts)
        match (await self._keys.script("postscript", cid, cid, postscript.rev, *blobs))[0]:
            case b"unknown":
                raise unknown(cid)
            case b"living":
                raise unended(cid)
            case outcome:
                return bool(outcome == b"ok")

    async def hold(self, held: Held) -> None:
        asked = held.waiting_on_person or b""
        arguments = (held.cid, held.epoch, held.hold.value, held.reason, held.controls_taken, asked, *held.facts)
        outcome, *facts = await self._keys.script("hold", held.cid, *arguments)
        if outcome == b"fenced":
            raise Fenced(held.cid, held.epoch, facts[0])

    async def renew(self, holder: HolderId, lease_ms: int) -> Renewal:
        told: tuple[list[ContinuationId], list[ContinuationId]] = ([], [])
        for number in range(self._keys.partitions):
            key = self._keys.partition(Partition(number))
            reply = await self._keys.wire.script("renew", key, holder, lease_ms)
            for known, cids in zip(told, reply, strict=True):
                known += [ContinuationId(cid.decode()) for cid in cids]
        return Renewal(*map(tuple, told))


class RedisJournals:
    """maestro.tick.journals.Journals on Redis."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def settle(
        self,
        cid: ContinuationId,
        ordinal: int,
        call_id: CallId,
        answer: JsonValue,
        failed: bool,
        charge: BudgetVector,
        about: About = NOTHING_MORE,
    ) -> JournalEntry | None:
        outcome_json = codec.outcome_json(answer, charge)
        state, price = "f" if failed else "a", codec.dumps(charge.root)
        told = codec.granted_line(f"refund:{call_id}", BudgetVector({}))
        outcome, *facts = await self._keys.script(
            "settle", cid, cid, ordinal, call_id, outcome_json, state, price, told, codec.dumps(about)
        )
        match outcome:
            case b"known":
                return codec.entry_of(ordinal, facts[0], facts[1], None)
            case b"new":
                given = (None, outcome_json) if failed else (outcome_json, None)
                return codec.entry_of(ordinal, facts[0], *given)
            case _:
                return None

    async def refund(self, cid: ContinuationId, call_id: CallId, actual: BudgetVector) -> bool:
        told = codec.granted_line(f"refund:{call_id}", BudgetVector({}))
        match (await self._keys.script("refund", cid, cid, call_id, codec.dumps(actual.root), told))[0]:
            case b"unknown":
                raise unknown(cid)
            case b"moved":
                raise await ended(self._keys, cid)
            case outcome:
                return bool(outcome == b"ok")

    async def answer_of(self, cid: ContinuationId, call_id: CallId) -> JournalEntry | None:
        return next((entry for entry in await self.entries(cid) if entry.call_id == call_id), None)

    async def entries(self, cid: ContinuationId) -> Sequence[JournalEntry]:
        fields = codec.pairs(flat(await self._keys.wire.execute("HGETALL", f"{self._keys.of(cid)}:j:{cid}")))
        ordinals = sorted(int(name) for name in fields if name.isdigit())
        return [codec.entry_of(n, fields[str(n)], fields.get(f"{n}.a"), fields.get(f"{n}.f")) for n in ordinals]


def flat(reply: Any) -> list[bytes]:
    """A hash as Redis replies it, whichever protocol version the connection speaks."""
    return [part for pair in reply.items() for part in pair] if isinstance(reply, dict) else list(reply)


async def ended(keys: Keys, cid: ContinuationId) -> ContinuationAlreadyTerminalError:
    """The refusal of one that takes nothing any more: it is done, or lives elsewhere."""
    gone = await keys.wire.execute("HGET", f"{keys.of(cid)}:x:{cid}", "mv")
    if gone:
        return moved_away(cid, orjson.loads(gone)["to"])
    return ContinuationAlreadyTerminalError(f"{cid} is done and takes no mail", hint=f"see `maestro show {cid}`")


def moved_away(cid: ContinuationId, to: str) -> ContinuationMovedError:
    return ContinuationMovedError(f"{cid} has moved to {to}", field="id", hint="ask for it there", to=to)


def unknown(cid: ContinuationId) -> ContinuationNotFoundError:
    return ContinuationNotFoundError(f"no continuation {cid}", field="id", hint="see `maestro list`")
