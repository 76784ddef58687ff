"""The journal: effects are numbered, and happen once."""

from dataclasses import replace

import pytest
from pydantic import JsonValue

from maestro.budget.vector import BudgetVector
from maestro.errors import ContinuationStateError, RateLimited
from maestro.tick.journal import Answered, Journal, new_intent
from maestro.tick.store import Adopted, Batch, JournalEntry
from tests.stage import Stage

PRICE = BudgetVector({"usd": 10})
INTENT = new_intent(0, "model", "key-a", PRICE, "sonnet: as asked")


@pytest.fixture
async def adopted(stage: Stage) -> Adopted:
    await stage.start("anything")
    return await stage.taken()


def journal(stage: Stage, adopted: Adopted, *entries: JournalEntry) -> Journal:
    written = {entry.ordinal: entry for entry in entries}
    return Journal(stage.backend.store, replace(adopted, journal=written), Batch((), adopted.now_ms))


async def never(entry: JournalEntry) -> Answered:
    raise AssertionError("carried out again")


async def keep(answer: JsonValue) -> JsonValue:
    return {"inline": answer}


async def test_places_are_given_in_the_order_of_asking(stage: Stage, adopted: Adopted) -> None:
    of = journal(stage, adopted)
    assert [of.next_ordinal() for _ in range(3)] == [0, 1, 2]


async def test_an_unknown_place_is_free(stage: Stage, adopted: Adopted) -> None:
    assert journal(stage, adopted).known(0, "model", "key-a") is None


@pytest.mark.parametrize(("kind", "key"), [("model", "key-b"), ("tool", "key-a")])
async def test_another_question_at_the_same_place_is_stopped(
    stage: Stage, adopted: Adopted, kind: str, key: str
) -> None:
    with pytest.raises(ContinuationStateError, match=f"effect 0 asks for another {kind}"):
        journal(stage, adopted, replace(INTENT, answered=True)).known(0, kind, key)


async def test_a_failed_place_is_free_again_whatever_was_asked_there(stage: Stage, adopted: Adopted) -> None:
    assert journal(stage, adopted, replace(INTENT, failed=True)).known(0, "model", "key-b") is None


async def test_an_answered_effect_is_not_carried_out_again(stage: Stage, adopted: Adopted) -> None:
    of = journal(stage, adopted)
    entry = replace(INTENT, answered=True, answer={"content": "yes", "model": "m"}, charge=BudgetVector({"usd": 4}))
    assert await of.answer(entry, never, keep) == {"content": "yes", "model": "m"}
    (note,) = of.notes
    assert (note.outcome, note.charge, note.decision) == ("answered", {"usd": 4}, "sonnet: as asked")


async def test_an_answer_given_now_is_noted_with_its_charge(stage: Stage, adopted: Adopted) -> None:
    async def act(entry: JournalEntry) -> Answered:
        return {"content": "new"}, BudgetVector({"usd": 7})

    of = journal(stage, adopted)
    answer: JsonValue = await of.answer(INTENT, act, keep)
    assert (answer, of.notes[0].charge, of.spent) == ({"content": "new"}, {"usd": 7}, True)
    assert of.notes[0].answer == {"inline": {"content": "new"}}


async def test_a_failure_is_noted_and_goes_up(stage: Stage, adopted: Adopted) -> None:
    async def act(entry: JournalEntry) -> Answered:
        raise RateLimited("slow down")

    of = journal(stage, adopted)
    with pytest.raises(RateLimited):
        await of.answer(INTENT, act, keep)
    assert (of.notes[0].outcome, of.spent) == ("rate_limited", False)


async def test_an_intent_is_durable_and_its_price_reserved(stage: Stage, adopted: Adopted) -> None:
    assert await journal(stage, adopted).intend(INTENT) == INTENT
    assert (await stage.ledger(adopted.cid)).account("usd").reserved == 10


async def test_notes_are_in_the_order_of_the_places_not_of_the_answers(stage: Stage, adopted: Adopted) -> None:
    of = journal(stage, adopted)
    for ordinal in (1, 0):
        await of.answer(replace(INTENT, ordinal=ordinal, answered=True, answer="x"), never, keep)
    assert [note.ordinal for note in of.notes] == [0, 1]
