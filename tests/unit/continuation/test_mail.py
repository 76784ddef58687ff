"""Mail: lanes, the order of reading, numbers, sizes and times."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro.continuation.mail import (
    BODY_LIMIT_BYTES,
    Control,
    Kind,
    Lane,
    Mail,
    check_body,
    expiry,
    in_lanes,
    reading_order,
)
from maestro.errors import InvalidInput
from maestro.ids import MailId, TimeMs

KINDS = (Kind.MESSAGE, Kind.EVENT, Kind.CHILD, Kind.APPROVAL, Kind.TIMER)
MAILS = st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from("abc")), max_size=12)


def mail(kind: Kind, sender: str = "a", subject: str = "", id_: str = "m") -> Mail:
    return Mail(id=MailId(id_), kind=kind, sender=sender, subject=subject, sent_ms=TimeMs(1))


def test_lanes_are_kill_stop_exit_control_mail() -> None:
    orders = [mail(Kind.CONTROL, subject=subject) for subject in (Control.KILL, Control.CANCEL)]
    rest = [mail(kind) for kind in (Kind.CHILD, Kind.CONTROL, Kind.APPROVAL, Kind.MESSAGE, Kind.EVENT, Kind.START)]
    assert [one.lane for one in (*orders, *rest)] == [
        Lane.KILL, Lane.STOP, Lane.EXIT, Lane.CONTROL, Lane.CONTROL, Lane.MAIL, Lane.MAIL, Lane.MAIL,
    ]  # fmt: skip
    assert list(Lane) == sorted(Lane)
    assert in_lanes(reversed(orders)) == tuple(orders)


def test_what_a_child_wrote_before_its_end_is_read_before_its_end() -> None:
    unread = [mail(Kind.MESSAGE, "b"), mail(Kind.MESSAGE), mail(Kind.APPROVAL, "p"), mail(Kind.CHILD), mail(Kind.EVENT)]
    assert reading_order(unread) == [1, 3, 2, 0, 4]


@given(MAILS)
def test_each_senders_words_keep_their_order_up_to_its_end_and_nothing_is_left_out(
    drawn: list[tuple[Kind, str]],
) -> None:
    unread = [mail(kind, sender) for kind, sender in drawn]
    order = reading_order(unread)
    assert sorted(order) == list(range(len(unread)))
    ends = {sender: place for place, (kind, sender) in enumerate(drawn) if kind is Kind.CHILD}
    for sender, end in ends.items():
        before = [place for place in order if unread[place].sender == sender and place <= end]
        assert before == sorted(before)
    free = [place for place in order if unread[place].sender not in ends]
    assert all(unread[one].lane <= unread[other].lane for one, other in pairwise(free))


def test_a_sending_continuation_numbers_its_mail_and_nobody_else_does() -> None:
    assert mail(Kind.MESSAGE, "cid-0", id_="cid-0:3:2").sequence == 300_002
    numbers = [mail(Kind.CHILD, "c-0", id_=f"c-0:{rev}:{ordinal}").sequence for rev, ordinal in ((1, 20_000), (2, 0))]
    assert numbers == [120_000, 200_000]
    for other in (
        mail(Kind.EVENT, "cid-0", id_="cid-0:3:2"),
        mail(Kind.MESSAGE, "person", id_="mail-x"),
        mail(Kind.MESSAGE, "timer", id_="timer:wake:12"),
        mail(Kind.MESSAGE, "other", id_="cid-0:3:2"),
    ):
        assert other.sequence is None


def test_only_mails_of_one_sender_supersede_one_another() -> None:
    named = [mail(Kind.MESSAGE, sender).model_copy(update={"supersedes": "price"}) for sender in ("a", "a", "b")]
    assert named[0].tag == named[1].tag != named[2].tag
    assert mail(Kind.MESSAGE).tag is None


@pytest.mark.spec("02.12")
@pytest.mark.spec("04.14")
def test_a_body_too_large_or_no_json_is_refused_with_what_to_do() -> None:
    assert check_body("x" * (BODY_LIMIT_BYTES - 2)) is not None
    with pytest.raises(InvalidInput, match="at most 262144 are taken") as large:
        check_body("x" * BODY_LIMIT_BYTES)
    assert (large.value.field, large.value.hint) == ("body", "store large material and send a reference to it")
    with pytest.raises(InvalidInput, match="not writable as JSON"):
        check_body({1, 2})  # type: ignore[arg-type]


def test_an_expiry_lies_ahead_and_within_ten_years() -> None:
    assert (expiry(TimeMs(5), None), expiry(TimeMs(5), 10)) == (None, 15)
    for wrong in (0, -1, 400_000_000_000):
        with pytest.raises(InvalidInput, match="cannot expire in"):
            expiry(TimeMs(5), wrong)
