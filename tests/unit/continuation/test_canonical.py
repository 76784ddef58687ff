"""Canonical bytes: what has its default is left out, and what is read back is what was written."""

from typing import Any, Literal

import orjson
import pytest
from pydantic import BaseModel, ConfigDict, JsonValue, RootModel

from maestro.continuation.canonical import canonical
from maestro.continuation.checkpoint import Checkpoint, Child, LogRecord, digest, replay
from maestro.continuation.directive import Interest
from maestro.continuation.goal import GoalFrame
from maestro.continuation.lifecycle import Hold, Status
from maestro.continuation.wait import AnyOf, BudgetGrant, StreamEvent, UserReply
from maestro.errors import IntegrityError
from maestro.ids import ContinuationId, Epoch, Rev, TenantId, TimeMs
from maestro.tick.birth import root_of

ME = ContinuationId("0123456789abcdefghjkma-0")
BORN = root_of(ME, TenantId("acme"), "scout", GoalFrame(goal="read"), TimeMs(1_000))
FULL = BORN.model_copy(
    update={
        "name": "n",
        "status": Status.FAILED,
        "hold": Hold.FROZEN,
        "depth": 2,
        "children": {ME: Child(behaviour="reader", status=Status.COMPLETED)},
        "wait": AnyOf(
            waits=(StreamEvent(), BudgetGrant(resource="usd", then=UserReply(question_id="q", question="?")))
        ),
        "interests": (Interest(id="i", pattern="a.>", relevance=0.5), Interest(id="j", pattern="b")),
        "timers": {"t": TimeMs(0)},
        "state": {"a": [0, -0.0, 1.5, None, ""]},
    }
)


class Tagged(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["tagged"] = "tagged"
    either: Literal["a", "b"] = "a"
    needed: int
    value: JsonValue = 0
    many: dict[str, int] = {}


class Later(Tagged):
    """The same, as a later version of us knows it."""

    added: tuple[str, ...] = ()


class Rooted(RootModel[dict[str, int]]):
    pass


class Holder(BaseModel):
    rooted: Rooted


@pytest.mark.parametrize("checkpoint", [BORN, FULL], ids=["born", "full"])
def test_what_is_read_back_is_what_was_written(checkpoint: Checkpoint) -> None:
    body = checkpoint.body()
    assert Checkpoint.model_validate_json(body) == checkpoint
    assert Checkpoint.model_validate_json(body).body() == body
    assert orjson.dumps(orjson.loads(body), option=orjson.OPT_SORT_KEYS) == body


def test_fields_without_a_default_and_tags_are_always_written() -> None:
    assert canonical(Tagged(needed=0)) == b'{"needed":0,"type":"tagged"}'
    assert b'"schema_version":1' in BORN.body()
    assert b'"type":"stream_event"' in FULL.body()


def test_a_field_that_is_added_with_a_default_changes_no_byte() -> None:
    assert canonical(Later(needed=1, many={"a": 2})) == canonical(Tagged(needed=1, many={"a": 2}))


@pytest.mark.parametrize(("value", "written"), [(0, False), (False, True), (0.0, True), (None, True), ("", True)])
def test_only_the_very_default_is_left_out(value: Any, written: bool) -> None:
    """Zero, false and 0.0 are equal in Python, and three things in JSON."""
    assert (b'"value"' in canonical(Tagged(needed=1, value=value))) is written


def test_a_shape_that_is_one_value_is_that_value() -> None:
    assert canonical(Holder(rooted=Rooted({"usd": 1}))) == b'{"rooted":{"usd":1}}'


def test_replay_trusts_the_bytes_not_what_would_be_written_today() -> None:
    """A body of another schema: a default that was written out, in another order of fields, replays all the same."""
    body = {**orjson.loads(BORN.body()), "children": {}, "depth": 0}
    record = LogRecord(
        cid=ME,
        tenant=BORN.tenant,
        rev=Rev(0),
        epoch=Epoch(0),
        behaviour="scout",
        behaviour_version=1,
        started_at_ms=TimeMs(1_000),
        reason="born",
        state_hash=digest(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)),
        previous_hash="0" * 64,
        patch=[[[name], value] for name, value in sorted(body.items())],
    )
    written_out = orjson.dumps(record.model_dump(mode="json"))
    assert replay([written_out]) == BORN
    with pytest.raises(IntegrityError, match="does not lead to its state hash"):
        replay([written_out.replace(b'"read"', b'"rEad"')])
