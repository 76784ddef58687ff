"""What a behaviour may do: directives are noted, checked at once, and named alike in every try."""

from typing import Any

import pytest
from pydantic import BaseModel, JsonValue

from maestro.budget.vector import BudgetVector
from maestro.continuation.checkpoint import Checkpoint, Child
from maestro.continuation.directive import Grant, Publish, Report, Send, SetTimer, Spawn, Subscribe
from maestro.continuation.edits import Edits
from maestro.continuation.finding import Finding
from maestro.continuation.goal import GoalFrame
from maestro.continuation.mail import Kind, Mail
from maestro.continuation.wait import ApprovalResolution, StreamEvent
from maestro.errors import BudgetExceededError, InvalidInput, MalformedAnswer
from maestro.ids import ContinuationId, MailId, Rev, TenantId, TimeMs
from maestro.tick.behaviour import Behaviour, NoState
from maestro.tick.birth import root_of
from maestro.tick.context import MAX_SPAWNS, Tick
from maestro.tick.mindless import Mindless
from maestro.tick.thought import Thought
from maestro.tick.using import Use

ME, KID = ContinuationId("0123456789abcdefghjkmn-0"), ContinuationId("0123456789abcdefghjkmp-0")
FREE = BudgetVector({"usd": 100, "tokens": 1_000})
BEFORE = root_of(ME, TenantId("acme"), "scout", GoalFrame(goal="test"), TimeMs(5)).model_copy(
    update={"children": {KID: Child(behaviour="reader")}}
)


class Parrot(Mindless):
    """A mind that gives one answer and remembers the questions."""

    def __init__(self, answer: str = "polly") -> None:
        super().__init__("a parrot has no tools", hint="ask it something")
        self.asked: list[Thought] = []
        self._answer = answer

    async def think(self, thought: Thought) -> str:
        self.asked.append(thought)
        return self._answer

    async def top(self, n: int, edits: Edits | None = None) -> list[Any]:
        return []

    async def use(self, wish: Use) -> JsonValue:
        raise AssertionError(f"nobody here uses {wish.name}")

    async def settled(self) -> None:
        return


def tick(before: Checkpoint = BEFORE, rev: int = 3, now_ms: int = 50, mind: Parrot | None = None) -> Tick[NoState]:
    return Tick(before, NoState(), (), FREE, mind or Parrot(), Rev(rev), TimeMs(now_ms))


def usd(amount: int) -> BudgetVector:
    return BudgetVector({"usd": amount})


class Placed(Behaviour[NoState]):
    pool = "swarm"


def test_children_are_named_alike_in_every_try_and_differently_in_every_place() -> None:
    first, again, next_tick = tick(now_ms=50), tick(now_ms=9_000), tick(rev=4)
    names = [[t.spawn("reader", goal="g", budget=usd(1)) for _ in range(2)] for t in (first, again, next_tick)]
    assert names[0] == names[1]
    assert len({*names[0], *names[2]}) == 4


def test_a_directive_between_two_spawns_changes_no_name() -> None:
    plain, busy = tick(), tick()
    names = [plain.spawn("reader", goal="g", budget=usd(1)) for _ in range(2)]
    one = busy.spawn("reader", goal="g", budget=usd(1))
    busy.publish("a.b")
    assert [one, busy.spawn("reader", goal="g", budget=usd(1))] == names


def test_a_child_goes_where_its_behaviour_belongs() -> None:
    t = tick()
    t.spawn(Placed, goal="g", budget=usd(1))
    child = t.spawn(Placed, goal="g", budget=usd(1), pool="dedicated")
    assert [(a.behaviour, a.pool) for a in t.acts if isinstance(a, Spawn)] == [
        ("placed", "swarm"),
        ("placed", f"dedicated-{child}"),
    ]


@pytest.mark.parametrize("wrong", [{"behaviour": "two words"}, {"behaviour": "reader", "pool": "a b"}])
def test_a_child_of_a_wrong_name_is_refused_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        tick().spawn(**wrong, goal="g", budget=usd(1))


def test_what_is_promised_to_children_is_not_free_any_more() -> None:
    t = tick()
    t.spawn("reader", goal="g", budget=usd(60))
    t.grant(KID, usd(30))
    assert t.budget == BudgetVector({"usd": 10, "tokens": 1_000})
    assert t.budget.share(0.5) == BudgetVector({"usd": 5, "tokens": 500})


def test_more_than_is_left_is_refused_with_the_fix_and_nothing_is_noted() -> None:
    t = tick()
    t.spawn("reader", goal="g", budget=usd(60))
    with pytest.raises(BudgetExceededError, match="cannot lend 50 usd: only 40 free") as refused:
        t.spawn("reader", goal="g", budget=usd(50))
    assert refused.value.hint == f"lend less, or `maestro rebudget {ME} usd=+10`"
    assert (refused.value.facts["asked"], refused.value.facts["free"], len(t.acts)) == (50, 40, 1)
    with pytest.raises(BudgetExceededError):
        t.grant(KID, usd(41))


def test_grants_are_for_children() -> None:
    with pytest.raises(InvalidInput, match="is no child of"):
        tick().grant(ME, usd(1))


def test_a_tick_has_so_many_children_and_no_more() -> None:
    t = tick()
    for _ in range(MAX_SPAWNS):
        t.spawn("reader", goal="g", budget=usd(0))
    with pytest.raises(InvalidInput, match="more than 16 children in one tick"):
        t.spawn("reader", goal="g", budget=usd(0))


def test_publishing_takes_findings_and_subjects() -> None:
    t = tick()
    t.publish(Finding(title="it holds"))
    t.publish("news.today", {"a": 1})
    t.publish("news.today", {"a": 1})
    t.publish("news.today", key="mine")
    finding, first, second, own = t.acts
    assert isinstance(finding, Report)
    assert isinstance(first, Publish)
    assert isinstance(second, Publish)
    assert isinstance(own, Publish)
    assert first.key != second.key, "two acts are two events"
    assert own.key == "mine"
    again = tick()
    again.publish(Finding(title="it holds"))
    again.publish("news.today", {"a": 1})
    assert again.acts[1] == first


@pytest.mark.parametrize(
    "act",
    [
        lambda t: t.publish("not a subject"),
        lambda t: t.subscribe(""),
        lambda t: t.subscribe("a.>.b"),
        lambda t: t.send("nobody", 1),
        lambda t: t.set_timer("a b", 5),
        lambda t: t.set_timer("wake", 5),
        lambda t: t.set_timer("!retry", 5),
    ],
)
def test_what_is_malformed_is_refused_where_it_is_written(act: Any) -> None:
    t = tick()
    with pytest.raises(InvalidInput):
        act(t)
    assert t.acts == ()


def test_an_interest_is_named_by_its_pattern() -> None:
    t = tick()
    one, two = t.subscribe("a.*"), tick(rev=9).subscribe("a.*", relevance=0.4)
    assert one == two
    assert isinstance(t.acts[0], Subscribe)


def test_sends_and_timers_are_noted_in_order() -> None:
    t = tick()
    t.send(KID, {"n": 1}, subject="hi")
    t.set_timer("later", 77)
    assert t.acts == (Send(to=KID, subject="hi", body={"n": 1}), SetTimer(timer_id="later", due_ms=TimeMs(77)))
    t.grant(KID, usd(1))
    assert isinstance(t.acts[-1], Grant)


class Verdict(BaseModel):
    relevant: bool


async def test_a_thought_comes_as_text_or_as_its_schema() -> None:
    mind = Parrot('{"relevant": true}')
    assert await tick(mind=mind).think("why?") == '{"relevant": true}'
    assert await tick(mind=mind).think("why?", schema=Verdict, about="it") == Verdict(relevant=True)
    assert [(t.question, t.about, t.step) for t in mind.asked] == [("why?", "", "sonnet"), ("why?", "it", "sonnet")]
    assert mind.asked[0].key != mind.asked[1].key


async def test_an_answer_that_does_not_fit_is_a_malformed_answer() -> None:
    with pytest.raises(MalformedAnswer, match="does not fit Verdict"):
        await tick(mind=Parrot('{"relevant": "perhaps"}')).think("why?", schema=Verdict)


def test_the_same_action_goes_on_being_asked_under_the_same_id() -> None:
    asked = tick(rev=3).ask_approval("buy", {"usd": 5}).wait
    assert isinstance(asked, ApprovalResolution)
    assert tick(rev=3).ask_approval("buy", {"usd": 5}).wait == asked
    waiting = BEFORE.model_copy(update={"wait": asked})
    assert tick(waiting, rev=4).ask_approval("buy", {"usd": 5}).wait == asked
    other = tick(waiting, rev=4).ask_approval("buy", {"usd": 6}).wait
    later = tick(BEFORE.model_copy(update={"wait": StreamEvent()}), rev=4).ask_approval("buy", {"usd": 5}).wait
    assert isinstance(other, ApprovalResolution)
    assert isinstance(later, ApprovalResolution)
    assert len({asked.approval_id, other.approval_id, later.approval_id}) == 3, "an approval fits nothing else"


class Answering(Behaviour[NoState]):
    async def on_message(self, tick: Tick[NoState], message: Mail) -> None:
        tick.send(KID, message.body)
        tick.publish("heard", key=message.id)


async def test_what_a_handler_writes_is_because_of_its_mail_alone() -> None:
    read = [Mail(id=MailId(name), kind=Kind.MESSAGE, sender="x", body=name, sent_ms=TimeMs(1)) for name in ("a", "b")]
    busy = Tick(BEFORE, NoState(), read, FREE, Parrot(), Rev(3), TimeMs(50))
    await Answering().run(busy)
    busy.send(KID, "and to all of you")
    causes = [act.cause for act in busy.acts if isinstance(act, Send | Publish)]
    assert causes == ["a", "a", "b", "b", None]
