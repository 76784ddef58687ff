"""The journal of the tick in flight: effects are numbered, written down before they happen, and happen once.

Invariants: an intent is durable, and its worst price reserved, before anything leaves; an answered effect is never
carried out again; a repeated tick that asks something else at the same place is stopped, not given a stranger's answer.
"""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

from pydantic import JsonValue

from maestro.budget.ledger import exceeded
from maestro.budget.vector import BudgetVector
from maestro.continuation.checkpoint import EffectNote
from maestro.continuation.remembered import NOTHING_REMEMBERED, ToolMemory
from maestro.errors import ContinuationStateError, MaestroError, ModelError
from maestro.ids import CallId, new_token
from maestro.pager.prices import charge_of
from maestro.tick.interruption import Word
from maestro.tick.store import Adopted, Batch, JournalEntry, Store
from maestro.tools.context import NO_CONTEXT, ToolContext

Answered = tuple[JsonValue, BudgetVector]
"""An answer and what it cost; whoever gives it has made both durable."""
Keep = Callable[[JsonValue], Awaitable[JsonValue]]
"""The ref under which the log keeps an answer; what it refers to is durable."""
_TOLD = ("model", "provider", "tier", "latency_ms", "tool", "taint", "cached", "because", "artifact", "captured")
"""What the log shows of an answer beside its ref."""
NO_WORDS: Mapping[str, Word] = MappingProxyType({})


class Journal:
    """The effects of one try of one tick."""

    def __init__(
        self,
        store: Store,
        adopted: Adopted,
        batch: Batch,
        first: int = 0,
        allowance: BudgetVector | None = None,
        words: Mapping[str, Word] = NO_WORDS,
    ) -> None:
        """Effects are numbered from `first`; together they may cost the allowance, of each resource that it names.

        Args:
            words: what a person said, by the id of the call that it is about.
        """
        self.taint: dict[str, None] = {}
        """What of this tick is untrusted, in words."""
        self.memory: ToolMemory = NOTHING_REMEMBERED
        """What is remembered of tools, as far as this try has come."""
        self.context: ToolContext = NO_CONTEXT
        """What its tools share."""
        self.words = words
        self.may_ask = first == 0
        """False while cleaning up: there is nobody to wait for then."""
        self._allowance = allowance
        self._store = store
        self._adopted = adopted
        self._batch = batch
        self._next = first
        self._notes: dict[int, EffectNote] = {}

    @property
    def notes(self) -> tuple[EffectNote, ...]:
        """What the log keeps of the effects, in order."""
        return tuple(self._notes[ordinal] for ordinal in sorted(self._notes))

    @property
    def spent(self) -> bool:
        """True when an answer was paid for in this tick."""
        return any(note.outcome == "answered" for note in self._notes.values())

    def next_ordinal(self) -> int:
        """The place of the next effect: taken when it is asked, so that concurrent effects keep their order."""
        ordinal, self._next = self._next, self._next + 1
        return ordinal

    def standing(self, ordinal: int) -> JournalEntry | None:
        """What an earlier try wrote at this place, whatever became of it."""
        return self._adopted.journal.get(ordinal)

    def known(self, ordinal: int, kind: str, key: str) -> JournalEntry | None:
        """What an earlier try wrote at this place; None where that failed, to be intended and paid for anew.

        Raises:
            ContinuationStateError: it asked something else there.
        """
        entry = self._adopted.journal.get(ordinal)
        if entry is None or entry.failed:
            return None
        if (entry.kind, entry.key) != (kind, key):
            raise ContinuationStateError(
                f"effect {ordinal} asks for another {kind} than in the first try of this tick",
                hint="between two effects a behaviour may only depend on its state, its mail and earlier answers",
            )
        return entry

    async def intend(self, entry: JournalEntry) -> JournalEntry:
        """The intent is durable and its price reserved.

        Raises:
            Fenced, BudgetExceededError: see Store.record.
        """
        if self._allowance is not None:
            for name, left in self._allowance.items():
                if entry.price[name] > left:
                    raise exceeded("reserve", name, entry.price[name], left)
        recorded = await self._store.record(self._adopted.cid, self._adopted.epoch, entry, self._batch)
        if self._allowance is not None:
            self._allowance = BudgetVector({n: left - entry.price[n] for n, left in self._allowance.items()})
        return recorded

    async def look(self, entry: JournalEntry) -> None:
        """The continuation is still in these hands, and the intent where it was.

        Raises:
            Fenced: it is not.
        """
        await self._store.record(self._adopted.cid, self._adopted.epoch, entry, self._batch)

    async def answer(
        self, entry: JournalEntry, act: Callable[[JournalEntry], Awaitable[Answered]], keep: Keep
    ) -> JsonValue:
        """The answer of an intended effect: from the journal if it is there, else by `act`, which makes it durable."""
        if entry.answered:
            self._note(entry, "answered", entry.charge, entry.answer, await keep(entry.answer))
            return entry.answer
        try:
            answer, charge = await act(entry)
        except MaestroError as error:
            charged = charge_of(error) if isinstance(error, ModelError) else BudgetVector({})
            self._note(entry, error.code, charged, None, None)
            raise
        self._note(entry, "answered", charge, answer, await keep(answer))
        return answer

    def _note(
        self, entry: JournalEntry, outcome: str, charge: BudgetVector, answer: JsonValue, kept: JsonValue
    ) -> None:
        detail = {name: answer[name] for name in _TOLD if name in answer} if isinstance(answer, dict) else None
        if isinstance(answer, dict) and isinstance(error := answer.get("error"), dict):
            outcome = str(error.get("code"))
        self._notes[entry.ordinal] = EffectNote(
            ordinal=entry.ordinal,
            kind=entry.kind,
            key=entry.key,
            outcome=outcome,
            charge=charge.root,
            decision=entry.decision,
            detail=detail,
            asked=entry.asked,
            answer=kept,
            question=entry.question,
        )


def new_intent(ordinal: int, kind: str, key: str, price: BudgetVector, decision: str | None) -> JournalEntry:
    """An effect that is about to happen, under a call id of its own."""
    return JournalEntry(ordinal, kind, key, CallId(new_token("call")), price, decision)
