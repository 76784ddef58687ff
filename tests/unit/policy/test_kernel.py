from collections.abc import Callable
from dataclasses import replace

import pytest

from maestro.budget.ledger import Account
from maestro.errors import InvalidInput
from maestro.policy.decision import RULES, Mode, Place, Reason
from maestro.policy.gradient import LADDER, Pressure, Step, Tier
from maestro.policy.kernel import decide, step_for
from maestro.policy.price import CallSize
from maestro.policy.question import PolicyConfig, Priority, Question, Signals, TaskKind
from tests.unit.policy.questions import LIST_PRICES, QUESTION, asking, calls, configured, left, signalled, under

OUT = Account(granted=5, spent=5)


@pytest.mark.parametrize("pressing", ["usd", "expensive_model_calls"])
@pytest.mark.parametrize(
    ("permille", "taken"),
    [
        (700, ["opus", "sonnet+advisor", "sonnet", "haiku+advisor", "haiku"]),
        (600, ["sonnet+advisor", "haiku+advisor", "haiku+advisor", "haiku+advisor", "haiku"]),
        (300, ["haiku", "haiku", "haiku", "haiku", "haiku"]),
    ],
)
def test_at_list_prices_the_whole_table_holds(pressing: str, permille: int, taken: list[str]) -> None:
    assert [decide(asking(step, left(permille, pressing))).step for step in LADDER] == taken


def test_a_decision_says_which_rule_fired_and_under_which_pressure() -> None:
    decision = decide(asking(Step.OPUS, left(500)))
    assert (decision.reason, decision.pressure, decision.version) == (Reason.DOWNSHIFT, Pressure.DOWNSHIFT, 1)
    assert (decision.tier, decision.advisor) == (Tier.SONNET, True)
    assert str(decision) == "sonnet+advisor sync inline: the budget runs down: one tier lower, with an advisor"
    assert decision.cost.vector()["expensive_model_calls"] == 2


def test_every_reason_has_its_text() -> None:
    assert RULES.keys() == set(Reason)


# ---- A: hard bounds


@pytest.mark.spec("05.1")
def test_with_expensive_calls_out_only_plain_haiku_is_left() -> None:
    for step in LADDER[:-1]:
        decision = decide(asking(step, {"expensive_model_calls": OUT}))
        assert (decision.step, decision.mode, decision.go_on) == (Step.HAIKU, Mode.SYNC, True)


@pytest.mark.spec("05.1")
def test_with_cheap_calls_out_too_model_work_waits_on_budget() -> None:
    decision = decide(asking(Step.OPUS, {"expensive_model_calls": OUT, "cheap_model_calls": OUT}))
    assert (decision.mode, decision.reason, decision.lacking) == (Mode.YIELD, Reason.BUDGET_OUT, "cheap_model_calls")
    assert decision.go_on
    assert decision.resume_in_ms is None


@pytest.mark.spec("05.1")
def test_with_only_cheap_calls_out_dearer_work_goes_on() -> None:
    decision = decide(asking(Step.SONNET, {"cheap_model_calls": OUT}))
    assert (decision.step, decision.reason) == (Step.SONNET, Reason.AS_ASKED)


@pytest.mark.spec("05.1")
@pytest.mark.parametrize("other", ["tool.search", "human.approvals"])
def test_what_does_not_pay_for_models_stops_no_model(other: str) -> None:
    assert decide(asking(Step.OPUS, {other: OUT})).step is Step.OPUS


def test_a_step_that_cannot_be_paid_gives_way_to_the_next_that_can() -> None:
    """Much is left, and still not enough for one opus call of this size: 250,000 micro-dollars."""
    decision = decide(asking(Step.OPUS, {"usd": Account(granted=200_000)}))
    assert (decision.step, decision.reason, decision.lacking) == (Step.SONNET_ADVISOR, Reason.BOUNDED, None)


def test_the_poorest_account_of_the_path_bounds() -> None:
    decision = decide(asking(Step.OPUS, {"usd": Account(granted=10**9)}, {"usd": Account(granted=60_000)}))
    assert (decision.step, decision.reason) == (Step.HAIKU, Reason.BOUNDED)


@pytest.mark.parametrize(("deadline", "go_on"), [(None, True), (1, True), (0, False), (-5, False)])
def test_after_its_deadline_nothing_is_called(deadline: int | None, go_on: bool) -> None:
    decision = decide(under(deadline_in_ms=deadline))
    assert decision.go_on is go_on
    assert (decision.reason is Reason.DEADLINE_PASSED) is not go_on


@pytest.mark.spec("05.3")
@pytest.mark.parametrize(("turns", "go_on"), [(None, True), (1, True), (0, False)])
def test_after_its_last_turn_nothing_is_called(turns: int | None, go_on: bool) -> None:
    decision = decide(under(turns_left=turns))
    assert decision.go_on is go_on
    assert (decision.reason is Reason.TURNS_USED) is not go_on


@pytest.mark.spec("05.3")
@pytest.mark.parametrize(
    ("room", "place"),
    [
        ({}, (Place.SPAWN, Reason.LARGE_PART)),
        ({"children_left": 1, "depth_left": 1}, (Place.SPAWN, Reason.LARGE_PART)),
        ({"children_left": 0}, (Place.INLINE, Reason.NO_ROOM)),
        ({"depth_left": 0}, (Place.INLINE, Reason.NO_ROOM)),
    ],
)
def test_a_large_part_is_done_here_where_no_further_child_may_live(
    room: dict[str, int], place: tuple[Place, Reason]
) -> None:
    decision = decide(under(signalled(independent=True), **room))
    assert (decision.place, decision.place_reason) == place


def test_a_tier_that_is_not_allowed_gives_way_to_the_next_below() -> None:
    question = configured(asking(Step.OPUS), allowed_tiers=frozenset({Tier.HAIKU}), advisor_enabled=False)
    decision = decide(question)
    assert (decision.step, decision.reason) == (Step.HAIKU, Reason.CONFINED)


def test_nothing_above_the_asked_step_stands_in_for_it() -> None:
    decision = decide(configured(asking(Step.HAIKU), allowed_tiers=frozenset({Tier.OPUS})))
    assert (decision.go_on, decision.reason) == (False, Reason.NOT_ALLOWED)


def test_without_an_advisor_the_downshift_is_to_the_plain_step() -> None:
    decision = decide(configured(asking(Step.OPUS, left(500)), advisor_enabled=False))
    assert (decision.step, decision.reason) == (Step.SONNET, Reason.COST_GUARD)


# ---- B: the gradient


@pytest.mark.spec("05.16")
def test_a_price_table_in_which_the_advised_step_is_dearer_makes_the_kernel_pick_sonnet() -> None:
    dear = dict(LIST_PRICES)
    dear[Tier.SONNET] = replace(dear[Tier.SONNET], input_micros=4_900_000, output_micros=24_000_000)
    decision = decide(replace(asking(Step.OPUS, left(500)), prices=dear))
    assert (decision.step, decision.reason) == (Step.SONNET, Reason.COST_GUARD)


def test_a_small_call_gets_no_advisor_that_costs_more_than_opus() -> None:
    small = CallSize(input_tokens=300, output_tokens=100)
    assert decide(replace(asking(Step.OPUS, left(500)), size=small)).step is Step.SONNET


@pytest.mark.spec("05.17")
def test_a_switch_that_would_lose_a_large_warm_prefix_is_declined() -> None:
    warm = CallSize(input_tokens=200_000, output_tokens=500, cached_prefix_tokens=195_000, warm_tier=Tier.OPUS)
    for permille in (500, 200):
        decision = decide(replace(asking(Step.OPUS, left(permille)), size=warm))
        assert (decision.step, decision.reason) == (Step.OPUS, Reason.NO_SAVING)
    cold = replace(warm, warm_tier=None)
    assert decide(replace(asking(Step.OPUS, left(500)), size=cold)).step is Step.SONNET_ADVISOR


def test_a_pin_skips_the_gradient_only_where_overrides_are_allowed() -> None:
    pinned = replace(asking(Step.OPUS, left(100)), pinned=True)
    assert decide(pinned).step is Step.HAIKU
    decision = decide(configured(pinned, allow_override=True))
    assert (decision.step, decision.reason) == (Step.OPUS, Reason.PINNED)


def test_p0_skips_the_gradient_only_where_overrides_are_allowed() -> None:
    critical = signalled(asking(Step.OPUS, left(100)), priority=Priority.P0)
    assert decide(critical).step is Step.HAIKU
    decision = decide(configured(critical, allow_override=True))
    assert (decision.step, decision.reason) == (Step.OPUS, Reason.OVERRIDE)


def test_neither_pin_nor_p0_skips_the_bounds() -> None:
    broke = {"usd": Account(granted=1_000)}
    pinned = configured(replace(asking(Step.OPUS, broke), pinned=True), allow_override=True)
    decision = decide(pinned)
    assert (decision.step, decision.mode, decision.reason) == (Step.OPUS, Mode.YIELD, Reason.BUDGET_OUT)
    forbidden = configured(pinned, allow_override=True, allowed_tiers=frozenset({Tier.HAIKU}))
    assert decide(forbidden).reason is Reason.NOT_ALLOWED
    critical = configured(signalled(asking(Step.OPUS, broke), priority=Priority.P0), allow_override=True)
    assert decide(critical).reason is Reason.BUDGET_OUT


@pytest.mark.parametrize(
    ("kind", "complexity", "novelty", "step"),
    [
        (TaskKind.PLANNING, 0.8, 0, Step.OPUS),
        (TaskKind.PLANNING, 0.1, 0, Step.SONNET_ADVISOR),
        (TaskKind.REASONING, 0.3, 0, Step.OPUS),
        (TaskKind.EVALUATION, 0.5, 0, Step.OPUS),
        (TaskKind.SYNTHESIS, 0.5, 0, Step.SONNET_ADVISOR),
        (TaskKind.ANALYSIS, 0.5, 0.7, Step.SONNET_ADVISOR),
        (TaskKind.ANALYSIS, 0.5, 0.69, Step.SONNET),
        (TaskKind.DRAFTING, 0.5, 0, Step.SONNET),
        (TaskKind.COMPARISON, 0.5, 0, Step.SONNET),
        (TaskKind.EXTRACTION, 0.5, 0, Step.HAIKU_ADVISOR),
        (TaskKind.CLASSIFICATION, 1, 1, Step.HAIKU),
        (TaskKind.TAGGING, 1, 1, Step.HAIKU),
        (TaskKind.RERANKING, 1, 1, Step.HAIKU),
    ],
)
def test_signals_choose_the_step_where_the_behaviour_names_none(
    kind: TaskKind, complexity: float, novelty: float, step: Step
) -> None:
    assert step_for(Signals(kind=kind, complexity=complexity, novelty=novelty)) is step
    assert decide(signalled(kind=kind, complexity=complexity, novelty=novelty)).step is step


# ---- C: the schedule


@pytest.mark.parametrize(
    ("conditions", "signals", "mode", "reason"),
    [
        ({}, {}, Mode.SYNC, Reason.PROMPT),
        ({"providers_up": False}, {"priority": Priority.P0}, Mode.YIELD, Reason.PROVIDERS_DOWN),
        ({"queue_depth": 200}, {}, Mode.YIELD, Reason.QUEUE_DEEP),
        ({"queue_depth": 199}, {}, Mode.SYNC, Reason.PROMPT),
        ({"queue_depth": 200}, {"priority": Priority.P0}, Mode.SYNC, Reason.URGENT),
        ({"queue_depth": 200, "deadline_in_ms": 60_000}, {}, Mode.SYNC, Reason.URGENT),
        ({"deadline_in_ms": 60_001}, {}, Mode.SYNC, Reason.PROMPT),
        ({}, {"priority": Priority.P2, "batchable": True}, Mode.BATCH, Reason.BATCHED),
        ({}, {"priority": Priority.P1, "batchable": True}, Mode.SYNC, Reason.PROMPT),
        ({}, {"priority": Priority.P2}, Mode.SYNC, Reason.PROMPT),
        ({"expected_latency_ms": 120_001}, {}, Mode.ASYNC, Reason.SLOW),
    ],
)
def test_now_or_later(conditions: dict[str, object], signals: dict[str, object], mode: Mode, reason: Reason) -> None:
    decision = decide(under(signalled(QUESTION, **signals), **conditions))
    assert (decision.mode, decision.mode_reason) == (mode, reason)
    assert (decision.resume_in_ms is not None) is (mode is Mode.YIELD)
    assert decision.go_on


@pytest.mark.parametrize(
    ("tokens", "independent", "place"),
    [(20_000, True, Place.SPAWN), (19_999, True, Place.INLINE), (90_000, False, Place.INLINE)],
)
def test_a_large_independent_part_goes_to_a_child(tokens: int, independent: bool, place: Place) -> None:
    question = signalled(replace(QUESTION, size=CallSize(tokens - 500, 500)), independent=independent)
    assert decide(question).place is place


def test_the_next_token_must_be_worth_its_price() -> None:
    """A sonnet call of this size costs 150,000 micro-dollars."""
    worth, equal = (signalled(asking(Step.SONNET), value_usd_micros=value) for value in (150_001, 150_000))
    assert (decide(worth).go_on, decide(worth).value_reason) == (True, Reason.WORTH_IT)
    assert (decide(equal).go_on, decide(equal).reason) == (False, Reason.NOT_WORTH_IT)
    assert str(decide(equal)).startswith("stop: the price, weighted by scarcity")


@pytest.mark.spec("05.3")
def test_falling_returns_stop_a_series_at_the_same_tick_each_time() -> None:
    series = [1.0, 0.7, 0.5, 0.3, 0.2, 0.1]
    verdicts = [
        [decide(signalled(asking(Step.SONNET), value_usd_micros=500_000, uncertainty=u)).go_on for u in series]
        for _ in range(3)
    ]
    assert verdicts == [[True, True, True, False, False, False]] * 3


def test_scarcity_makes_the_same_price_weigh_more() -> None:
    valued = signalled(asking(Step.HAIKU, left(900)), value_usd_micros=100_000)
    assert decide(valued).go_on
    assert not decide(replace(valued, budget=(left(900), left(400)))).go_on


def test_an_alert_is_told_with_the_decision() -> None:
    assert decide(asking(Step.HAIKU, left(200))).alerts == ("usd",)
    assert decide(asking(Step.HAIKU, left(300))).alerts == ()


# ---- what cannot be asked


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Signals(complexity=1.1), "policy.complexity"),
        (lambda: Signals(novelty=float("nan")), "policy.novelty"),
        (lambda: Signals(uncertainty=-0.1), "policy.uncertainty"),
        (lambda: Signals(value_usd_micros=-1), "policy.value_usd_micros"),
        (lambda: Question(size=CallSize(-1, 0), prices=LIST_PRICES), "policy.input_tokens"),
        (lambda: Question(size=CallSize(1, -1), prices=LIST_PRICES), "policy.output_tokens"),
        (lambda: Question(size=CallSize(1, 1, -1), prices=LIST_PRICES), "policy.cached_prefix_tokens"),
        (lambda: Question(size=CallSize(1, 1), prices={Tier.OPUS: LIST_PRICES[Tier.OPUS]}), "policy.prices"),
    ],
)
def test_a_senseless_question_is_refused_where_it_is_made(make: Callable[[], object], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        make()
    assert caught.value.field == field
    assert caught.value.hint


def test_the_defaults_are_those_of_the_specification() -> None:
    thresholds = PolicyConfig().thresholds
    assert thresholds.alert_used_permille == 800
    assert thresholds.downshift_remaining_permille == 600
    assert thresholds.floor_remaining_permille == 300
    assert PolicyConfig().advisor.max_share_permille == 100
    assert PolicyConfig().advisor.least_input_tokens == 1_000
    assert calls(free=30)["expensive_model_calls"].free == 30
