"""Behaviours register by class, find their state by its type, and migrate it step by step."""

import sys
import types
from typing import Any

import pytest
from pydantic import BaseModel

from maestro.continuation.directive import Closing, Finish, Sleep
from maestro.continuation.goal import GoalFrame
from maestro.continuation.mail import Kind, Mail
from maestro.errors import InvalidInput, Unservable
from maestro.ids import ContinuationId, MailId, Rev, TenantId, TimeMs
from maestro.mesh.event import new_event
from maestro.tick.behaviour import Behaviour, NoState, Repertoire, migrated, state_of
from maestro.tick.birth import root_of
from maestro.tick.context import Tick
from maestro.tick.migration import RawState, migrates

CID = ContinuationId("0123456789abcdefghjkmn-0")


class Notes(BaseModel):
    seen: list[str] = []


class Plain(Behaviour[Notes]):
    version = 3

    @migrates(1)
    @staticmethod
    def _lists(state: RawState) -> RawState:
        return {"seen": [state["only"]]}

    @migrates(2)
    @staticmethod
    def _upper(state: RawState) -> RawState:
        seen = state["seen"]
        assert isinstance(seen, list)
        return {"seen": [str(word).upper() for word in seen]}


class Derived(Plain):
    name = "a-name_of.its-own"
    version = 4

    @migrates(3)
    @staticmethod
    def _marked(state: RawState) -> RawState:
        return {"seen": ["!"]}


class Stateless(Behaviour[NoState]):
    pass


def test_a_name_is_its_own_or_the_classes() -> None:
    assert (Plain.name, Derived.name, Stateless.name) == ("plain", "a-name_of.its-own", "stateless")


@pytest.mark.parametrize("name", ["", "two words", "-dash", "x" * 65, "a/b"])
def test_a_name_that_is_no_label_is_refused_where_it_is_written(name: str) -> None:
    with pytest.raises(InvalidInput, match="no valid behaviour"):
        type("Wrong", (Behaviour,), {"name": name})


def test_the_state_is_the_type_in_the_brackets_and_is_inherited() -> None:
    assert (Plain.State, Derived.State, Stateless.State) == (Notes, Notes, NoState)
    assert state_of(Plain, None) == Notes()
    assert state_of(Plain, {"seen": ["a"]}) == Notes(seen=["a"])


def test_a_state_that_does_not_fit_is_unservable_not_a_crash() -> None:
    with pytest.raises(Unservable, match="does not fit Notes"):
        state_of(Plain, {"seen": 5})


def test_migrations_run_one_after_the_other() -> None:
    assert migrated(Plain, {"only": "a"}, 1) == {"seen": ["A"]}
    assert migrated(Plain, {"seen": ["a"]}, 2) == {"seen": ["A"]}
    assert migrated(Plain, {"seen": ["a"]}, 3) == {"seen": ["a"]}
    assert migrated(Derived, {"only": "a"}, 1) == {"seen": ["!"]}


def test_what_has_no_state_yet_needs_no_migration() -> None:
    assert migrated(Plain, None, 1) is None


def test_a_newer_state_is_refused_by_older_code() -> None:
    with pytest.raises(Unservable, match="state has version 9, this code has 3"):
        migrated(Plain, {}, 9)


def test_a_missing_step_is_named() -> None:
    class Gap(Behaviour[Notes]):
        version = 2

    with pytest.raises(Unservable, match="no migration from version 1") as refused:
        migrated(Gap, {}, 1)
    assert refused.value.hint == "add @migrates(1) to Gap"


def test_a_failing_step_is_told_with_its_error() -> None:
    with pytest.raises(Unservable, match="migration from version 1 failed: KeyError: 'only'"):
        migrated(Plain, {"other": 1}, 1)


def test_a_repertoire_finds_by_name_and_says_what_it_knows() -> None:
    known = Repertoire([Plain, Stateless])
    assert known.find("plain") is Plain
    with pytest.raises(Unservable, match="no behaviour 'else' here; known: plain, stateless"):
        known.find("else")


def test_a_module_gives_its_behaviours(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("planted_behaviours")
    vars(module).update(Plain=Plain, Behaviour=Behaviour, something=5)
    monkeypatch.setitem(sys.modules, "planted_behaviours", module)
    assert Repertoire.load(["planted_behaviours"]).names == ("plain",)


def test_a_module_that_cannot_be_imported_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"cannot import .no[.]such[.]module."):
        Repertoire.load(["no.such.module"])


class Ear(Behaviour[Notes]):
    """Writes down which handler was called, and ends as the body of a message says."""

    async def start(self, tick: Tick[Notes]) -> Closing | None:
        return self._heard(tick, "start")

    async def on_event(self, tick: Tick[Notes], event: Any) -> Closing | None:
        return self._heard(tick, f"event {event.subject}")

    async def on_message(self, tick: Tick[Notes], message: Mail) -> Closing | None:
        self._heard(tick, "message")
        return Finish(result=message.body) if message.body else Sleep.until(7)

    async def on_timer(self, tick: Tick[Notes], timer_id: str) -> Closing | None:
        return self._heard(tick, f"timer {timer_id}")

    async def on_reply(self, tick: Tick[Notes], reply: Mail) -> Closing | None:
        return self._heard(tick, "reply")

    async def on_approval(self, tick: Tick[Notes], approval: Mail) -> Closing | None:
        return self._heard(tick, "approval")

    async def on_result(self, tick: Tick[Notes], result: Mail) -> Closing | None:
        return self._heard(tick, "result")

    async def on_child(self, tick: Tick[Notes], child: Mail) -> Closing | None:
        return self._heard(tick, "child")

    def _heard(self, tick: Tick[Notes], word: str) -> Closing | None:
        tick.state.seen.append(word)
        return None


def mail(kind: Kind, body: Any = None, correlation: str | None = None) -> Mail:
    return Mail(id=MailId("m"), kind=kind, sender="x", body=body, correlation=correlation, sent_ms=TimeMs(0))


async def heard(*inbox: Mail) -> tuple[list[str], Closing | None]:
    before = root_of(CID, TenantId("acme"), "ear", GoalFrame(goal="hear"), TimeMs(0))
    mindless: Any = None
    tick = Tick(before, Notes(), inbox, before_free(), mindless, Rev(1), TimeMs(0))
    closing = await Ear().run(tick)
    return tick.state.seen, closing


def before_free() -> Any:
    return None


async def test_each_kind_of_mail_has_its_handler() -> None:
    event = new_event("a.b", "event", "source.x", "k", None, TimeMs(0)).model_dump(mode="json")
    bodies = {Kind.EVENT: event, Kind.MESSAGE: "end"}
    order = [kind for kind in Kind if kind is not Kind.MESSAGE] + [Kind.MESSAGE]
    seen, closing = await heard(*(mail(kind, bodies.get(kind), "t") for kind in order))
    assert seen == ["start", "event a.b", "timer t", "reply", "approval", "result", "child", "message"]
    assert closing == Finish(result="end")


async def test_of_several_mails_the_last_answer_counts_and_an_end_ends_the_batch() -> None:
    assert await heard(mail(Kind.MESSAGE), mail(Kind.START)) == (["message", "start"], Sleep.until(7))
    assert (await heard(mail(Kind.MESSAGE, "end"), mail(Kind.START)))[0] == ["message"]


async def test_without_mail_nothing_is_called() -> None:
    assert await heard() == ([], None)
