"""Interruptions: a tick that cannot go on without a word from outside in its midst, and how it goes on with it.

    an effect needs a word -> Interrupted -> commit: journal kept, mail unread, the question is the wait
    the word comes -> the same tick again, with the same mail; at that effect the word is found by its call id

Two questions are asked so: may this tool be used (an approval), and did this call happen (a question), where an unsafe
tool was begun and nothing is known of how it ended. And so the answer to a model call is waited for that was placed
(maestro.tick.placing), and the end of a child that thinks in place of its parent (maestro.tick.apart).
Invariants: pure; until the word has come no line of the behaviour runs; what the continuation waited for before is kept
in the question, and goes on when the tick is over.

Source: PROMISES P8, P15; spec/04 section 6.
"""

from dataclasses import dataclass, replace
from typing import Literal

import orjson
from pydantic import JsonValue

from maestro.continuation.checkpoint import Checkpoint
from maestro.continuation.directive import Act
from maestro.continuation.lifecycle import Status
from maestro.continuation.mail import Kind, Mail
from maestro.continuation.wait import (
    ApprovalResolution,
    BudgetGrant,
    Children,
    ExternalResult,
    Interruption,
    UserReply,
    WaitFor,
    awaits_attention,
    wake_keys,
)
from maestro.ids import CallId, derived_token
from maestro.tick.store import Adopted

Asked = UserReply | ApprovalResolution | ExternalResult | Children

OUTCOME_TTL_MS = 24 * 3_600_000  # then it is escalated, and goes on being asked: it never expires by itself
ANSWERS = "yes [RESULT AS JSON] | no | again"


class Interrupted(BaseException):
    """A person is asked, or an answer waited for, before this tick goes on; nothing of it is committed.

    Derives from BaseException, so that a greedy `except Exception` in a behaviour is interrupted all the same.
    """

    def __init__(self, asked: Asked, acts: tuple[Act, ...] = ()) -> None:
        """The tick waits for `asked`; `acts`, none of them its behaviour's, are committed with that."""
        super().__init__(f"the tick waits in its midst: {asked}")
        self.asked = asked
        self.acts = acts


@dataclass(frozen=True, slots=True)
class Word:
    """What a person, or a child by its end, said in the midst of a tick."""

    says: Literal["yes", "no", "again", "unclear"]
    by: str = "person"
    result: JsonValue = None
    """What the call returned, as the person tells it; edited arguments, where an approval was edited; a child's result,
    or why it has none."""


def may_it(call: CallId, action: str, arguments: JsonValue) -> ApprovalResolution:
    """The wait for a person's yes or no to one call; without a word in time it is a no."""
    return ApprovalResolution(
        approval_id=derived_token("approval", call),
        action=action,
        arguments=arguments,
        on_timeout="deny",
        on_denied="resume",
        interrupts=Interruption(call_id=call),
    )


def did_it(call: CallId, action: str, arguments: JsonValue, unclear: str = "") -> UserReply:
    """The wait for what a person knows of one call.

    Args:
        unclear: the id of an answer that was none: asked again is another question.
    """
    told = orjson.dumps(arguments).decode()
    question = f"{action} was begun with {told}, and nobody knows whether it happened. Did it? Answer: {ANSWERS}"
    return UserReply(
        question_id=derived_token("outcome", call, *([unclear] if unclear else [])),
        question=question,
        ttl_ms=OUTCOME_TTL_MS,
        on_timeout="escalate",
        interrupts=Interruption(call_id=call),
    )


def interruption_of(wait: WaitFor | None) -> Asked | None:
    """The question that interrupts a tick, asked or still waiting for a person's attention; None where none does."""
    if isinstance(wait, BudgetGrant) and awaits_attention(wait):
        wait = wait.then
    return wait if isinstance(wait, Asked) and wait.interrupts is not None else None


def answers_to(asked: Asked, mail: tuple[Mail, ...]) -> tuple[tuple[int, Mail], ...]:
    """What came in answer, with its positions in the mailbox."""
    keys = wake_keys(asked)
    return tuple((place, letter) for place, letter in enumerate(mail) if letter.wake_key in keys)


def went_on(
    before: Checkpoint, adopted: Adopted, asked: Asked, answer: Mail
) -> tuple[Checkpoint, Adopted, dict[str, Word]]:
    """What the interrupted tick had in hand, and what a person says of the call that it was asked about."""
    interrupts = asked.interrupts or Interruption(call_id="")
    then = interrupts.then
    keys = () if then is None else wake_keys(then)
    words = {interrupts.call_id: word_of(answer)}
    return before.model_copy(update={"wait": then}), replace(adopted, wake_keys=keys), words


def to_be_asked(asked: Asked, waited: WaitFor | None) -> Asked:
    """The question, with what the continuation waited for before it."""
    call = "" if asked.interrupts is None else asked.interrupts.call_id
    return asked.model_copy(update={"interrupts": Interruption(call_id=call, then=waited)})


def word_of(mail: Mail) -> Word:
    """What a reply, an approval or a child's end says."""
    body = mail.body if isinstance(mail.body, dict) else {}
    by = str(body.get("by", mail.sender))
    if mail.kind is Kind.CHILD:
        well = body.get("status") == Status.COMPLETED
        return Word("yes" if well else "no", by, body.get("result") if well else body.get("reason"))
    if "decision" in body:
        said = body["decision"]
        return Word("no" if said == "denied" else "yes", by, body.get("arguments") if said == "edited" else None)
    said, _, rest = str(body.get("text", "")).strip().partition(" ")
    match said.lower():
        case "yes":
            return Word("yes", by, _result(rest.strip()))
        case "no":
            return Word("no", by)
        case "again":
            return Word("again", by)
        case _:
            return Word("unclear", by)


def _result(text: str) -> JsonValue:
    """JSON as it is; anything else as text; None where nothing is said."""
    if not text:
        return None
    try:
        told: JsonValue = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    return told
