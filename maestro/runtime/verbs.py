"""What people and programs do to continuations: one function per verb, the same behind CLI, client and API.

Invariants: input is checked before anything is written; each verb is one durable step; accepted means durable.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from pydantic import JsonValue

from maestro.budget.accounts import check_path
from maestro.budget.ledger import Ledger
from maestro.budget.vector import BudgetVector
from maestro.continuation.bounds import TTL_DEFAULTS, UNBOUNDED, Bounds, TtlDefaults
from maestro.continuation.checkpoint import Checkpoint, LogRecord, replay
from maestro.continuation.envelope import Seal
from maestro.continuation.goal import GoalFrame
from maestro.continuation.mail import Control, Kind, Mail, check_body, expiry
from maestro.errors import (
    Conflict,
    ContinuationNotFoundError,
    IntegrityError,
    InvalidInput,
)
from maestro.ids import (
    ContinuationId,
    MailId,
    Partition,
    TenantId,
    TimeMs,
    check_continuation_id,
    check_label,
    derived_token,
    home_partition,
    new_continuation_id,
    new_token,
    partition_of,
)
from maestro.policy.decision import POLICY_VERSION
from maestro.runtime.asked import approval_of, question_of
from maestro.runtime.audit import Auditor, audited
from maestro.runtime.backend import Backend
from maestro.runtime.treasury import start_funded
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
    defaults: TtlDefaults = TTL_DEFAULTS
    policy_version: str = str(POLICY_VERSION)
    account: str | None = None
    """Out of which account a root is lent its budget that is started without naming one."""
    asks_per_day: int | None = None
    """How many questions each continuation puts to people on one day, where its bounds do not say."""
    audit: Auditor | None = None
    """Who stands at the door and is written down; None where nobody does: loops and actors steer by what was asked."""

    @property
    def tenant(self) -> TenantId:
        return self.backend.tenant

    def unaudited(self) -> Self:
        """The same, for what belongs to a verb that is on record already."""
        return self if self.audit is None else replace(self, audit=None)


@dataclass(frozen=True, slots=True)
class Start:
    """A new root as it is asked for."""

    behaviour: str
    goal: GoalFrame
    budget: BudgetVector | None = None
    input: JsonValue = None
    name: str | None = None
    pool: str = "default"
    supersede: bool = False
    """Whoever has the name now ends, as superseded, in the same step."""
    bounds: Bounds = UNBOUNDED
    scopes: tuple[str, ...] = ()
    """What it, and whoever descends from it, may use tools for."""
    account: str | None = None
    """Out of which account its budget is lent; None asks nobody."""
    cid: ContinuationId | None = None
    """Its id, of the partition that its name calls home: a call that names it may be repeated."""


@audited("start", "asked.behaviour", "asked.name", "asked.budget", "asked.account", "asked.supersede", named=True)
async def start(at: Installation, asked: Start) -> ContinuationId:
    """A root exists and is ready; returns its id.

    Raises:
        InvalidInput: a name that is none.
        Conflict: a living continuation has that name, and is not to be superseded.
        BudgetExceededError: an account of the path has not so much left.
    """
    check_label(asked.behaviour, "behaviour")
    if asked.name is not None:
        check_label(asked.name, "name")
    now_ms = await at.backend.clock.now_ms()
    home = home_partition(asked.name or new_token("root"), at.backend.partitions)
    cid = asked.cid or new_continuation_id(now_ms, home)
    pool = f"dedicated-{cid}" if asked.pool == "dedicated" else check_label(asked.pool, "pool")
    first = root_of(cid, at.tenant, asked.behaviour, asked.goal, now_ms, pool=pool, name=asked.name, input=asked.input)
    first = first.model_copy(update={"bounds": _bounds(at, asked.bounds), "scopes": asked.scopes})
    supersedes = _superseded_by(cid, now_ms) if asked.supersede else None

    def birth(grant: BudgetVector) -> Birth:
        return replace(born(first, grant, at.seal), supersedes=supersedes)

    budget, account = asked.budget or at.default_budget, asked.account or at.account
    if account is None:
        await at.backend.store.create(birth(budget))
    else:
        await start_funded(at.backend, check_path(account), cid, budget, birth)
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


@audited("send", "cid", "subject", "key", "outside")
async def send(
    at: Installation,
    cid: ContinuationId,
    body: JsonValue,
    subject: str = "",
    key: str | None = None,
    *,
    supersedes: str | None = None,
    expires_in_ms: int | None = None,
    outside: str | None = None,
) -> MailId:
    """A message is in the mailbox, once per `key`.

    Args:
        outside: who sends it, where that is no person: the message is untrusted, and says so.
        supersedes: names what it is about: an unread message from here with the same name gives way to it.
        expires_in_ms: unread by then, nobody reads it.

    Raises:
        InvalidInput: the body is no JSON or too large; a name or a time that is none.
        MailboxFull: there is no room.
    """
    name = None if supersedes is None else check_label(supersedes, "supersedes")
    mail = await _mail(at, cid, Kind.MESSAGE, subject, check_body(body), None, key)
    mail = mail.model_copy(update={"supersedes": name, "expires_ms": expiry(mail.sent_ms, expires_in_ms)})
    if outside is not None:
        mail = mail.model_copy(update={"sender": outside, "trust": "untrusted"})
    await at.backend.store.deliver(cid, mail)
    return mail.id


@audited("reply")
async def reply(at: Installation, cid: ContinuationId, text: str) -> MailId:
    """The answer to the question that `cid` asks.

    Raises:
        ContinuationTriggerMismatchError, ContinuationExpiredError: it asks none, or has waited long enough.
    """
    before = await checkpoint_of(at, cid)
    question = question_of(before, await at.backend.clock.now_ms())
    once = f"{question.question_id} {question.opened_ms} {before.resume_attempts}"  # asked again, answered again
    return await _post(at, cid, Kind.REPLY, question.question, {"text": text}, question.question_id, once)


@audited("decide", "cid", "approval_id", "approved", "by")
async def decide(
    at: Installation,
    cid: ContinuationId,
    approval_id: str,
    approved: bool,
    by: str = PERSON,
    edited: JsonValue = None,
) -> MailId:
    """A person's word on the approval that `cid` waits for; the first word counts.

    Args:
        edited: approved with these arguments in place of those that were asked.

    Raises:
        ContinuationTriggerMismatchError, ContinuationExpiredError: it waits for no such approval, or does no more.
        Conflict: the other word was given before, or what the approval was bound to has changed.
    """
    now_ms, before = await at.backend.clock.now_ms(), await checkpoint_of(at, cid)
    try:
        approval = approval_of(before, approval_id, now_ms, at.policy_version)
    except Conflict as error:
        if error.facts.get("asked_as", "") is None:
            await order(at, cid, Control.WAKE)  # its next tick asks anew
        raise
    decision = "denied" if not approved else "approved" if edited is None else "edited"
    body: dict[str, JsonValue] = {"decision": decision, "by": by, "binding": approval.binding}
    if decision == "edited":
        body["arguments"] = check_body(edited)
    mail = await _mail(at, cid, Kind.APPROVAL, approval.action, body, approval.approval_id, approval.approval_id)
    if (await at.backend.store.deliver(cid, mail)).duplicate:
        raise Conflict(f"{approval.approval_id} is decided already", field="approval", hint=f"see `maestro log {cid}`")
    return mail.id


@audited("resolve", "cid", "operation_id")
async def resolve(at: Installation, cid: ContinuationId, operation_id: str, payload: JsonValue) -> MailId:
    """The outcome of an operation outside is told, once."""
    return await _post(at, cid, Kind.RESULT, operation_id, payload, operation_id, operation_id)


@audited("order", "cid", "control", "reason")
async def order(at: Installation, cid: ContinuationId, control: Control, reason: str | None = None) -> MailId:
    """A kill, a cancel, a wake or a thaw is on its way before any mail."""
    return await _post(at, cid, Kind.CONTROL, control.value, {"reason": reason} if reason else None, None, None)


async def rebudget(
    at: Installation, cid: ContinuationId, more: BudgetVector, less: BudgetVector, key: str | None = None
) -> Ledger:
    """The grant has changed, once per `key`."""
    return await at.backend.steering.rebudget(cid, more, less, key or new_token("rebudget"))


async def checkpoint_at(at: Installation, cid: ContinuationId, rev: int) -> Checkpoint:
    """The checkpoint as it was after `rev`, rebuilt from the log alone and checked against its hashes."""
    return replay(await record_bodies(at, cid, rev))


async def records(at: Installation, cid: ContinuationId, last: int = -1) -> Sequence[LogRecord]:
    """The log records 0..last, opened and checked."""
    return [LogRecord.model_validate_json(body) for body in await record_bodies(at, cid, last)]


async def record_bodies(at: Installation, cid: ContinuationId, last: int = -1) -> Sequence[bytes]:
    """The log records 0..last as they were written, their seals checked."""
    lines = await at.backend.records.log(cid, 0, last)
    return [at.seal.open(line, "record", cid, at.tenant).body for _, line in lines]


async def verify(at: Installation, cid: ContinuationId) -> int:
    """The log is whole and leads to the checkpoint; returns the number of its records.

    Raises:
        IntegrityError: it is not, or does not.
    """
    glance, log = await glance_of(at, cid), await record_bodies(at, cid)
    body = at.seal.open(glance.checkpoint, "checkpoint", cid, at.tenant).body
    if replay(log) != Checkpoint.model_validate_json(body):
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


def _bounds(at: Installation, asked: Bounds) -> Bounds:
    """The bounds of a root: what it does not say, the installation says."""
    bounds = asked.over(at.defaults)
    if at.asks_per_day is None or bounds.asks_per_day is not None:
        return bounds
    return bounds.model_copy(update={"asks_per_day": at.asks_per_day})


def _superseded_by(cid: ContinuationId, now_ms: TimeMs) -> Mail:
    """The order to end for whoever had the name that `cid` takes over."""
    return Mail(
        id=MailId(f"superseded:{cid}"),
        kind=Kind.CONTROL,
        sender=cid,
        subject=Control.KILL,
        body={"stop_reason": "superseded_by_newer_turn", "reason": f"{cid} took its name"},
        sent_ms=now_ms,
    )


def _unknown(text: str) -> ContinuationNotFoundError:
    return ContinuationNotFoundError(f"no continuation {text!r}", field="id", hint="see `maestro list`")
