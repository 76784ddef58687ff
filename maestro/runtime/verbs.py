"""What people and programs do to continuations: one function per verb, the same behind CLI, client and API.

Invariants: input is checked before anything is written; each verb is one durable step; accepted means durable.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import orjson
from pydantic import JsonValue

from maestro.budget.ledger import Ledger
from maestro.budget.vector import BudgetVector
from maestro.continuation.checkpoint import Checkpoint, ForkedFrom, LogRecord, replay
from maestro.continuation.envelope import Seal
from maestro.continuation.goal import GoalFrame
from maestro.continuation.lifecycle import Status
from maestro.continuation.mail import BODY_LIMIT_BYTES, Control, Kind, Mail
from maestro.continuation.wait import ApprovalResolution, UserReply, parts
from maestro.errors import (
    Conflict,
    ContinuationNotFoundError,
    ContinuationTriggerMismatchError,
    IntegrityError,
    InvalidInput,
)
from maestro.ids import (
    ContinuationId,
    MailId,
    Partition,
    TenantId,
    check_continuation_id,
    check_label,
    derived_token,
    home_partition,
    new_continuation_id,
    new_token,
    partition_of,
)
from maestro.runtime.backend import Backend
from maestro.tick.birth import born, root_of
from maestro.tick.records import Glance
from maestro.tick.store import Birth

PERSON = "person"


@dataclass(frozen=True, slots=True)
class Installation:
    """A store, the key that opens what is in it, and what a root gets that is started without a budget."""

    backend: Backend
    seal: Seal
    default_budget: BudgetVector

    @property
    def tenant(self) -> TenantId:
        return self.backend.tenant


@dataclass(frozen=True, slots=True)
class Start:
    """A new root as it is asked for."""

    behaviour: str
    goal: GoalFrame
    budget: BudgetVector | None = None
    input: JsonValue = None
    name: str | None = None
    pool: str = "default"


async def start(at: Installation, asked: Start) -> ContinuationId:
    """A root exists and is ready; returns its id.

    Raises:
        InvalidInput: a name that is none.
        Conflict: a living continuation has that name.
    """
    check_label(asked.behaviour, "behaviour")
    if asked.name is not None:
        check_label(asked.name, "name")
    now_ms = await at.backend.clock.now_ms()
    home = home_partition(asked.name or new_token("root"), at.backend.partitions)
    cid = new_continuation_id(now_ms, home)
    pool = f"dedicated-{cid}" if asked.pool == "dedicated" else check_label(asked.pool, "pool")
    first = root_of(cid, at.tenant, asked.behaviour, asked.goal, now_ms, pool=pool, name=asked.name, input=asked.input)
    await at.backend.store.create(born(first, asked.budget or at.default_budget, at.seal))
    return cid


async def find(at: Installation, text: str) -> ContinuationId:
    """The continuation whose id, unique prefix of an id, or name is `text`.

    Raises:
        ContinuationNotFoundError: none.
        Conflict: several ids begin with it.
    """
    if not text or len(text) > 128:
        raise InvalidInput("an id, a unique prefix of one, or a name is needed", field="id", hint="see `maestro list`")
    try:
        cid = check_continuation_id(text)
    except InvalidInput:
        return await _find_loosely(at, text)
    if int(partition_of(cid)) >= at.backend.partitions or await at.backend.records.glance(cid) is None:
        raise _unknown(text)
    return cid


async def _find_loosely(at: Installation, text: str) -> ContinuationId:
    named = await at.backend.records.named(text)
    if named is not None:
        return named
    begins = [
        cid for partition in partitions(at) for cid in await at.backend.records.ids(partition) if cid.startswith(text)
    ]
    if len(begins) > 1:
        raise Conflict(
            f"{len(begins)} ids begin with {text!r}", field="id", hint=f"such as {begins[0]} and {begins[1]}"
        )
    if not begins:
        raise _unknown(text)
    return begins[0]


async def send(
    at: Installation, cid: ContinuationId, body: JsonValue, subject: str = "", key: str | None = None
) -> MailId:
    """A message is in the mailbox, once per `key`."""
    if len(orjson.dumps(body)) > BODY_LIMIT_BYTES:
        raise InvalidInput("the message is too large", field="body", hint=f"at most {BODY_LIMIT_BYTES} bytes as JSON")
    return await _post(at, cid, Kind.MESSAGE, subject, body, None, key)


async def reply(at: Installation, cid: ContinuationId, text: str) -> MailId:
    """The answer to the question that `cid` asks.

    Raises:
        ContinuationTriggerMismatchError: it asks none.
    """
    question = next((part for part in await _waits(at, cid) if isinstance(part, UserReply)), None)
    if question is None:
        raise ContinuationTriggerMismatchError(f"{cid} asks nothing", field="id", hint=f"see `maestro why {cid}`")
    return await _post(
        at, cid, Kind.REPLY, question.question, {"text": text}, question.question_id, question.question_id
    )


async def decide(at: Installation, cid: ContinuationId, approval_id: str, approved: bool, by: str = PERSON) -> MailId:
    """A person's word on the approval that `cid` waits for; the first word counts.

    Raises:
        ContinuationTriggerMismatchError: it waits for no such approval.
        Conflict: the other word was given before.
    """
    open_ = [part for part in await _waits(at, cid) if isinstance(part, ApprovalResolution)]
    approval = next((part for part in open_ if part.approval_id.startswith(approval_id)), None)
    if approval is None:
        waiting = ", ".join(part.approval_id for part in open_) or "none"
        raise ContinuationTriggerMismatchError(
            f"{cid} waits for no approval {approval_id}", field="approval", hint=f"open: {waiting}"
        )
    body: JsonValue = {"decision": "approved" if approved else "denied", "by": by, "binding": approval.binding}
    mail = await _mail(at, cid, Kind.APPROVAL, approval.action, body, approval.approval_id, approval.approval_id)
    if (await at.backend.store.deliver(cid, mail)).duplicate:
        raise Conflict(f"{approval.approval_id} is decided already", field="approval", hint=f"see `maestro log {cid}`")
    return mail.id


async def resolve(at: Installation, cid: ContinuationId, operation_id: str, payload: JsonValue) -> MailId:
    """The outcome of an operation outside is told, once."""
    return await _post(at, cid, Kind.RESULT, operation_id, payload, operation_id, operation_id)


async def order(at: Installation, cid: ContinuationId, control: Control, reason: str | None = None) -> MailId:
    """A kill, a cancel, a wake or a thaw is on its way before any mail."""
    return await _post(at, cid, Kind.CONTROL, control.value, {"reason": reason} if reason else None, None, None)


async def rebudget(
    at: Installation, cid: ContinuationId, more: BudgetVector, less: BudgetVector, key: str | None = None
) -> Ledger:
    """The grant has changed, once per `key`."""
    return await at.backend.steering.rebudget(cid, more, less, key or new_token("rebudget"))


async def fork(
    at: Installation, cid: ContinuationId, rev: int | None, share: float, key: str | None = None
) -> ContinuationId:
    """A copy of `cid` as it was at `rev` (now, by default) lives on its own, with `share` of what is free.

    It has the state, the goal, the interests and the timers of then; no children, no mail; nothing is done again.

    Raises:
        InvalidInput: no such rev, or the share is not within 0..1.
    """
    glance = await glance_of(at, cid)
    target = glance.rev if rev is None else rev
    if not 0 <= target <= glance.rev:
        raise InvalidInput(f"{cid} has no rev {target}", field="at", hint=f"give 0 to {glance.rev}")
    then = await checkpoint_at(at, cid, target)
    now_ms = await at.backend.clock.now_ms()
    name = key or new_token("fork")
    fork_id = new_continuation_id(now_ms, partition_of(cid))
    first = then.model_copy(
        update={
            "id": fork_id,
            "root": fork_id,
            "name": None,
            "parent": None,
            "depth": 0,
            "children": {},
            "forked_from": ForkedFrom(id=cid, rev=glance.rev if rev is None else target),  # type: ignore[arg-type]
            "status": Status.PENDING,
            "hold": None,
            "hold_detail": None,
            "stop_reason": None,
            "stop_detail": None,
            "result": None,
            "pool": "default" if then.pool.startswith("dedicated-") else then.pool,
            "created_at_ms": now_ms,
            "updated_at_ms": now_ms,
        }
    )
    first = Checkpoint.model_validate(first.model_dump())
    birth = born(first, glance.ledger.free.share(share), at.seal)
    if target > 0:
        birth = _woken(birth, name)
    await at.backend.steering.fork(cid, birth)
    return fork_id


async def checkpoint_at(at: Installation, cid: ContinuationId, rev: int) -> Checkpoint:
    """The checkpoint as it was after `rev`, rebuilt from the log alone and checked against its hashes."""
    return replay(await records(at, cid, rev))


async def records(at: Installation, cid: ContinuationId, last: int = -1) -> Sequence[LogRecord]:
    """The log records 0..last, opened and checked."""
    lines = await at.backend.records.log(cid, 0, last)
    return [LogRecord.model_validate_json(at.seal.open(line, "record", cid, at.tenant).body) for _, line in lines]


async def verify(at: Installation, cid: ContinuationId) -> int:
    """The log is whole and leads to the checkpoint; returns the number of its records.

    Raises:
        IntegrityError: it is not, or does not.
    """
    glance, log = await glance_of(at, cid), await records(at, cid)
    body = at.seal.open(glance.checkpoint, "checkpoint", cid, at.tenant).body
    if replay(log).body() != body:
        raise IntegrityError(f"{cid}: the log does not lead to the checkpoint", hint="restore it from an export")
    return len(log)


async def glance_of(at: Installation, cid: ContinuationId) -> Glance:
    """The continuation in one look.

    Raises:
        ContinuationNotFoundError: nobody has that id.
    """
    glance = await at.backend.records.glance(cid)
    if glance is None:
        raise _unknown(cid)
    return glance


def partitions(at: Installation) -> list[Partition]:
    return [Partition(number) for number in range(at.backend.partitions)]


async def checkpoint_of(at: Installation, cid: ContinuationId) -> Checkpoint:
    """The checkpoint as it is, opened and checked."""
    glance = await glance_of(at, cid)
    return Checkpoint.model_validate_json(at.seal.open(glance.checkpoint, "checkpoint", cid, at.tenant).body)


async def _waits(at: Installation, cid: ContinuationId) -> tuple[object, ...]:
    checkpoint = await checkpoint_of(at, cid)
    return () if checkpoint.wait is None else parts(checkpoint.wait)


async def _post(
    at: Installation, cid: ContinuationId, kind: Kind, subject: str, body: JsonValue, about: str | None, key: str | None
) -> MailId:
    mail = await _mail(at, cid, kind, subject, body, about, key)
    await at.backend.store.deliver(cid, mail)
    return mail.id


async def _mail(
    at: Installation, cid: ContinuationId, kind: Kind, subject: str, body: JsonValue, about: str | None, key: str | None
) -> Mail:
    """A mail from a person; the same `key` names the same mail."""
    return Mail(
        id=MailId(derived_token("mail", cid, kind, key) if key else new_token("mail")),
        kind=kind,
        sender=PERSON,
        subject=subject,
        body=body,
        correlation=about,
        sent_ms=await at.backend.clock.now_ms(),
    )


def _woken(birth: Birth, key: str) -> Birth:
    """A fork of one that had started gets no second start: it is woken, and goes on waiting as its origin did."""
    wake = birth.start.model_copy(update={"id": MailId(key), "kind": Kind.CONTROL, "subject": Control.WAKE.value})
    return replace(birth, start=wake)


def _unknown(text: str) -> ContinuationNotFoundError:
    return ContinuationNotFoundError(f"no continuation {text!r}", field="id", hint="see `maestro list`")
