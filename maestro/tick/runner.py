"""Run one adopted continuation to the commit that ends its tick, or hand it back.

The order of a tick: open the checkpoint -> control mail -> holds and code -> behaviour, effects journaled -> fold
-> commit.
Invariants: user code never runs for a kill; a tick that raises commits nothing of what it decided; the third try that
fails is committed as a hold, with its mail unread and its reason told.

What is not here: leases, pools, Ray. The runner knows ports only.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import structlog
from pydantic import BaseModel, ValidationError

from maestro.budget.standing import NOBODY_SHORT, looked_at
from maestro.budget.vector import BudgetVector
from maestro.continuation.bounds import TTL_DEFAULTS, TtlDefaults
from maestro.continuation.checkpoint import Checkpoint, Durability
from maestro.continuation.directive import Closing, Sleep
from maestro.continuation.envelope import Envelope, Seal
from maestro.continuation.lifecycle import Hold, Status, move
from maestro.continuation.lineage import is_legacy
from maestro.continuation.mail import MAIL_READ_AT_ONCE, Control, Kind, Mail, reading_order, wakes
from maestro.continuation.wait import BudgetGrant, wake_keys
from maestro.errors import (
    BudgetExceededError,
    ContinuationStateError,
    MaestroError,
    MalformedAnswer,
    ProvidersExhausted,
    RecoverableModelError,
    StoreError,
    TerminalModelError,
    TimedOut,
    Unservable,
)
from maestro.ids import Rev, TenantId, TimeMs
from maestro.policy.decision import POLICY_VERSION
from maestro.tick.behaviour import Behaviour, Repertoire, kept_state, migrated, state_of
from maestro.tick.cleanup import FIRST_ORDINAL, cleaned_up, cleans_up
from maestro.tick.codechange import withheld
from maestro.tick.context import Mind, Tick
from maestro.tick.fold import fold
from maestro.tick.inheritance import legacies, take_in
from maestro.tick.interruption import Asked, Interrupted, Word, answers_to, interruption_of, to_be_asked, went_on
from maestro.tick.journal import Journal
from maestro.tick.orders import as_it_stands, ended_by, order_to_end, thawed
from maestro.tick.refusals import after_refusal
from maestro.tick.store import Adopted, Batch, Commit, Held, Store
from maestro.tick.supervising import after_crashes, recovered, used
from maestro.tick.taint import taint_of
from maestro.tick.telling import failure
from maestro.tick.transition import Facts, Recovery, Transition
from maestro.tick.verdict import Situation, Verdict, in_time, notices, same_wait, verdict
from maestro.tick.waiting import waited_for

log = structlog.get_logger()

MAX_TRIES = 3
RETRY_MS = (1_000, 10_000)  # after the first and the second failed try; the third is held
PROVIDER_RETRY_MS = 30_000  # when the whole chain is out and names no time itself
STORE_RETRY_MS = 1_000  # when the store was away in mid tick: no fault of the tick
STALE = (ContinuationStateError, MalformedAnswer)
"""Failures that the journal itself causes: kept, it would cause them for ever, whatever code comes."""

MakeMind = Callable[[Adopted, Checkpoint, Journal, tuple[Mail, ...]], Mind]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every tick in one process shares."""

    store: Store
    seal: Seal
    tenant: TenantId
    repertoire: Repertoire
    make_mind: MakeMind
    tick_deadline_ms: int = 600_000
    defaults: TtlDefaults = TTL_DEFAULTS
    policy_version: str = str(POLICY_VERSION)
    durability: Durability = "always"
    """What a commit survives, as the settings have it; each record says it."""


@dataclass(frozen=True, slots=True)
class HandBack:
    """The tick did not end: the continuation goes back, to be adopted again."""

    retry_in_ms: int
    error: str | None
    counts: bool


Outcome = Commit | HandBack | Held


async def run(adopted: Adopted, around: Surroundings) -> Outcome:
    """The commit, the hand-back or the hold that this adoption leads to; nothing of it is written yet.

    Raises:
        Fenced: a newer epoch owns the continuation.
    """
    try:
        envelope = around.seal.open(adopted.checkpoint, "checkpoint", adopted.cid, around.tenant)
        plain = as_it_stands(Checkpoint.model_validate_json(envelope.body), adopted)
    except (MaestroError, ValidationError) as error:
        return HandBack(60_000 * min(60, adopted.tries), str(error), counts=True)
    order = order_to_end(adopted.controls, adopted.last_error)
    if order is not None:
        return await _Attempt(adopted, envelope, plain, around).end_by_order(order)
    before, adopted, recovery = recovered(plain, adopted)
    attempt = _Attempt(adopted, envelope, before, around, recovery=recovery)
    after = None if recovery is None else after_crashes(before, adopted, recovery, same_wait(before))
    if after is not None:
        return attempt._fold(after, (), keep_journal=isinstance(after.closing, Sleep))  # noqa: SLF001 - the same module
    if before.hold is not None and not thawed(adopted.controls):
        return attempt.stay_held()
    return await attempt.tick()


@dataclass(frozen=True, slots=True)
class _Attempt:
    adopted: Adopted
    envelope: Envelope
    before: Checkpoint
    around: Surroundings
    words: Mapping[str, Word] = field(default_factory=dict)
    """What a person said in the midst of this tick, by the call that it is about."""
    answers: tuple[tuple[int, Mail], ...] = ()
    """The mail that said so, with its positions; no behaviour sees it."""
    recovery: Recovery | None = None

    async def end_by_order(self, order: Mail) -> Outcome:
        """Killed or merged without a line of user code; cancelled after one try to clean up."""
        ending = ended_by(order, self.before)
        if order.subject != Control.CANCEL or self.before.hold or self.before.state is None:
            return self._fold(ending, ())
        try:
            behaviour, state = self._code()
        except Unservable:
            return self._fold(ending, ())
        if not cleans_up(behaviour) or self.adopted.tries > MAX_TRIES:
            return self._fold(ending, ())
        journal = self._journal((), FIRST_ORDINAL, behaviour.cancel_budget)
        left = await cleaned_up(behaviour, self._tick(state, (), journal))
        if left is not None:
            ending = replace(ending, state=left[0], acts=left[1])
        return self._fold(ending, (), code=behaviour, journal=journal)

    def stay_held(self) -> Commit:
        """Woken while held: the order is noted, the hold stays."""
        wait, detail = same_wait(self.before), self.before.hold_detail
        hold = Transition(self.before.state, (), wait, hold=self.before.hold, hold_detail=detail)
        return self._fold(hold, (), keep_journal=True)

    async def tick(self) -> Outcome:
        asked = interruption_of(self.before.wait)
        if asked is not None:
            return await self._go_on(asked)
        inbox, positions = self._batch()
        found = self._verdict(inbox)
        left = legacies(self.before, self.adopted)
        if found.ending is not None and not left:
            return self._fold(found.ending, inbox, positions, found=found)
        try:
            behaviour = self.around.repertoire.find(self.before.behaviour)
        except Unservable as error:
            return self._wanting_code(Hold.UNSERVABLE, str(error))
        if self.adopted.tries > MAX_TRIES:  # asked before any code runs: a migration may be what ends the process
            return self._given_up(behaviour)
        try:
            _, state = self._code()
        except Unservable as error:
            return self._wanting_code(Hold.NEEDS_MIGRATION, str(error))
        if left:
            return await self._take_in(behaviour, state, left)
        return await self._behave(behaviour, state, found)

    async def _go_on(self, asked: Asked) -> Outcome:
        """The tick that a person's word was asked for in the midst of: again, if it has come; else it is asked on."""
        came = answers_to(asked, self.adopted.mail)
        letters, places = tuple(mail for _, mail in came), tuple(place for place, _ in came)
        found = self._verdict(letters, self.adopted.now_ms)
        if found.ending is not None or not found.shown or asked is not self.before.wait:
            ending = found.ending or Transition(self.before.state, (), same_wait(self.before))
            return self._fold(ending, letters, places, keep_journal=True, found=found)
        before, adopted, words = went_on(self.before, self.adopted, asked, found.shown[-1])
        return await replace(self, before=before, adopted=adopted, words=words, answers=came).tick()

    async def _behave(self, behaviour: type[Behaviour[Any]], state: BaseModel, found: Verdict) -> Outcome:
        inbox, positions = self._batch()
        journal = self._journal(inbox)
        tick = self._tick(state, found.shown, journal)
        deadline = asyncio.timeout(self._timeout_ms / 1000)
        try:
            async with deadline:
                await tick.settled()
                closing = await _played(behaviour(), tick, found)
            closing = closing or same_wait(self.before, (*inbox, *found.shown), found.lapsed)
            transition = Transition(kept_state(tick.state, self.before.bounds.max_state_bytes), tick.acts, closing)
            return self._fold(transition, inbox, positions, behaviour, journal, found=found)
        except Interrupted as interrupted:
            asked = to_be_asked(interrupted.asked, waited_for(self.before))
            transition = Transition(self.before.state, interrupted.acts, Sleep(wait=asked))
            return self._fold(transition, (), journal=journal, keep_journal=True)
        except BudgetExceededError as error:
            return self._wait_for_money(error, journal)
        except (ProvidersExhausted, RecoverableModelError) as error:
            retry = error.facts.get("retry_after_ms")
            return HandBack(retry if isinstance(retry, int) else PROVIDER_RETRY_MS, str(error), counts=False)
        except StoreError as error:
            return HandBack(STORE_RETRY_MS, str(error), counts=False)
        except TimeoutError as error:
            late = f"the tick took longer than its deadline of {self._timeout_ms} ms"
            return self._failed(TimedOut(late) if deadline.expired() else error)
        except TerminalModelError as error:
            return self._refused(error, behaviour, journal, found)
        except Exception as error:  # noqa: BLE001 - user code may raise anything; Fenced, cancellation are no Exceptions
            return self._failed(error)

    async def _take_in(self, behaviour: type[Behaviour[Any]], state: BaseModel, left: list[tuple[int, Mail]]) -> Commit:
        """What merged ones left is part of the state; nothing of the mail of the behaviour is read."""
        inbox = tuple(mail for _, mail in left)
        journal = self._journal(inbox)
        taken = await take_in(behaviour, self.before, self._tick(state, inbox, journal), inbox)
        closing = same_wait(self.before)
        return self._fold(replace(taken, closing=closing), inbox, tuple(p for p, _ in left), behaviour, journal)

    def _code(self) -> tuple[type[Behaviour[Any]], BaseModel]:
        """Its behaviour, and its state as today's code reads it.

        Raises:
            Unservable: there is no such code, or no way to it.
        """
        behaviour = self.around.repertoire.find(self.before.behaviour)
        return behaviour, state_of(behaviour, migrated(behaviour, self.before.state, self.before.behaviour_version))

    def _journal(self, inbox: tuple[Mail, ...], first: int = 0, allowance: BudgetVector | None = None) -> Journal:
        batch = Batch(tuple(mail.id for mail in inbox), self._now_ms())
        journal = Journal(self.around.store, self.adopted, batch, first, allowance, self.words)
        journal.taint.update(dict.fromkeys(taint_of(self.before.tainted, inbox)))
        journal.memory = self.before.tools
        journal.context = self.around.repertoire.find(self.before.behaviour).tool_context
        return journal

    def _tick(self, state: BaseModel, inbox: tuple[Mail, ...], journal: Journal) -> Tick[Any]:
        mind = self.around.make_mind(self.adopted, self.before, journal, inbox)
        ledger = self.adopted.ledger
        stands, _ = looked_at(NOBODY_SHORT, ledger)
        return Tick(self.before, state, inbox, ledger.free, mind, self._rev, self._now_ms(), stands)

    def _refused(
        self, error: TerminalModelError, code: type[Behaviour[Any]], journal: Journal, found: Verdict
    ) -> Outcome:
        """A call was refused for good: what becomes of the tick, its behaviour says."""
        inbox, positions = self._batch()
        ended = after_refusal(code.on_refusal.to(error), str(error)[:2_000], self.before, inbox)
        if ended is None:
            return self._failed(error)
        if ended.hold is not None:
            return self._held(ended.hold, ended.hold_detail or "")
        return self._fold(ended, inbox, positions, code, journal, found=found)

    def _failed(self, error: Exception) -> Outcome:
        told = failure(error)
        log.warning("tick_failed", tries=self.adopted.tries, error=told)
        if self.adopted.tries >= MAX_TRIES:
            return self._held(Hold.QUARANTINED, told, keep_journal=not isinstance(error, STALE))
        return HandBack(RETRY_MS[self.adopted.tries - 1], told, counts=True)

    def _given_up(self, behaviour: type[Behaviour[Any]]) -> Outcome:
        """The last try ended without a commit and without a hand-back: its process died, or its lease ran out."""
        told, before = f"{MAX_TRIES} tries ended without a word", self.adopted.last_error
        if before is not None:  # an earlier one had its say, or an order interrupted it: that is not why it is held
            told = f"the last of {MAX_TRIES} tries ended without a word; heard before: {before}"
        if self.before.state is not None and self.before.behaviour_version != behaviour.version:
            versions = f"from version {self.before.behaviour_version} to {behaviour.version}"
            return self._wanting_code(Hold.NEEDS_MIGRATION, f"{told}, in or after the migration {versions}")
        return self._held(Hold.QUARANTINED, told)

    def _wanting_code(self, hold: Hold, reason: str) -> Outcome:
        """No tick until there is other code; not one byte of the continuation changes, unless it was given a child."""
        if any(mail.subject in (Control.ADOPTED, Control.CRASHED) for mail in self.adopted.controls):
            return self._held(hold, reason)
        log.warning("held", hold=hold.value, detail=reason)
        return withheld(self.before, self.adopted, hold, reason)

    def _held(self, hold: Hold, detail: str, keep_journal: bool = True) -> Commit:
        """No tick until somebody acts; mail, timers and budget stay as they are."""
        log.warning("held", hold=hold.value, detail=detail)
        held = Transition(self.before.state, (), same_wait(self.before), hold=hold, hold_detail=detail)
        return self._fold(held, (), keep_journal=keep_journal)

    def _wait_for_money(self, error: BudgetExceededError, journal: Journal) -> Commit:
        facts = error.facts
        wait = BudgetGrant(
            resource=str(facts.get("resource", "usd")),
            asked=int(str(facts.get("asked", 0))),
            free=int(str(facts.get("free", 0))),
            then=waited_for(self.before),
        )
        transition = Transition(self.before.state, (), Sleep(wait=wait))
        return self._fold(transition, (), journal=journal, keep_journal=True)

    def _fold(
        self,
        transition: Transition,
        inbox: tuple[Mail, ...],
        positions: tuple[int, ...] = (),
        code: type[Behaviour[Any]] | None = None,
        journal: Journal | None = None,
        keep_journal: bool = False,
        found: Verdict | None = None,
    ) -> Commit:
        move(self.before.status, Status.RESUMING)
        inbox = (*inbox, *(mail for _, mail in self.answers))
        positions = tuple(sorted((*positions, *(place for place, _ in self.answers))))
        facts = Facts(
            before=self.before,
            before_body=self.envelope.body,
            previous_hash=self.envelope.previous_hash,
            epoch=self.adopted.epoch,
            rev=self._rev,
            now_ms=self.adopted.now_ms,
            behaviour_version=self.before.behaviour_version if code is None else code.version,
            trigger=(None if found is None else found.trigger) or (inbox or self.adopted.controls or (None,))[0],
            consumed=inbox,
            consumed_positions=positions,
            controls_taken=len(self.adopted.controls),
            effects=() if journal is None or keep_journal else journal.notes,
            free=dict(self.adopted.ledger.free.root),
            keep_journal=keep_journal,
            behaviour=None if code is None else code.name,
            as_of_ms=self._now_ms(),
            lapsed=None if found is None else found.lapsed,
            autonomous_decision=None if found is None else found.autonomous_decision,
            defaults=self.around.defaults,
            policy_version=self.around.policy_version,
            durability=self.around.durability,
            used=used(self.adopted, () if journal is None else journal.notes),
            recovery=self.recovery,
            notices=notices(self.adopted.controls),
            tools=None if journal is None or keep_journal else journal.memory,
            read_untrusted=journal is not None and bool(journal.taint),
        )
        return fold(facts, transition, self.around.seal)

    @property
    def _rev(self) -> Rev:
        return Rev(self.adopted.rev + 1)

    def _now_ms(self) -> Any:
        return self.adopted.batch.now_ms if self.adopted.batch else self.adopted.now_ms

    def _batch(self) -> tuple[tuple[Mail, ...], tuple[int, ...]]:
        """The mail of this tick and its positions: what woke it; repeated after effects, what the first try saw."""
        fixed = None if self.adopted.batch is None else set(self.adopted.batch.mail_ids)
        keys = self.adopted.wake_keys if self.before.wait is not None else ()
        wait = waited_for(self.before)
        if isinstance(self.before.wait, BudgetGrant):  # what the tick that ran out was about is still in the mailbox
            keys = wake_keys(wait) if wait is not None else ()
        mail = self.adopted.mail
        chosen = [
            place
            for place in reading_order(mail)
            if (self._is_for_now(mail[place], keys) if fixed is None else mail[place].id in fixed)
        ][: MAIL_READ_AT_ONCE if fixed is None else None]
        return tuple(mail[place] for place in chosen), tuple(sorted(chosen))

    def _is_for_now(self, mail: Mail, keys: tuple[str, ...]) -> bool:
        wait = waited_for(self.before)
        if is_legacy(self.before, mail):
            return False
        if mail.kind is Kind.APPROVAL and mail.wake_key not in keys:
            return True  # a word on what is asked no more: taken out, and not heard
        return wakes(keys, mail.wake_key) and (wait is None or in_time(wait, mail))

    def _verdict(self, inbox: tuple[Mail, ...], now_ms: TimeMs | None = None) -> Verdict:
        adopted = self.adopted
        born_of_fork = self._rev == 1 and self.before.forked_from is not None
        policy, at_ms = self.around.policy_version, now_ms or self._now_ms()
        return verdict(Situation(self.before, inbox, adopted.controls, adopted.tries, at_ms, policy, born_of_fork))

    @property
    def _timeout_ms(self) -> int:
        return min(self.around.tick_deadline_ms, self.before.bounds.tick_timeout_ms or self.around.tick_deadline_ms)


async def _played(behaviour: Behaviour[Any], tick: Tick[Any], found: Verdict) -> Closing | None:
    """The behaviour's part in the tick: the mail, or the end of its patience."""
    if found.lapsed is not None and found.lapsed.on_timeout == "resume":
        return await behaviour.on_timeout(tick, found.lapsed)
    return await behaviour.run(tick)
