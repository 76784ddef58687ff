"""Tools in a tick: journaled, priced, guarded, and never a second time what may only happen once."""

from dataclasses import replace

import pytest
from pydantic import JsonValue

from maestro.budget.vector import BudgetVector
from maestro.continuation.directive import Closing, Sleep
from maestro.continuation.wait import ApprovalResolution, UserReply
from maestro.ids import Partition
from maestro.runtime import steer, verbs
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from maestro.tick.runner import run
from maestro.tools.registry import Toolbox
from tests.stage import ALICE, Stage
from tests.unit.tick.tool_users import CALLS, UNDER_WAY, Told, User, asked, dies, fetch, outcomes, pay, stage, started

__all__ = ["stage"]


async def test_an_outcome_is_journaled_and_a_repeated_tick_is_given_it(stage: Stage) -> None:
    cid = await started(stage, ["double", {"n": 4}], ["post", {"text": "x"}])
    adopted = await stage.taken()
    await run(adopted, stage.around)  # never committed: the process died before it could
    await stage.backend.leases.reclaim(ALICE, Partition(0))
    await stage.settle()

    told = await outcomes(stage, cid)
    assert told[0] == 8
    assert (CALLS["double"], CALLS["post"]) == (1, 1)
    record = (await verbs.records(stage.at, cid))[-1]
    assert [(effect.kind, effect.outcome, effect.decision) for effect in record.effects] == [
        ("tool", "answered", "pure: allowed"),
        ("tool", "answered", "keyed: allowed"),
    ]


async def test_a_keyed_tool_is_called_again_with_the_same_key(stage: Stage) -> None:
    cid = await started(stage, ["post", {"text": "abyss"}])
    await dies(stage)
    await stage.settle()

    (key,) = await outcomes(stage, cid)
    assert CALLS["post"] == 2
    assert CALLS[key] == 2
    assert key.startswith(f"{cid}:call-")


async def test_an_unsafe_tool_of_unknown_outcome_is_a_question_and_never_a_second_call(stage: Stage) -> None:
    cid = await started(stage, ["pay", {"to": "the abyss", "cents": 5}])
    await dies(stage)
    await stage.settle()

    question = await asked(stage, cid)
    assert isinstance(question, UserReply)
    assert "pay version 1" in question.question
    assert '{"to":"the abyss","cents":5}' in question.question
    assert (await verbs.glance_of(stage.at, cid)).cid == cid
    assert await stage.backend.records.waiting(Partition(0))
    await verbs.send(stage.at, cid, [["double", {"n": 1}]])
    await stage.advance(3_600_000)
    await stage.settle()
    assert CALLS == {"pay the abyss 5": 1}


@pytest.mark.parametrize(
    ("answer", "told", "calls"),
    [('yes {"receipt": 7}', {"receipt": 7}, 1), ("yes", None, 1), ("no", "tool_declined", 1)],
)
async def test_the_answer_goes_on_with_the_tick(stage: Stage, answer: str, told: JsonValue, calls: int) -> None:
    cid = await started(stage, ["pay", {"to": "the abyss", "cents": 5}], ["double", {"n": 2}])
    await dies(stage)
    await stage.settle()
    await verbs.send(stage.at, cid, [["double", {"n": 5}]])
    await verbs.reply(stage.at, cid, answer)
    await stage.settle()

    assert await outcomes(stage, cid) == [told, 4, 10]
    assert CALLS["pay the abyss 5"] == calls
    account = (await stage.ledger(cid)).account("tool.pay")
    assert (account.reserved, account.spent) == (0, int(answer != "no"))


async def test_run_again_is_one_more_call_and_one_more_question_when_it_dies_too(stage: Stage) -> None:
    cid = await started(stage, ["pay", {"to": "the abyss", "cents": 5}])
    await dies(stage)
    await stage.settle()
    first = await asked(stage, cid)
    await verbs.reply(stage.at, cid, "again")
    await dies(stage)
    await stage.settle()

    second = await asked(stage, cid)
    assert CALLS["pay the abyss 5"] == 2
    assert isinstance(second, UserReply)
    assert second.question_id != first.question_id
    await verbs.reply(stage.at, cid, "yes")
    await stage.settle()
    assert await outcomes(stage, cid) == [None]
    assert CALLS["pay the abyss 5"] == 2


async def test_code_that_goes_another_way_leaves_no_unknown_outcome_behind(stage: Stage) -> None:
    cid = await started(stage, ["pay", {"to": "the abyss", "cents": 5}])
    await dies(stage)

    class Mended(Behaviour[Told]):
        name = "user"

    stage.around = stage.surroundings(Mended)
    await stage.settle()
    assert isinstance(await asked(stage, cid), UserReply)


async def test_an_unclear_answer_is_asked_for_again(stage: Stage) -> None:
    cid = await started(stage, ["pay", {"to": "the abyss", "cents": 5}])
    await dies(stage)
    await stage.settle()
    await verbs.reply(stage.at, cid, "perhaps")
    await stage.settle()
    assert isinstance(await asked(stage, cid), UserReply)
    await verbs.reply(stage.at, cid, "no")
    await stage.settle()
    assert await outcomes(stage, cid) == ["tool_declined"]


async def test_an_unsafe_tool_that_raises_has_an_unknown_outcome_too(stage: Stage) -> None:
    cid = await started(stage, ["pay", {"to": "a broken line", "cents": 5}])
    await stage.settle()
    question = await asked(stage, cid)
    assert isinstance(question, UserReply)
    assert "the line broke" in question.question
    await verbs.reply(stage.at, cid, "no")
    await stage.settle()
    assert await outcomes(stage, cid) == ["tool_declined"]
    assert CALLS["pay a broken line 5"] == 1


async def test_what_an_untrusted_event_caused_is_approved_before_it_happens(stage: Stage) -> None:
    class Listener(User):
        async def start(self, tick: Tick[Told]) -> Closing | None:
            tick.subscribe("feed")
            return Sleep.until_woken()

    stage.around = stage.surroundings(Listener)
    cid = await stage.start(Listener, scopes=("*",))
    await stage.settle()
    await stage.publish("feed", "1", [["pay", {"to": "mallory", "cents": 5}], ["double", {"n": 1}]])
    await stage.settle()

    approval = await asked(stage, cid)
    assert isinstance(approval, ApprovalResolution)
    assert approval.arguments == {"to": "mallory", "cents": 5}
    assert "untrusted is its cause: event from source.test" in approval.action
    assert CALLS == {}
    await verbs.decide(stage.at, cid, "", approved=False)
    await stage.settle()
    assert await outcomes(stage, cid) == ["tool_denied", 2]

    await stage.publish("feed", "2", [["pay", {"to": "bob", "cents": 5}]])
    await stage.settle()
    await verbs.decide(stage.at, cid, "", approved=True)
    await stage.settle()
    assert CALLS["pay bob 5"] == 1
    assert (await outcomes(stage, cid))[-1] == {"receipt": 1}


async def test_an_approval_may_edit_what_is_done(stage: Stage) -> None:
    cid = await started(stage, ["fetch", {"url": "a"}], ["pay", {"to": "mallory", "cents": 500}])
    await stage.settle()
    assert isinstance(await asked(stage, cid), ApprovalResolution)
    await verbs.decide(stage.at, cid, "", approved=True, edited={"to": "bob", "cents": 1})
    await stage.settle()
    assert (CALLS["pay bob 1"], CALLS["pay mallory 500"], CALLS["fetch"]) == (1, 0, 1)


async def test_run_again_is_what_was_approved_and_not_what_was_wished(stage: Stage) -> None:
    cid = await started(stage, ["fetch", {"url": "a"}], ["pay", {"to": "mallory", "cents": 500}])
    await stage.settle()
    await verbs.decide(stage.at, cid, "", approved=True, edited={"to": "the abyss", "cents": 1})
    await dies(stage)
    await stage.settle()
    await verbs.reply(stage.at, cid, "again")
    await dies(stage)
    assert (CALLS["pay the abyss 1"], CALLS["pay mallory 500"]) == (2, 0)


async def test_an_approval_is_for_the_version_that_was_shown(stage: Stage) -> None:
    cid = await started(stage, ["fetch", {"url": "a"}], ["pay", {"to": "bob", "cents": 5}])
    await stage.settle()
    await verbs.decide(stage.at, cid, "", approved=True)
    newer = replace(pay, spec=replace(pay.spec, version=2))
    stage.bench = replace(stage.bench, toolbox=Toolbox([newer, fetch]))
    stage.around = stage.surroundings(User)
    await stage.settle()
    assert CALLS["pay bob 5"] == 0
    again = await asked(stage, cid)
    assert "use pay version 2: it is not the version 1 that was asked about" in again.action
    await verbs.decide(stage.at, cid, "", approved=True)
    await stage.settle()
    assert CALLS["pay bob 5"] == 1


async def test_an_approval_that_nobody_gives_is_a_denial(stage: Stage) -> None:
    cid = await started(stage, ["fetch", {"url": "a"}], ["pay", {"to": "mallory", "cents": 500}])
    await stage.settle()
    await stage.advance(25 * 3_600_000)
    await stage.settle()
    assert (await outcomes(stage, cid))[1:] == ["tool_denied"]
    assert CALLS["pay mallory 500"] == 0


async def test_a_timer_does_not_wash_what_was_read(stage: Stage) -> None:
    cid = await started(stage, ["fetch", {"url": "a"}], ["timer", {}])
    await stage.settle()
    assert (await stage.checkpoint(cid)).tainted
    await stage.advance(2_000)
    await stage.settle()
    assert isinstance(await asked(stage, cid), ApprovalResolution)
    await verbs.decide(stage.at, cid, "", approved=False)
    await stage.settle()
    await verbs.send(stage.at, cid, [["pay", {"to": "bob", "cents": 2}]])
    await stage.settle()
    assert CALLS["pay bob 2"] == 1, "a person's word is trusted"


async def test_scopes_are_needed_and_only_shrink(stage: Stage) -> None:
    cid = await started(stage, ["pay", {"to": "bob", "cents": 1}], scopes=())
    await stage.settle()
    assert await outcomes(stage, cid) == ["tool_denied"]
    assert CALLS == {}
    record = (await verbs.records(stage.at, cid))[-1]
    assert [effect.outcome for effect in record.effects] == ["tool_denied"]


async def test_unknown_tools_and_wrong_arguments_are_told_as_tool_errors(stage: Stage) -> None:
    cid = await started(stage, ["Pay", {}], ["double", {"n": "many"}], ["double", {"n": 1, "more": 2}], ["double", {}])
    await stage.settle()
    assert await outcomes(stage, cid) == ["tool_not_found"] + 3 * ["tool_validation"]
    assert CALLS == {}


async def test_quotas_are_kept_per_continuation_and_per_day(stage: Stage) -> None:
    cid = await started(stage, *3 * [["rare", {}]], *2 * [["daily", {}]])
    await stage.settle()
    assert await outcomes(stage, cid) == ["here", "here", "tool_quota", "today", "tool_quota"]
    await stage.advance(86_400_000)
    await verbs.send(stage.at, cid, [["rare", {}], ["daily", {}]])
    await stage.settle()
    assert (await outcomes(stage, cid))[5:] == ["tool_quota", "today"]


async def test_parallel_uses_are_bounded_and_keep_their_order(stage: Stage) -> None:
    wishes = [["fetch", {"url": str(number)}] for number in range(6)] + [["nothing", {}]]
    cid = await stage.start(User, input={"together": wishes})
    await stage.settle()
    told = await outcomes(stage, cid)
    assert [each[-1] for each in told[:6]] == list("012345")
    assert told[6] == "tool_not_found"
    assert UNDER_WAY["most"] == 2


async def test_a_tool_that_costs_more_than_is_free_waits_for_money(stage: Stage) -> None:
    cid = await started(stage, ["double", {"n": 1}], ["double", {"n": 2}], budget=BudgetVector({"tool.double": 1}))
    await stage.settle()
    assert (await asked(stage, cid)).type == "budget"
    await steer.rebudget(stage.at, cid, BudgetVector({"tool.double": 1}))
    await stage.settle()
    assert await outcomes(stage, cid) == [2, 4]
    assert CALLS["double"] == 2


async def test_a_process_that_dies_between_leave_and_call_asks_nobody_twice(stage: Stage) -> None:
    cid = await started(stage, ["fetch", {"url": "a"}], ["pay", {"to": "bob", "cents": 5}])
    await stage.settle()
    await verbs.decide(stage.at, cid, "", approved=True)
    adopted = await stage.taken()
    entry = adopted.journal[1]
    await stage.backend.journals.settle(cid, 1, entry.call_id, None, failed=True, charge=entry.charge)
    await stage.backend.leases.reclaim(ALICE, Partition(0))
    await stage.settle()
    assert CALLS["pay bob 5"] == 1
    assert (await outcomes(stage, cid))[-1] == {"receipt": 1}
