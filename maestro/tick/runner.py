"""Run one adopted continuation to the commit that ends its tick, or hand it back.

The order of a tick: open the checkpoint -> control mail -> holds and code -> behaviour, effects journaled -> fold
-> commit.
Invariants: user code never runs for a kill; a tick that raises commits nothing of what it decided; the third try that
fails is committed as a hold, with its mail unread and its reason told.

What is not here: leases, pools, Ray. The runner knows ports only.
"""

import asyncio
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from pydantic import BaseModel, ValidationError

from maestro.continuation.checkpoint import Checkpoint
from maestro.continuation.directive import Closing, Fail, Sleep
from maestro.continuation.envelope import Envelope, Seal
from maestro.continuation.lifecycle import STOP_STATUS, TERMINAL, Hold, Status, move
from maestro.continuation.mail import Control, Mail, wakes
from maestro.continuation.wait import BudgetGrant, WaitFor, left, wake_keys
from maestro.errors import (
    BudgetExceededError,
    ContinuationStateError,
    MaestroError,
    MalformedAnswer,
    ProvidersExhausted,
    RecoverableModelError,
    StoreError,
    TimedOut,
    Unservable,
)
from maestro.ids import Rev, TenantId
from maestro.tick.behaviour import Behaviour, Repertoire, migrated, state_of
from maestro.tick.context import Mind, Tick
from maestro.tick.fold import Facts, Transition, fold
from maestro.tick.journal import Journal
from maestro.tick.store import Adopted, Batch, Commit, Store

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


@dataclass(frozen=True, slots=True)
class HandBack:
    """The tick did not end: the continuation goes back, to be adopted again."""

    retry_in_ms: int
    error: str | None
    counts: bool


Outcome = Commit | HandBack


async def run(adopted: Adopted, around: Surroundings) -> Outcome:
    """The commit or the hand-back that this adoption leads to; nothing of either is written yet.

    Raises:
        Fenced: a newer epoch owns the continuation.
    """
    try:
        envelope = around.seal.open(adopted.checkpoint, "checkpoint", adopted.cid, around.tenant)
        before = Checkpoint.model_validate_json(envelope.body)
    except (MaestroError, ValidationError) as error:
        return HandBack(60_000 * min(60, adopted.tries), str(error), counts=True)
    attempt = _Attempt(adopted, envelope, before, around)
    order = _order(adopted.controls)
    if order is not None:
        return attempt.end_by_order(order)
    if before.hold is not None and not _thawed(adopted.controls):
        return attempt.stay_held()
    return await attempt.tick()


@dataclass(frozen=True, slots=True)
class _Attempt:
    adopted: Adopted
    envelope: Envelope
    before: Checkpoint
    around: Surroundings

    def end_by_order(self, order: Mail) -> Commit:
        """Killed or cancelled: committed without a line of user code."""
        given = order.body.get("reason") if isinstance(order.body, dict) else None
        closing = Fail(reason=f"{order.subject} by {order.sender}" + (f": {given}" if given else ""))
        stopped = given if isinstance(given, str) and given in STOP_STATUS else "cancelled_by_user"
        return self._fold(Transition(self.before.state, (), closing, stop_reason=stopped), ())

    def stay_held(self) -> Commit:
        """Woken while held: the order is noted, the hold stays."""
        hold = Transition(
            self.before.state, (), self._same_wait(), hold=self.before.hold, hold_detail=self.before.hold_detail
        )
        return self._fold(hold, (), keep_journal=True)

    async def tick(self) -> Outcome:
        try:
            behaviour = self.around.repertoire.find(self.before.behaviour)
        except Unservable as error:
            return self._held(Hold.UNSERVABLE, str(error))
        try:
            raw = migrated(behaviour, self.before.state, self.before.behaviour_version)
            state = state_of(behaviour, raw)
        except Unservable as error:
            return self._held(Hold.NEEDS_MIGRATION, str(error))
        if self.adopted.tries > MAX_TRIES:
            return self._held(Hold.QUARANTINED, self.adopted.last_error or f"{MAX_TRIES} tries ended without a word")
        return await self._behave(behaviour, state)

    async def _behave(self, behaviour: type[Behaviour[Any]], state: BaseModel) -> Outcome:
        inbox, positions = self._batch()
        batch = Batch(tuple(mail.id for mail in inbox), self._now_ms())
        journal = Journal(self.around.store, self.adopted, batch)
        mind = self.around.make_mind(self.adopted, self.before, journal, inbox)
        tick = Tick(self.before, state, inbox, self.adopted.ledger.free, mind, self._rev, self._now_ms())
        deadline = asyncio.timeout(self.around.tick_deadline_ms / 1000)
        try:
            async with deadline:
                closing = await behaviour().run(tick)
            closing = closing or self._same_wait(inbox)
            transition = Transition(tick.state.model_dump(mode="json"), tick.acts, closing)
            return self._fold(transition, inbox, positions, behaviour.version, journal)
        except BudgetExceededError as error:
            return self._wait_for_money(error, journal)
        except (ProvidersExhausted, RecoverableModelError) as error:
            retry = error.facts.get("retry_after_ms")
            return HandBack(retry if isinstance(retry, int) else PROVIDER_RETRY_MS, str(error), counts=False)
        except StoreError as error:
            return HandBack(STORE_RETRY_MS, str(error), counts=False)
        except TimeoutError as error:
            late = f"the tick took longer than its deadline of {self.around.tick_deadline_ms} ms"
            return self._failed(TimedOut(late) if deadline.expired() else error)
        except Exception as error:  # noqa: BLE001 - user code may raise anything; Fenced, cancellation are no Exceptions
            return self._failed(error)

    def _failed(self, error: Exception) -> Outcome:
        told = _told(error)
        log.warning("tick_failed", tries=self.adopted.tries, error=told)
        if self.adopted.tries >= MAX_TRIES:
            return self._held(Hold.QUARANTINED, told, keep_journal=not isinstance(error, STALE))
        return HandBack(RETRY_MS[self.adopted.tries - 1], told, counts=True)

    def _held(self, hold: Hold, detail: str, keep_journal: bool = True) -> Commit:
        """No tick until somebody acts; mail, timers and budget stay as they are."""
        log.warning("held", hold=hold.value, detail=detail)
        held = Transition(self.before.state, (), self._same_wait(), hold=hold, hold_detail=detail)
        return self._fold(held, (), keep_journal=keep_journal)

    def _wait_for_money(self, error: BudgetExceededError, journal: Journal) -> Commit:
        facts = error.facts
        wait = BudgetGrant(
            resource=str(facts.get("resource", "usd")),
            asked=int(str(facts.get("asked", 0))),
            free=int(str(facts.get("free", 0))),
            then=self._wait,
        )
        transition = Transition(self.before.state, (), Sleep(wait=wait))
        return self._fold(transition, (), journal=journal, keep_journal=True)

    def _fold(
        self,
        transition: Transition,
        inbox: tuple[Mail, ...],
        positions: tuple[int, ...] = (),
        version: int | None = None,
        journal: Journal | None = None,
        keep_journal: bool = False,
    ) -> Commit:
        move(self.before.status, Status.RESUMING)
        facts = Facts(
            before=self.before,
            before_body=self.envelope.body,
            previous_hash=self.envelope.previous_hash,
            epoch=self.adopted.epoch,
            rev=self._rev,
            now_ms=self.adopted.now_ms,
            behaviour_version=self.before.behaviour_version if version is None else version,
            trigger=(inbox or self.adopted.controls or (None,))[0],
            consumed=inbox,
            consumed_positions=positions,
            controls_taken=len(self.adopted.controls),
            effects=() if journal is None or keep_journal else journal.notes,
            free=dict(self.adopted.ledger.free.root),
            keep_journal=keep_journal,
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
        if isinstance(self.before.wait, BudgetGrant):  # what the tick that ran out was about is still in the mailbox
            keys = wake_keys(self._wait) if self._wait is not None else ()
        chosen = [
            (position, mail)
            for position, mail in enumerate(self.adopted.mail)
            if (wakes(keys, mail.wake_key) if fixed is None else mail.id in fixed)
        ]
        return tuple(mail for _, mail in chosen), tuple(position for position, _ in chosen)

    @property
    def _wait(self) -> WaitFor | None:
        """What it waits for, apart from money."""
        wait = self.before.wait
        return wait.then if isinstance(wait, BudgetGrant) else wait

    def _same_wait(self, read: tuple[Mail, ...] = ()) -> Closing:
        """Going on to wait for what has not come; for anything, where all of it has or nothing was waited for yet."""
        if self._wait is None:
            return Sleep()
        living = {cid for cid, child in self.before.children.items() if child.status not in TERMINAL}
        still = left(self._wait, {mail.wake_key for mail in read}, living - {mail.child for mail in read})
        return Sleep() if still is None else Sleep(wait=still)


def _order(controls: tuple[Mail, ...]) -> Mail | None:
    return next((mail for mail in controls if mail.subject in (Control.KILL, Control.CANCEL)), None)


def _thawed(controls: tuple[Mail, ...]) -> bool:
    return any(mail.subject == Control.THAW for mail in controls)


def _told(error: Exception) -> str:
    """An error as `why` shows it: what it says and the line of the behaviour that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name}" if frames else ""
    return f"{type(error).__name__}: {error}{where}"[:2_000]
