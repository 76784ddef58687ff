"""Waits for people, on every store: approvals and answers, what they are about, and how much may be asked."""

import pytest

from maestro.budget.vector import BudgetVector
from maestro.continuation.lifecycle import Status
from maestro.continuation.wait import (
    BudgetGrant,
    ExternalResult,
    UserReply,
)
from maestro.errors import Conflict
from maestro.ids import ContinuationId
from maestro.runtime import verbs
from maestro.tick.runner import run
from maestro.tick.store import Adopted
from tests.contract.waiting import HOUR_MS, RAN, Asks, approval_of, begun, later, nothing_ran, stage
from tests.stage import PLENTY, Stage

__all__ = ["nothing_ran", "stage"]

# ---------------------------------------------------------------- people


@pytest.mark.spec("01.7")
async def test_denied_it_ends_without_a_line_of_code(stage: Stage) -> None:
    cid = await begun(stage, how="approval")
    await verbs.decide(stage.at, cid, (await approval_of(stage, cid)).approval_id, approved=False)
    await stage.settle()
    ended = await stage.checkpoint(cid)
    assert (ended.status, ended.stop_reason) == (Status.CANCELLED, "approval_denied")
    assert ended.stop_detail == "buy: denied by person"
    assert RAN == []


@pytest.mark.spec("01.7")
async def test_denied_it_goes_on_where_it_wants_to(stage: Stage) -> None:
    cid = await begun(stage, how="approval", on_denied="resume")
    await verbs.decide(stage.at, cid, (await approval_of(stage, cid)).approval_id, approved=False)
    await stage.settle()
    assert (await stage.state(cid))["seen"] == ["denied"]


async def test_an_edited_approval_brings_other_arguments(stage: Stage) -> None:
    cid = await begun(stage, how="approval")
    word = (await approval_of(stage, cid)).approval_id
    await verbs.decide(stage.at, cid, word, approved=True, edited={"usd": 3})
    await stage.settle()
    assert (await stage.state(cid))["seen"] == ["edited", "{'usd': 3}"]


@pytest.mark.spec("01.7")
async def test_asked_again_the_record_is_the_same_and_its_time_is_new(stage: Stage) -> None:
    cid = await begun(stage)
    first = await stage.checkpoint(cid)
    for n in range(3):
        await stage.advance(HOUR_MS // 2)
        await verbs.reply(stage.at, cid, f"answer {n}")
        await stage.settle()
    after = await stage.checkpoint(cid)
    assert RAN == ["reply"] * 3
    assert after.id == first.id
    assert after.expires_at_ms is not None
    assert first.expires_at_ms is not None
    assert after.expires_at_ms >= first.expires_at_ms + 3 * HOUR_MS // 2
    assert after.resume_attempts == 3


async def test_a_word_on_what_has_changed_is_refused_and_says_what_changed(stage: Stage) -> None:
    cid = await begun(stage, how="approval or anything")
    old = await approval_of(stage, cid)
    await verbs.send(stage.at, cid, "this changes its state")
    await stage.settle()
    with pytest.raises(Conflict, match="the state changed") as caught:
        await verbs.decide(stage.at, cid, old.approval_id, approved=True)
    new = await approval_of(stage, cid)
    assert caught.value.facts["asked_as"] == new.approval_id
    assert new.approval_id != old.approval_id
    assert new.expires_at_ms == old.expires_at_ms
    await verbs.decide(stage.at, cid, new.approval_id, approved=True)
    await stage.settle()
    assert RAN == ["message", "approval"]


async def test_a_tick_that_changes_nothing_leaves_the_approval_as_it_is(stage: Stage) -> None:
    cid = await begun(stage, how="approval or anything")
    old = await approval_of(stage, cid)
    await verbs.send(stage.at, cid, "again")
    await stage.settle()
    assert await approval_of(stage, cid) == old


async def test_under_another_policy_an_approval_is_asked_anew(stage: Stage) -> None:
    cid = await begun(stage, how="approval")
    old = await approval_of(stage, cid)
    await verbs.decide(stage.at, cid, old.approval_id, approved=True)
    stage.around = stage.surroundings(Asks, policy_version="next")
    await stage.settle()
    new = await approval_of(stage, cid)
    assert (new.replaces, new.changed) == (old.approval_id, ("policy",))
    assert RAN == [], "a word that was given for another policy is not heard"
    with pytest.raises(Conflict, match="the policy changed"):
        await verbs.decide(stage.at, cid, new.approval_id, approved=True)  # this client knows the old policy only


async def test_a_word_on_what_has_changed_meanwhile_is_taken_out_and_not_heard(stage: Stage) -> None:
    cid = await begun(stage, how="approval or anything")
    adopted_by_a_message = await _in_hand_for_a_message(stage, cid)
    await verbs.decide(stage.at, cid, (await approval_of(stage, cid)).approval_id, approved=True)
    await stage.write(adopted_by_a_message, await run(adopted_by_a_message, stage.around))
    await verbs.send(stage.at, cid, "again")
    await stage.settle()
    assert RAN == ["message", "message"]
    assert (await verbs.glance_of(stage.at, cid)).unread == 0


async def _in_hand_for_a_message(stage: Stage, cid: ContinuationId) -> Adopted:
    await verbs.send(stage.at, cid, "this changes its state")
    return await stage.taken()


async def test_an_approval_is_used_once(stage: Stage) -> None:
    cid = await begun(stage, how="approval")
    word = (await approval_of(stage, cid)).approval_id
    await verbs.decide(stage.at, cid, word, approved=True)
    with pytest.raises(Conflict, match="is decided already"):
        await verbs.decide(stage.at, cid, word, approved=False)


@pytest.mark.spec("01.18")
async def test_only_the_signal_that_names_the_open_wait_ends_it(stage: Stage) -> None:
    cid = await begun(stage, how="result")
    await verbs.send(stage.at, cid, "hello")
    await verbs.resolve(stage.at, cid, "another", {"n": 1})
    await stage.settle()
    assert (await verbs.glance_of(stage.at, cid)).unread == 2, "other mail queues"
    assert isinstance((await stage.checkpoint(cid)).wait, ExternalResult)
    signal = await verbs.resolve(stage.at, cid, "op", {"n": 2})
    await stage.settle()
    ended = (await verbs.records(stage.at, cid))[2]
    assert [note.id for note in ended.consumed] == [signal], "the signal in its own tick, before what had come earlier"


async def test_why_says_since_when_until_when_and_what_then(stage: Stage) -> None:
    cid = await begun(stage, how="approval", on_timeout="deny")
    asked = await approval_of(stage, cid)
    told = await stage.why(cid)
    assert f"since {asked.opened_ms} ms, until {asked.expires_at_ms} ms on the store's clock" in told
    assert told.endswith("then it counts as denied")


# ---------------------------------------------------------------- attention


ONE_ASK = PLENTY + BudgetVector({"human.approvals": 1, "human.reviews": 0})


@pytest.mark.spec("01.17")
async def test_an_ask_takes_one_unit_of_attention_and_going_on_asking_none(stage: Stage) -> None:
    cid = await stage.start(Asks, input={"how": "approval or anything"}, budget=ONE_ASK)
    await stage.settle()
    for text in ("one", "two"):
        await verbs.send(stage.at, cid, text)
        await stage.settle()
    assert (await approval_of(stage, cid)).changed == ("state",)
    account = (await stage.ledger(cid)).account("human.approvals")
    assert (account.spent, account.free) == (1, 0)
    charged = [record.charges.get("human.approvals", 0) for record in await verbs.records(stage.at, cid)]
    assert sum(charged) == 1


@pytest.mark.spec("01.17")
async def test_without_attention_nobody_is_asked_until_there_is_some(stage: Stage) -> None:
    cid = await stage.start(Asks, input={"how": "reply"}, budget=ONE_ASK)
    await stage.settle()
    wait = (await stage.checkpoint(cid)).wait
    assert isinstance(wait, BudgetGrant)
    assert (wait.resource, wait.asked, wait.free) == ("human.reviews", 1, 0)
    assert isinstance(wait.then, UserReply)
    assert "human.reviews" in await stage.why(cid)
    await later(stage, 5 * HOUR_MS)
    assert (await stage.checkpoint(cid)).wait == wait, "what nobody was asked does not expire"
    await verbs.rebudget(stage.at, cid, BudgetVector({"human.reviews": 1}), BudgetVector({}))
    await stage.settle()
    asked = (await stage.checkpoint(cid)).wait
    assert isinstance(asked, UserReply)
    assert RAN == [], "a grant asks the question, and runs no code"
    assert (await stage.ledger(cid)).account("human.reviews").spent == 1
    await verbs.reply(stage.at, cid, "now")
    await stage.settle()
    assert RAN == ["reply"]


@pytest.mark.spec("01.17")
async def test_without_attention_the_rest_of_several_waits_goes_on(stage: Stage) -> None:
    none = PLENTY + BudgetVector({"human.approvals": 0})
    cid = await stage.start(Asks, input={"how": "approval or anything"}, budget=none)
    await stage.settle()
    await verbs.send(stage.at, cid, "still awake")
    await stage.settle()
    assert (await stage.state(cid))["seen"] == ["message still awake"]
    await verbs.rebudget(stage.at, cid, BudgetVector({"human.approvals": 1}), BudgetVector({}))
    await stage.settle()
    await verbs.decide(stage.at, cid, (await approval_of(stage, cid)).approval_id, approved=True)
    await stage.settle()
    assert RAN == ["message", "approval"]
