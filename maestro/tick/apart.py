"""A thought that a child thinks: what the kernel decides for a large part that needs nothing else of its tick.

    think -> prompt kept, intent with the child's id -> Interrupted: commit, the child is born, its end is the wait
    the child, of the behaviour `part`, asks that prompt word for word, with its share, and ends with the answer
    the same tick again: the answer is journaled and told; a failure of the child is raised as it was in the child

Invariants: the parent reserves nothing, the child has been lent the worst price of the decided step, and where as much
is free twice that; what it does not spend comes back with its end; a repeated tick begets the same child, never two; an
answer is in the journal before the mail that brought it is consumed by a commit.

Source: spec/05 section 2, item 3 of the kernel.
"""

from pydantic import BaseModel, ConfigDict, JsonValue

from maestro.budget.ledger import exceeded
from maestro.budget.vector import BudgetVector
from maestro.continuation.checkpoint import Checkpoint
from maestro.continuation.directive import Spawn
from maestro.continuation.lifecycle import TERMINAL
from maestro.continuation.wait import Children, Interruption
from maestro.errors import AnswerLost, MaestroError
from maestro.ids import ContinuationId, Rev, TimeMs, child_id
from maestro.pager.reply import Failure
from maestro.policy.gradient import Step
from maestro.policy.question import Signals
from maestro.tick.interruption import Interrupted, Word
from maestro.tick.journals import About, Journals
from maestro.tick.store import Adopted, JournalEntry
from maestro.tick.thought import Thought

PART = "part"
"""The behaviour that thinks one thought of its parent: maestro.behaviours.part."""
FIRST_ORDINAL = 30_000  # behind the children that a behaviour begets in a tick, and their successors
TRIES = 2  # of which the share pays the worst price, where as much is free
FREE = BudgetVector({})


class Part(BaseModel):
    """What a child is to think: its input."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: JsonValue
    """As it is kept (maestro.tick.asking), in the partition of the family."""
    step: Step
    max_output_tokens: int
    signals: Signals

    @property
    def thought(self) -> Thought:
        return Thought("", "", self.step, None, self.max_output_tokens, signals=self.signals, prompt=self.prompt)


class Told(BaseModel):
    """What became of it: the child's result, exactly one of the two."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    content: str | None = None
    failure: Failure | None = None


def new_child(adopted: Adopted, ordinal: int) -> ContinuationId:
    """The id of the child that thinks the effect `ordinal`."""
    begun_ms = adopted.batch.now_ms if adopted.batch else adopted.now_ms
    return child_id(adopted.cid, Rev(adopted.rev + 1), FIRST_ORDINAL + ordinal, TimeMs(begun_ms))


def child_of(entry: JournalEntry) -> ContinuationId | None:
    """Who thinks it, where a child does."""
    told = entry.question.get("child") if isinstance(entry.question, dict) else None
    return None if told is None else ContinuationId(str(told))


def unborn(adopted: Adopted, before: Checkpoint) -> int:
    """How many children earlier tries of this tick have decided for, and not begotten."""
    meant = (child_of(entry) for entry in adopted.journal.values() if not (entry.answered or entry.failed))
    return sum(child is not None and child not in before.children for child in meant)


def share(price: BudgetVector, free: BudgetVector) -> BudgetVector:
    """What the child is lent: of each limited resource the worst price, twice where as much is free.

    Raises:
        BudgetExceededError: not even once is free.
    """
    short = free.short_of(price)
    if short is not None:
        raise exceeded("lend", short, price[short], free[short])
    limited = dict(free.items())
    return BudgetVector({name: min(TRIES * most, limited[name]) for name, most in price.items() if name in limited})


def birth(before: Checkpoint, entry: JournalEntry, part: Part, lent: BudgetVector) -> Spawn:
    """The directive by which the child is born."""
    told: JsonValue = part.model_dump(mode="json")
    child = child_of(entry)
    assert child is not None  # noqa: S101 - whoever asks has looked
    return Spawn(child=child, behaviour=PART, goal=before.goal, budget=lent, input=told)


def end_of(child: ContinuationId, entry: JournalEntry) -> Children:
    """The wait for its end."""
    because = f"waiting on a part of its thinking, which its child {child} does"
    return Children(ids=(child,), needed=1, because=because, interrupts=Interruption(call_id=entry.call_id))


async def told_by(
    journals: Journals, before: Checkpoint, entry: JournalEntry, child: ContinuationId, word: Word | None
) -> JsonValue:
    """The child's answer, journaled.

    Raises:
        Interrupted: it has not ended yet.
        MaestroError: the child's failure, journaled; another try of the tick asks anew.
    """
    if word is None and before.children[child].status not in TERMINAL:
        raise Interrupted(end_of(child, entry))
    told = _read(child, word)
    about: About = {"child": child}
    given = entry.ordinal, entry.call_id
    if told.failure is not None:
        failed: JsonValue = told.failure.model_dump(mode="json", exclude={"field"})
        await journals.settle(before.id, *given, failed, True, FREE, about)
        raise told.failure.error()
    answer: JsonValue = {"content": told.content, "because": f"its child {child} thought it"}
    await journals.settle(before.id, *given, answer, False, FREE, about)
    return answer


def outcome(answer: str | MaestroError) -> JsonValue:
    """What a child ends with."""
    told = Told(failure=Failure.of(answer)) if isinstance(answer, MaestroError) else Told(content=answer)
    result: JsonValue = told.model_dump(mode="json")
    return result


def _read(child: ContinuationId, word: Word | None) -> Told:
    if word is not None and word.says == "yes":
        return Told.model_validate(word.result)
    because = "" if word is None else f": {word.result}"
    ended = f"{child}, which was to think it, ended without an answer{because}"
    lost = AnswerLost(ended, hint=f"see `maestro why {child}`")
    return Told(failure=Failure.of(lost))
