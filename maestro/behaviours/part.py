"""A part of a parent's thinking: one thought, asked word for word, and the end.

Nobody starts it: the policy kernel decides that a child does a large independent part, and the mind begets it
(maestro.tick.apart). What can be tried later is tried later, as in any tick; what cannot is told to the parent.
"""

from maestro.continuation.directive import Closing, Finish
from maestro.errors import AnswerLost, TerminalModelError
from maestro.tick import apart
from maestro.tick.behaviour import Behaviour, NoState
from maestro.tick.context import Tick


class Part(Behaviour[NoState]):
    """Thinks what its input says, and ends with the answer or with its failure."""

    name = apart.PART
    offered = False

    async def start(self, tick: Tick[NoState]) -> Closing | None:
        try:
            return Finish(result=apart.outcome(await tick.ponder(apart.Part.model_validate(tick.about.input).thought)))
        except (TerminalModelError, AnswerLost) as error:
            return Finish(result=apart.outcome(error))
