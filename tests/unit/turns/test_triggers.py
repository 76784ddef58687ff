"""Triggers and the mail that carries them."""

from typing import Any

import pytest
from pydantic import TypeAdapter

from maestro.continuation.mail import Kind, Mail
from maestro.ids import ContinuationId, MailId, TimeMs
from maestro.turns.triggers import ContinuationResumeTrigger, Trigger, about, mail_for, meant_for, name_of, trigger_in

CID = ContinuationId("0" * 22 + "-0")
ANY: TypeAdapter[Trigger] = TypeAdapter(ContinuationResumeTrigger)
ALL: list[tuple[dict[str, Any], str | None]] = [
    ({"type": "user_reply", "message": {"id": "m", "text": "blue"}, "receivedAt": "2026-01-31T12:00:00Z"}, None),
    ({"type": "approval_resolution", "approvalId": "A1", "decision": "edited", "payload": {"to": "us"}}, "A1"),
    ({"type": "external_result", "operation_id": "O1", "payload": [1]}, "O1"),
    ({"type": "scheduled_wake", "wakeUpId": "W1"}, "wake"),
    ({"type": "stream_event", "subscription_id": "s1", "stream": "arxiv"}, "s1"),
    ({"type": "children", "child_id": "c1", "status": "completed"}, "c1"),
    ({"type": "budget", "resource": "usd"}, None),
]


@pytest.mark.parametrize(("written", "names"), ALL, ids=lambda p: p["type"] if isinstance(p, dict) else "")
def test_a_trigger_comes_out_of_its_mail_as_it_went_in(written: dict[str, Any], names: str | None) -> None:
    trigger = ANY.validate_python({"id": "T1", **written})
    assert about(trigger) == names
    mail = mail_for(trigger, CID, 3, names, TimeMs(5))
    assert trigger_in(Mail.model_validate_json(mail.model_dump_json())) == ("T1", trigger)


def test_the_same_trigger_for_the_same_turn_is_the_same_mail_and_for_a_later_turn_another() -> None:
    trigger = ANY.validate_python(ALL[0][0] | {"id": "T1"})
    mails = [mail_for(trigger, CID, turn, None, TimeMs(at)) for turn, at in ((1, 5), (1, 6), (2, 6))]
    assert mails[0].id == mails[1].id != mails[2].id
    assert [meant_for(mails[0], turn) for turn in (1, 2)] == [True, False]


def test_a_trigger_without_a_name_is_named_by_what_it_is_about() -> None:
    for written, _ in ALL[:4]:
        assert name_of(ANY.validate_python(written)) == name_of(ANY.validate_python(written))
    nameless = [name_of(ANY.validate_python({"type": "scheduled_wake"})) for _ in range(2)]
    assert nameless[0] != nameless[1]
    assert name_of(ANY.validate_python(ALL[0][0] | {"id": "T1"})) == "T1"


@pytest.mark.parametrize(
    ("kind", "body", "type_"),
    [
        (Kind.REPLY, {"text": "blue"}, "user_reply"),
        (Kind.MESSAGE, "blue", "user_reply"),
        (Kind.APPROVAL, {"decision": "approved", "by": "ada"}, "approval_resolution"),
        (Kind.RESULT, {"rows": 3}, "external_result"),
        (Kind.TIMER, {"due_ms": 7}, "scheduled_wake"),
        (Kind.CHILD, {"status": "completed", "result": 1}, "children"),
        (Kind.EVENT, {"subject": "x"}, "stream_event"),
    ],
)
def test_mail_from_elsewhere_reads_as_the_trigger_that_it_means(kind: Kind, body: Any, type_: str) -> None:
    mail = Mail(id=MailId("m1"), kind=kind, sender="person", body=body, correlation="x", sent_ms=TimeMs(5))
    name, trigger = trigger_in(mail)
    assert (name, trigger.type) == ("m1", type_)
    assert meant_for(mail, 9)
    if trigger.type == "user_reply":
        assert trigger.message.text == "blue"
