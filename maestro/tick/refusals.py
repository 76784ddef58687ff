"""What becomes of a tick whose model call was refused for good: asked again blindly it would be refused again.

    the key is refused        a person is asked; the pager leaves that target alone meanwhile
    the request is refused    a person is asked, with the provider's own text
    the content is refused    a person is asked; or the finding is marked, and the continuation goes on

Each behaviour may say otherwise, see `Behaviour.on_refusal`. Pure.
Source: spec/05 section 8, P-28.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from maestro.continuation.checkpoint import Checkpoint
from maestro.continuation.directive import Fail, Report
from maestro.continuation.finding import Finding
from maestro.continuation.lifecycle import Hold
from maestro.continuation.mail import Mail
from maestro.errors import AuthRefused, BadRequest, ContentPolicy, TerminalModelError
from maestro.tick.transition import Transition
from maestro.tick.verdict import same_wait

Answer = Literal["ask", "fail", "mark", "retry"]
"""Held until a person has looked; failed; a finding says so, and it goes on without; tried again like any failure."""
_TITLE = 500


@dataclass(frozen=True, slots=True)
class Refusals:
    """How a behaviour answers refusals that it does not catch."""

    auth: Answer = "ask"
    bad_request: Answer = "ask"
    content_policy: Answer = "ask"

    def to(self, error: TerminalModelError) -> Answer:
        """The answer to `error`; what is no refusal of these kinds is tried again."""
        match error:
            case AuthRefused():
                return self.auth
            case BadRequest():
                return self.bad_request
            case ContentPolicy():
                return self.content_policy
            case _:
                return "retry"


NO_RETRY = Refusals()


def after_refusal(answer: Answer, told: str, before: Checkpoint, inbox: Sequence[Mail]) -> Transition | None:
    """The end of the tick that `answer` means; None where it is tried again.

    Args:
        told: what the provider said.
        inbox: what the tick was about; it is read, unless the continuation is held.
    """
    match answer:
        case "ask":
            return Transition(before.state, (), same_wait(before), hold=Hold.QUARANTINED, hold_detail=told)
        case "fail":
            return Transition(before.state, (), Fail(reason=told))
        case "mark":
            marked = Finding(title=f"not answered: {told}"[:_TITLE], body=told)
            return Transition(before.state, (Report(finding=marked),), same_wait(before, inbox))
        case "retry":
            return None
