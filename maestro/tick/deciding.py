"""Decisions of the policy kernel as the journal keeps them: one line, from which step and mode are read again.

sonnet: as_asked                           now, and in the tick
haiku: downshift; async: slow              placed, see maestro.tick.placing
"""

from maestro.pager import dispatch
from maestro.policy.decision import Decision, Mode
from maestro.policy.gradient import Step
from maestro.tick.store import JournalEntry


def words_of(decision: Decision) -> str:
    """The line: the step with its rule, and when it happens with the rule of that, where that is not at once."""
    line = f"{decision.step}: {decision.reason}"
    return line if decision.mode is Mode.SYNC else f"{line}; {decision.mode}: {decision.mode_reason}"


def step_of(entry: JournalEntry) -> Step:
    """The step that an entry was journaled, and its price reserved, for."""
    return Step((entry.decision or "").partition(":")[0])


def mode_of(entry: JournalEntry) -> dispatch.Mode:
    """How soon its answer is wanted; of an entry without a word on it, at once."""
    told = (entry.decision or "").partition("; ")[2].partition(":")[0]
    return dispatch.Mode(told) if told else dispatch.Mode.SYNC
