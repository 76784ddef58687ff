"""A bounded turn as a continuation: what its state holds, and how it begins.

Invariants: its behaviour is the reserved name `turn`, in a pool of that name which no actor serves: only whoever has
the harness adopts from it; what the last turn left (state, metadata, content) is kept as that turn's result, once.
"""

from pydantic import BaseModel, ConfigDict, TypeAdapter

from maestro.continuation.checkpoint import Checkpoint
from maestro.continuation.directive import Closing, Sleep
from maestro.continuation.wait import WaitFor
from maestro.ids import MailId, TimeMs
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from maestro.turns.records import Delivery, HarnessResult

POOL = "turn"
APPLIED_KEPT = 256  # names of triggers that had their effect; older ones are told apart by the wait they were meant for
_WAIT: TypeAdapter[WaitFor] = TypeAdapter(WaitFor)


class TurnState(BaseModel):
    """The state of the behaviour `turn`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    assistant_id: str = ""
    session_id: str = ""
    origin_turn_id: str = ""
    last: HarnessResult | None = None
    """What the last turn yielded; at first, the turn that it began as."""
    applied: tuple[str, ...] = ()
    """The names of the triggers that had their effect, the newest last."""
    resumed_at_ms: TimeMs | None = None
    wake_up_id: str | None = None
    deliverable: bool = False
    """True when there was somebody to deliver its result."""
    delivery: Delivery = Delivery()


class TurnBirth(BaseModel):
    """The input of the behaviour `turn`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: TurnState
    wait: WaitFor


class Turn(Behaviour[TurnState]):
    """One that can begin, and be stopped; whoever resumes it brings the harness."""

    name = "turn"
    pool = POOL
    offered = False

    async def start(self, tick: Tick[TurnState]) -> Closing | None:
        birth = TurnBirth.model_validate(tick.about.input)
        tick.state = birth.state
        return Sleep(wait=birth.wait)


def turn_state(checkpoint: Checkpoint) -> TurnState | None:
    """The state of a turn, also of one that has not begun yet; None for every other continuation."""
    if checkpoint.behaviour != Turn.name:
        return None
    if checkpoint.state is None:
        return TurnBirth.model_validate(checkpoint.input).state
    return TurnState.model_validate(checkpoint.state)


def delivery_key(checkpoint: Checkpoint) -> str:
    """The idempotency key of the one delivery of a continuation's end."""
    return MailId(f"delivery:{checkpoint.id}")
