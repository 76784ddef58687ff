"""The policy kernel: `decide` answers one question with one decision.

Invariants:
- pure, total and deterministic: no I/O, no clock, no randomness; the same question gets the same decision;
- layer A (bounds: deadline, turns, room for children, allowed tiers, what every account can pay) can be skipped by
  nobody, layer B (gradient) by an allowed pin or override;
- with less budget the step never moves up the ladder.

What it is not: it reserves nothing and calls nothing; a decision is advice that the ledger enforces.

Source: spec/05 section 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from maestro.budget.vector import USD
from maestro.policy.decision import Decision, Mode, Place, Reason
from maestro.policy.gradient import LADDER, Relief, Step, Strain, alerted, relieve, strain
from maestro.policy.price import Cost, cost, lacking
from maestro.policy.question import Priority, Question, Signals, TaskKind


@dataclass(frozen=True, slots=True)
class _Choice:
    """A step, and what led to it; `open` is false when it cannot be taken now."""

    step: Step
    reason: Reason
    open: bool = True
    lacking: str | None = None


class _Costs(dict[Step, Cost]):
    """What each step costs, worked out when it is first asked for."""

    def __init__(self, question: Question) -> None:
        super().__init__()
        self._question = question

    def __missing__(self, step: Step) -> Cost:
        asked = self._question
        price = self[step] = cost(step, asked.size, asked.prices, asked.config.advisor)
        return price


def decide(question: Question) -> Decision:
    """The decision for `question`: bounds, then gradient, then schedule."""
    asked = question.asked or step_for(question.signals)
    felt = strain(question.budget, question.config.thresholds)
    steps = _allowed(question, asked)
    costs = _Costs(question)
    if denial := _denied(question, steps):
        return _schedule(question, _Choice(asked, denial, open=False), felt, costs[asked])
    choice = _payable(question, _wanted(question, asked, steps, felt, costs), costs)
    return _schedule(question, choice, felt, costs[choice.step])


def step_for(signals: Signals) -> Step:
    """The step that the kind of work calls for, where the behaviour names none.

    Source: spec/05 section 3, "chosen for"; the borders 0.3 and 0.7 are ours.
    """
    match signals.kind:
        case TaskKind.PLANNING | TaskKind.REASONING | TaskKind.EVALUATION:
            return Step.OPUS if signals.complexity >= 0.3 else Step.SONNET_ADVISOR
        case TaskKind.SYNTHESIS:
            return Step.SONNET_ADVISOR
        case TaskKind.DRAFTING | TaskKind.ANALYSIS | TaskKind.COMPARISON:
            return Step.SONNET_ADVISOR if signals.novelty >= 0.7 else Step.SONNET
        case TaskKind.EXTRACTION:
            return Step.HAIKU_ADVISOR
        case TaskKind.CLASSIFICATION | TaskKind.TAGGING | TaskKind.RERANKING:
            return Step.HAIKU


# ---- A: hard bounds


def _allowed(question: Question, asked: Step) -> tuple[Step, ...]:
    """The asked step and those below it, as far as they are allowed; a pin is never exchanged."""
    config = question.config
    candidates = (asked,) if _is_pinned(question) else LADDER[LADDER.index(asked) :]
    tiers, advisors = config.allowed_tiers, config.advisor_enabled
    return tuple(step for step in candidates if step.tier in tiers and (advisors or not step.advisor))


def _is_pinned(question: Question) -> bool:
    return question.pinned and question.config.allow_override


def _denied(question: Question, steps: Sequence[Step]) -> Reason | None:
    deadline = question.conditions.deadline_in_ms
    if deadline is not None and deadline <= 0:
        return Reason.DEADLINE_PASSED
    if question.conditions.turns_left is not None and question.conditions.turns_left <= 0:
        return Reason.TURNS_USED
    return None if steps else Reason.NOT_ALLOWED


def _payable(question: Question, wanted: _Choice, costs: _Costs) -> _Choice:
    """The wanted step, or the next one down that every account on the path can pay."""
    short = lacking(costs[wanted.step], question.budget)
    if short is None:
        return wanted
    step = wanted.step
    for step in _allowed(question, wanted.step)[1:]:
        short = lacking(costs[step], question.budget)
        if short is None:
            return _Choice(step, Reason.BOUNDED)
    return _Choice(step, Reason.BUDGET_OUT, open=False, lacking=short)


# ---- B: the gradient


def _wanted(question: Question, asked: Step, steps: Sequence[Step], felt: Strain, costs: _Costs) -> _Choice:
    config = question.config
    if _is_pinned(question):
        return _Choice(steps[0], Reason.PINNED)
    if config.allow_override and question.signals.priority is Priority.P0:
        return _Choice(steps[0], Reason.OVERRIDE)
    step, relief = relieve(steps, felt, lambda step: costs[step].usd_micros)
    confined = relief is Relief.AS_ASKED and step is not asked
    return _Choice(step, Reason.CONFINED if confined else Reason(relief))


# ---- C: the schedule


def _schedule(question: Question, choice: _Choice, felt: Strain, price: Cost) -> Decision:
    mode, mode_reason, resume_in_ms = _mode(question)
    place, place_reason = _place(question)
    value_reason = _value(question, price)
    reason, go_on = choice.reason, choice.open
    if choice.reason is Reason.BUDGET_OUT:
        mode, mode_reason, resume_in_ms, go_on = Mode.YIELD, Reason.BUDGET_OUT, None, True
        value_reason = Reason.UNTESTED
    elif choice.open and value_reason is Reason.NOT_WORTH_IT:
        reason, go_on = value_reason, False
    elif choice.open and mode is Mode.YIELD:
        reason = mode_reason
    return Decision(
        step=choice.step,
        mode=mode,
        place=place,
        go_on=go_on,
        reason=reason,
        mode_reason=mode_reason,
        place_reason=place_reason,
        value_reason=value_reason,
        cost=price,
        pressure=felt.worst,
        alerts=alerted(question.budget, question.config.thresholds),
        resume_in_ms=resume_in_ms,
        lacking=choice.lacking,
    )


def _mode(question: Question) -> tuple[Mode, Reason, int | None]:
    now, plan = question.conditions, question.config.schedule
    near = now.deadline_in_ms is not None and now.deadline_in_ms <= plan.urgent_ms
    if not now.providers_up:
        return Mode.YIELD, Reason.PROVIDERS_DOWN, plan.provider_retry_ms
    if near or question.signals.priority is Priority.P0:
        return Mode.SYNC, Reason.URGENT, None
    if now.queue_depth >= plan.deep_queue:
        return Mode.YIELD, Reason.QUEUE_DEEP, plan.queue_retry_ms
    if question.signals.mode is not None:
        return question.signals.mode, Reason.AS_WISHED, None
    if question.signals.batchable and question.signals.priority is Priority.P2:
        return Mode.BATCH, Reason.BATCHED, None
    if now.expected_latency_ms > plan.patience_ms:
        return Mode.ASYNC, Reason.SLOW, None
    return Mode.SYNC, Reason.PROMPT, None


def _place(question: Question) -> tuple[Place, Reason]:
    large = question.size.input_tokens + question.size.output_tokens >= question.config.schedule.spawn_from_tokens
    if not (large and question.signals.independent):
        return Place.INLINE, Reason.SMALL_PART
    room = (question.conditions.children_left, question.conditions.depth_left)
    if any(left is not None and left <= 0 for left in room):
        return Place.INLINE, Reason.NO_ROOM
    return Place.SPAWN, Reason.LARGE_PART


def _value(question: Question, price: Cost) -> Reason:
    """Gain against price: value x what is still open, against the price x granted / free of the tightest account."""
    value = question.signals.value_usd_micros
    if value is None:
        return Reason.UNTESTED
    gain = value * round(question.signals.uncertainty * 1000)
    for accounts in question.budget or ({},):
        account = accounts.get(USD)
        granted, free = (account.granted, account.free) if account else (None, None)
        weight, over = (1, 1) if granted is None or free is None else (max(1, granted), max(0, free))
        if gain * over <= price.usd_micros * weight * 1000:
            return Reason.NOT_WORTH_IT
    return Reason.WORTH_IT
