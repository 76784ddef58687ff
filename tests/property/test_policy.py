"""The kernel is total, deterministic and monotone: less budget never buys a dearer step."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maestro.budget.ledger import Account
from maestro.policy.decision import RULES, Decision, Mode
from maestro.policy.gradient import LADDER, Path, Step, Tier
from maestro.policy.kernel import decide
from maestro.policy.price import AdvisorTerms, CallSize, TokenPrice, lacking
from maestro.policy.question import Conditions, PolicyConfig, Priority, Question, Signals, TaskKind

COUNT = st.integers(0, 300_000)
SHARE = st.floats(0, 1)
RESOURCES = ("usd", "cheap_model_calls", "expensive_model_calls", "tokens", "tool.search")
GRANTS = {"usd": 500_000, "tokens": 500_000}


@st.composite
def accounts(draw: st.DrawFn) -> dict[str, Account]:
    drawn = {}
    for resource in draw(st.sets(st.sampled_from(RESOURCES))):
        granted = draw(st.none() | st.integers(0, GRANTS.get(resource, 10)))
        parts = [draw(st.integers(0, (granted or 10) // 2)) for _ in range(3)]
        drawn[resource] = Account(granted, *parts)
    return drawn


prices = st.builds(TokenPrice, *[st.integers(0, 30_000_000)] * 3)
questions = st.builds(
    Question,
    size=st.builds(CallSize, COUNT, COUNT, COUNT, st.none() | st.sampled_from(Tier)),
    prices=st.fixed_dictionaries(dict.fromkeys(Tier, prices)),
    asked=st.none() | st.sampled_from(LADDER),
    signals=st.builds(
        Signals,
        kind=st.sampled_from(TaskKind),
        complexity=SHARE,
        novelty=SHARE,
        uncertainty=SHARE,
        priority=st.sampled_from(Priority),
        value_usd_micros=st.none() | COUNT,
        batchable=st.booleans(),
        independent=st.booleans(),
    ),
    budget=st.lists(accounts(), max_size=3).map(tuple),
    conditions=st.builds(
        Conditions,
        deadline_in_ms=st.none() | st.integers(-10, 200_000),
        queue_depth=st.integers(0, 400),
        providers_up=st.booleans(),
        expected_latency_ms=st.integers(0, 300_000),
        turns_left=st.none() | st.integers(0, 3),
        children_left=st.none() | st.integers(0, 2),
        depth_left=st.none() | st.integers(0, 2),
    ),
    config=st.builds(
        PolicyConfig,
        advisor=st.builds(AdvisorTerms, st.integers(0, 1_000), st.integers(0, 5_000)),
        advisor_enabled=st.booleans(),
        allowed_tiers=st.frozensets(st.sampled_from(Tier)),
        allow_override=st.booleans(),
    ),
    pinned=st.booleans(),
)


@settings(max_examples=1_000, deadline=None)
@given(questions)
def test_every_question_gets_one_decision_and_always_the_same(question: Question) -> None:
    decision = decide(question)
    assert decision == decide(question)
    assert decision.step in LADDER
    assert decision.rule == RULES[decision.reason]
    assert str(decision)


@settings(max_examples=1_000, deadline=None)
@given(questions)
def test_what_is_called_now_is_allowed_and_can_be_paid_by_everyone(question: Question) -> None:
    decision = decide(question)
    if calls_now(decision):
        assert decision.tier in question.config.allowed_tiers
        assert question.config.advisor_enabled or not decision.advisor
        assert lacking(decision.cost, question.budget) is None


@settings(max_examples=1_000, deadline=None)
@given(questions)
def test_the_kernel_never_goes_above_what_was_asked(question: Question) -> None:
    if question.asked is not None:
        assert rank(decide(question)) >= LADDER.index(question.asked)


@pytest.mark.shows("6.5")
@settings(max_examples=2_000, deadline=None)
@given(questions, st.sampled_from(RESOURCES), st.integers(1, 500_000))
def test_less_budget_never_moves_the_step_up(question: Question, resource: str, less: int) -> None:
    poorer = replace(question, budget=spend(question.budget, resource, less))
    assert rank(decide(poorer)) >= rank(decide(question))


@settings(max_examples=2_000, deadline=None)
@given(questions, st.integers(1, 500_000))
def test_with_cold_caches_and_ordered_prices_less_money_never_makes_the_call_dearer(
    question: Question, less: int
) -> None:
    question = replace(
        question,
        prices=ordered(question),
        size=replace(question.size, warm_tier=None),
        asked=question.asked or Step.OPUS,
    )
    poorer = replace(question, budget=spend(question.budget, "usd", less))
    less_bought, more_bought = decide(poorer), decide(question)
    if calls_now(less_bought) and calls_now(more_bought):
        assert less_bought.cost.usd_micros <= more_bought.cost.usd_micros


def ordered(question: Question) -> dict[Tier, TokenPrice]:
    """The same prices, sorted so that a higher tier is never cheaper."""
    columns = [
        sorted((getattr(price, part) for price in question.prices.values()), reverse=True)
        for part in ("input_micros", "output_micros", "cached_input_micros")
    ]
    return {tier: TokenPrice(*(column[i] for column in columns)) for i, tier in enumerate(Tier)}


def spend(budget: Path, resource: str, amount: int) -> Path:
    """Every account of the path has spent `amount` more."""
    return tuple(
        {name: replace(a, spent=a.spent + amount) if name == resource else a for name, a in ledger.items()}
        for ledger in budget
    )


def rank(decision: Decision) -> int:
    return LADDER.index(decision.step)


def calls_now(decision: Decision) -> bool:
    return decision.go_on and decision.mode is not Mode.YIELD
