"""What the kernel is told of a tick's surroundings: decided upon, journaled, and decided upon again by whatif."""

from dataclasses import replace

import pytest

from maestro.adapters.memory.backend import backend_over, empty_memory
from maestro.clock import ManualClock
from maestro.continuation.bounds import Bounds
from maestro.continuation.checkpoint import Checkpoint, Child
from maestro.continuation.directive import Closing, Sleep
from maestro.continuation.goal import GoalFrame
from maestro.continuation.lifecycle import Status
from maestro.continuation.mail import Mail
from maestro.ids import DEFAULT_TENANT, ContinuationId, TimeMs
from maestro.pager.desk import PagerDesk
from maestro.pager.load import Latencies, Load
from maestro.policy.gradient import Step, Tier
from maestro.policy.policy import Policy
from maestro.policy.question import Conditions, PolicyConfig, Signals, TaskKind
from maestro.runtime import verbs
from maestro.runtime.whatif import redecided
from maestro.tick.answers import JournaledAnswers
from maestro.tick.behaviour import Behaviour, NoState
from maestro.tick.birth import MAX_DEPTH, root_of
from maestro.tick.blocks import Keeper
from maestro.tick.conditions import conditions, room_of
from maestro.tick.context import Tick
from maestro.tick.journal import Journal
from maestro.tick.mind import Faculties, ThinkingMind
from maestro.tick.runner import HandBack
from maestro.tick.store import Adopted, Commit
from tests.stage import PRICES, Stage

BUSY = Load(waiting=250, latency_ms={Tier.HAIKU: 150_000})


ROOT = ContinuationId("0123456789abcdefghjkmn-0")


def a_checkpoint(**changes: object) -> Checkpoint:
    return root_of(ROOT, DEFAULT_TENANT, "asker", GoalFrame(goal="g"), TimeMs(1_000)).model_copy(update=changes)


class Asker(Behaviour[NoState]):
    async def start(self, tick: Tick[NoState]) -> Closing | None:
        await tick.think("is it so?", step="haiku")
        return Sleep.until_woken()


def stage_under(load: Load) -> Stage:
    """A stage whose ticks see a pager that is as busy as `load` says."""
    stage = Stage(backend_over(empty_memory(1, ManualClock())), Asker)

    async def look() -> Load:
        return load

    backend = stage.backend
    faculties = Faculties(
        backend.shelf, stage, PRICES, PolicyConfig(advisor_enabled=False), Keeper(backend.blocks), load=look,
        placements=backend.placements,
    )  # fmt: skip

    def mind(adopted: Adopted, before: Checkpoint, journal: Journal, inbox: tuple[Mail, ...]) -> ThinkingMind:
        return ThinkingMind(faculties, adopted, before, journal, inbox)

    stage.around = replace(stage.around, make_mind=mind)
    return stage


@pytest.mark.parametrize(
    ("load", "because", "after_ms"),
    [(BUSY, "queue_deep", 30_000), (Load(providers_up=False), "providers_down", 60_000)],
)
async def test_a_tick_comes_back_later_where_the_pager_is_crowded_or_nobody_is_up(
    load: Load, because: str, after_ms: int
) -> None:
    stage = stage_under(load)
    await stage.start(Asker)
    outcome = await stage.tick()
    assert isinstance(outcome, HandBack)
    assert (outcome.retry_in_ms, outcome.counts) == (after_ms, False)
    assert because in str(outcome.error)
    assert stage.model.asked == 0


async def test_an_answer_that_takes_long_is_not_waited_for_and_whatif_decides_on_the_same() -> None:
    stage = stage_under(replace_waiting(BUSY, 0))
    cid = await stage.start(Asker)
    assert isinstance(await stage.tick(), Commit)
    await stage.settle()
    (record,) = [record for record in await verbs.records(stage.at, cid) if record.effects]
    (note,) = record.effects
    assert note.decision == "haiku: as_asked; async: slow"
    assert isinstance(note.question, dict)
    assert note.question["question"]["conditions"]["expected_latency_ms"] == 150_000  # type: ignore[index,call-overload]
    (same,) = await redecided(stage.at, cid, Policy(advisor_enabled=False))
    assert same.agrees
    patient = Policy.model_validate({"advisor_enabled": False, "schedule": {"patience_ms": 200_000}})
    (otherwise,) = await redecided(stage.at, cid, patient)
    assert (otherwise.told, otherwise.agrees) == ("haiku: as_asked", True)


def replace_waiting(load: Load, waiting: int) -> Load:
    return load.model_copy(update={"waiting": waiting})


async def test_the_desk_tells_who_waits_for_a_turn_and_what_answers_take() -> None:
    stage = Stage(backend_over(empty_memory(1, ManualClock())), Asker)
    desk = PagerDesk(stage.model, JournaledAnswers(stage.backend.journals))
    stage.pager = desk
    assert desk.load == Load()
    await stage.start(Asker)
    await stage.settle()
    assert desk.load.latency_ms.keys() == {Tier.HAIKU}
    assert desk.load.waiting == 0


def test_old_answers_fade_from_what_the_next_is_expected_to_take() -> None:
    latencies = Latencies()
    for ms in (800, 800, 1_600):
        latencies.took(Tier.OPUS, ms)
    assert latencies.told() == {Tier.OPUS: 900}


def test_the_latency_is_that_of_the_tier_that_is_asked_for() -> None:
    load = Load(latency_ms={Tier.OPUS: 9, Tier.HAIKU: 1})
    before = a_checkpoint()
    told = conditions(before, before.updated_at_ms, load, Step.OPUS, Signals(), (None, 8))
    by_kind = conditions(before, before.updated_at_ms, load, None, Signals(kind=TaskKind.TAGGING), (None, 8))
    assert (told.expected_latency_ms, by_kind.expected_latency_ms) == (9, 1)


def test_room_for_children_is_told_of_work_that_a_child_could_do_and_of_no_other() -> None:
    before = a_checkpoint()
    load, now_ms = Load(), before.updated_at_ms
    assert conditions(before, now_ms, load, Step.HAIKU, Signals(), (1, 2)) == Conditions()
    told = conditions(before, now_ms, load, Step.HAIKU, Signals(independent=True), (1, 2))
    assert (told.children_left, told.depth_left) == (1, 2)


def test_room_is_what_the_bounds_leave_less_who_lives_and_who_is_being_born() -> None:
    known = (Status.PENDING, Status.RESUMING, Status.COMPLETED)
    kids = {ContinuationId(f"kid-{n}"): Child(behaviour="k", status=status) for n, status in enumerate(known)}
    assert room_of(a_checkpoint(), (), 1) == (None, MAX_DEPTH)
    bounded = a_checkpoint(bounds=Bounds(max_children=10, max_depth=3), depth=2, children=kids)
    assert room_of(bounded, (), 1) == (10 - 2 - 1, 1)
