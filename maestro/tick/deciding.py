"""Decisions of the policy kernel as the journal keeps them: one line, from which step, mode and place are read again.

sonnet: as_asked                           now, in the tick
haiku: downshift; async: slow              placed, see maestro.tick.placing
sonnet: as_asked; spawn: large_part        a child thinks it, see maestro.tick.apart
sonnet: as_asked; inline: no_room          a child would, and none may live
"""

from maestro.pager import dispatch
from maestro.policy.decision import Decision, Mode, Place, Reason
from maestro.policy.gradient import Step
from maestro.tick.store import JournalEntry


def words_of(decision: Decision) -> str:
    """The line: the step with its rule; when and where it happens with theirs, where that is not at once and here."""
    parts = [f"{decision.step}: {decision.reason}"]
    if decision.mode is not Mode.SYNC and decision.place is Place.INLINE:
        parts.append(f"{decision.mode}: {decision.mode_reason}")
    if decision.place_reason is not Reason.SMALL_PART:
        parts.append(f"{decision.place}: {decision.place_reason}")
    return "; ".join(parts)


def step_of(entry: JournalEntry) -> Step:
    """The step that an entry was journaled, and its price reserved, for."""
    return Step((entry.decision or "").partition(":")[0])


def mode_of(entry: JournalEntry) -> dispatch.Mode:
    """How soon its answer is wanted; of an entry without a word on it, at once."""
    told = [word for word in _words(entry) if word in set(dispatch.Mode)]
    return dispatch.Mode(told[0]) if told else dispatch.Mode.SYNC


def is_apart(entry: JournalEntry) -> bool:
    """True when a child was to think it."""
    return Place.SPAWN in _words(entry)


def _words(entry: JournalEntry) -> list[str]:
    """What is said of an entry behind its step."""
    return [part.partition(":")[0] for part in (entry.decision or "").split("; ")[1:]]
