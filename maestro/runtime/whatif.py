"""What if another policy had decided: every recorded model call is decided again, on what it was decided on then.

Pure reading: no model call, no write, no clock. What a cheaper answer would have changed in later ticks nobody knows;
each call is taken as it was asked.
"""

from dataclasses import dataclass, replace
from functools import partial

from pydantic import ValidationError

from maestro.continuation.blocks import read
from maestro.continuation.checkpoint import EffectNote
from maestro.errors import IntegrityError
from maestro.ids import ContinuationId
from maestro.policy.decision import Decision
from maestro.policy.kernel import decide
from maestro.policy.policy import Policy
from maestro.policy.question import Question
from maestro.policy.recorded import question_of
from maestro.runtime.verbs import Installation, records
from maestro.tick.deciding import words_of


@dataclass(frozen=True, slots=True)
class Redecided:
    """One call, as it was decided and as it would be."""

    rev: int
    ordinal: int
    recorded: str
    """Step and rule, as the journal has them."""
    old: Decision
    """What today's kernel says under the terms of then."""
    new: Decision
    at_ms: int = 0
    """When the tick began."""

    @property
    def told(self) -> str:
        """What would be decided, in the words of the journal."""
        return words_of(self.new) if self.new.go_on else f"nothing: {self.new.reason}"

    @property
    def differs(self) -> bool:
        """True when something else would be done: another step, or none."""
        return not self.new.go_on or self.recorded.partition(":")[0] != self.new.step

    @property
    def delta_usd_micros(self) -> int:
        """How much dearer (cheaper: below 0) the call could have been at most; a call not made costs nothing."""
        return _worst(self.new) - _worst(self.old)

    @property
    def agrees(self) -> bool:
        """False when today's kernel, under the terms of then, would not decide as it did then: its rules changed."""
        return self.recorded == words_of(self.old)


async def redecided(at: Installation, cid: ContinuationId, policy: Policy) -> list[Redecided]:
    """Every recorded model call of `cid`, in order; those recorded before questions were kept are left out.

    Raises:
        IntegrityError: a record or a block of it was changed.
    """
    rows: list[Redecided] = []
    for record in await records(at, cid):
        for note in record.effects:
            if note.question is not None:
                question = await _question(at, cid, note)
                new = decide(replace(question, config=policy.config))
                place = record.rev, note.ordinal, note.decision or ""
                rows.append(Redecided(*place, decide(question), new, record.started_at_ms))
    return rows


async def _question(at: Installation, cid: ContinuationId, note: EffectNote) -> Question:
    match note.question:
        case {"question": asked, "terms": terms}:
            pass
        case _:
            raise IntegrityError(f"{cid}: effect {note.ordinal} has no question that can be read", hint="upgrade")
    try:
        return question_of(asked, await read(terms, partial(at.backend.blocks.get, cid)))
    except (ValidationError, ValueError) as error:
        raise IntegrityError(f"{cid}: the question of effect {note.ordinal} cannot be read: {error}") from None


def _worst(decision: Decision) -> int:
    return decision.cost.usd_micros if decision.go_on else 0
