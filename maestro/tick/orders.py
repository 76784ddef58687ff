"""Orders: what control mail makes of a continuation before any of its code runs.

    kill     it ends as it is; no user code; goes before everything, and through every freeze
    merge    it ends as it is, and leaves all it has to another
    cancel   it ends after one try of its behaviour to clean up
    adopted  a child of somebody who ended is its own now
    edited   its context is shown as a person has decided

Pure. What is not here: how an order gets into the mailbox (runtime/verbs).

Source: spec/01 section 8.
"""

from collections.abc import Sequence
from typing import cast

from pydantic import JsonValue

from maestro.continuation.checkpoint import Checkpoint, Child
from maestro.continuation.directive import EditField, Fail, OnParentEnd
from maestro.continuation.edits import changed
from maestro.continuation.lifecycle import STOP_STATUS
from maestro.continuation.mail import ENDING, Control, Kind, Mail
from maestro.ids import ContinuationId, MailId
from maestro.tick.steering import HEIRLESS
from maestro.tick.store import Adopted, Heir
from maestro.tick.transition import Transition

FATES: dict[str, OnParentEnd] = {"stop": "linked", "orphan": "detached", "adopt": "adopt_up"}
"""What `stop(children=...)` says, as what children are spawned with."""


def as_it_stands(before: Checkpoint, adopted: Adopted) -> Checkpoint:
    """The checkpoint with what has changed around it: whose child it is now, whose parent, how its context is shown."""
    before = _edited(before, adopted.controls)
    told = [_body(mail) for mail in adopted.controls if mail.subject == Control.ADOPTED]
    joined = {
        ContinuationId(str(body["child"])): Child.model_validate({k: v for k, v in body.items() if k != "child"})
        for body in told
    }
    if not joined and adopted.parent == before.parent:
        return before
    return before.model_copy(update={"parent": adopted.parent, "children": {**before.children, **joined}})


def _edited(before: Checkpoint, controls: Sequence[Mail]) -> Checkpoint:
    """The checkpoint with the edits that people have ordered."""
    edits = before.edits
    for mail in controls:
        if mail.subject == Control.EDITED:
            edits = changed(edits, EditField.model_validate({"type": "edit_field", **_body(mail)}).changes)
    return before if edits == before.edits else before.model_copy(update={"edits": edits})


def order_to_end(controls: Sequence[Mail], last_error: str | None = None) -> Mail | None:
    """The order that ends it, if one is there; a merge whose heir has ended is none."""
    orders = [mail for mail in controls if mail.subject in ENDING]
    if last_error is not None and last_error.startswith(HEIRLESS):
        orders = [mail for mail in orders if mail.subject != Control.MERGE]
    return min(orders, key=lambda mail: ENDING.index(Control(mail.subject)), default=None)


def thawed(controls: Sequence[Mail]) -> bool:
    """True when somebody lifts its hold."""
    return any(mail.subject == Control.THAW for mail in controls)


def ended_by(order: Mail, before: Checkpoint) -> Transition:
    """The end that `order` asks for: nothing is decided by the behaviour, the state stays."""
    body = _body(order)
    if order.subject == Control.MERGE:
        return _merged(before, body)
    said, asked = body.get("reason"), body.get("stop_reason")
    reason = asked or (said if said in STOP_STATUS else None) or "cancelled_by_user"
    closing = Fail(reason=f"{order.subject} by {order.sender}" + (f": {said}" if said else ""))
    return Transition(before.state, (), closing, stop_reason=str(reason), children=FATES.get(str(body.get("children"))))


def _merged(before: Checkpoint, body: dict[str, JsonValue]) -> Transition:
    """Completed, and all that it has is its heir's: the mail holds its state and the one that both once had."""
    into = ContinuationId(str(body["into"]))
    state: JsonValue = {"state": before.state, "version": before.behaviour_version, "at_ms": before.updated_at_ms}
    left = {**cast("dict[str, JsonValue]", state), "base": body.get("base"), "base_version": body.get("base_version")}
    legacy = Mail(
        id=MailId(f"merge:{before.id}"),
        kind=Kind.MERGE,
        sender=before.id,
        subject=before.behaviour,
        body=left,
        correlation=before.id,
        sent_ms=before.updated_at_ms,
    )
    paid = legacy.model_copy(update={"id": MailId(f"merge:{before.id}:money"), "kind": Kind.CONTROL, "body": None})
    letters = (paid.model_copy(update={"subject": Control.GRANTED, "correlation": None}), legacy)
    heir = Heir(into, ContinuationId(str(body["root"])), letters)
    closing = Fail(reason=f"merged:{into}")
    return Transition(before.state, (), closing, stop_reason="completed", heir=heir)


def _body(mail: Mail) -> dict[str, JsonValue]:
    return mail.body if isinstance(mail.body, dict) else {}
