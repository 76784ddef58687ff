"""One call over a chain of providers: who is asked, how often, and when to give up.

Invariants:
- recoverable errors are retried, then go to the next target; all others surface at once, and nobody else is asked;
- an answer that was billed is never asked for again inside a call, even when it did not arrive (`AnswerLost`);
- nothing runs past the deadline of the request; a target that failed is left alone by all pagers while it cools down;
- each attempt looks at the notices first: under the brake none leaves, a retry neither.

What is not here: how a target is spoken to (adapters), how patient a call is (`retries`), that it is answered once
(`desk`). A request that timed out
without an answer is not charged; what its provider may bill for it all the same stays outside the ledger.

Source: spec/05 section 7; spec/09 section 8 for the cooldown; PROMISES F69 to F71.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from maestro.budget.ledger import exceeded
from maestro.budget.vector import BudgetVector
from maestro.errors import (
    AnswerLost,
    AuthRefused,
    ModelError,
    ProvidersExhausted,
    ProviderTimeout,
    RecoverableModelError,
    StoreError,
)
from maestro.ids import DEFAULT_TENANT, CallId, ContinuationId, new_token
from maestro.pager.advisor import Advised, reserved
from maestro.pager.dispatch import Message, ModelCallResult, Thinking, Tool, checked_mode, checked_tier
from maestro.pager.notices import LocalNotices, Notice, Notices
from maestro.pager.prices import PriceTable, charge_of
from maestro.pager.request import DEFAULT_MAX_OUTPUT_TOKENS, ModelRequest, input_bound_tokens
from maestro.pager.retries import RetryPolicy, Timing
from maestro.pager.streaming import Chunk, Reset, StreamProvider, Told, pays_another, with_charge
from maestro.policy.gradient import Step, Tier


class Provider(Protocol):
    """One target of a chain."""

    @property
    def target(self) -> str:
        """Its public name, `provider/model` and where it is; never a key."""
        ...

    async def answer(self, request: ModelRequest, limit_ms: int) -> ModelCallResult:
        """The answer, within `limit_ms` in all, asked for once.

        Raises:
            RecoverableModelError: nothing was answered; this target or another may, later.
            TerminalModelError: no target would answer otherwise; `charge` among the facts where it was billed.
            AnswerLost: it was answered and billed, and did not arrive.
        """
        ...

    async def healthy(self) -> bool:
        """True when it answers one token now."""
        ...

    async def close(self) -> None:
        """Its connections are closed; repeated, it changes nothing."""
        ...


@dataclass(slots=True)
class _Run:
    """One call under way."""

    chain: Sequence[Provider]
    deadline_ms: int
    attempts: int = 0
    charged: BudgetVector = BudgetVector({})
    failures: list[str] = field(default_factory=list)


class _Cooling(Exception):
    """A target is left alone for now."""


class FailoverModelRouter:
    """A ModelDispatch over chains of providers, one chain per tier, the preferred first."""

    def __init__(
        self,
        chains: Mapping[Tier, Sequence[Provider]],
        prices: PriceTable,
        policy: RetryPolicy | None = None,
        timing: Timing | None = None,
        notices: Notices | None = None,
        advisors: Sequence[Provider] | None = None,
    ) -> None:
        """A router over `chains`; `advisors` are asked for advice, in order: those of opus where that is not said."""
        self._chains = chains
        self.prices = prices
        self._policy = policy or RetryPolicy()
        self._timing = timing or Timing()
        self._notices = notices or LocalNotices(self._timing.now_ms)
        self._advisors = advisors if advisors is not None else chains.get(Tier.OPUS, ())
        advice = self._advice if self._advisors else None
        self._advised = Advised(prices, self._executed, advice, self._timing.now_ms)

    def told_by(self, notices: Notices) -> None:
        """From now on brake and cooldowns are those of `notices`."""
        self._notices = notices

    async def call(
        self,
        tier: str,
        messages: Sequence[Message],
        tools: Sequence[Tool] | None,
        budget: BudgetVector,
        mode: str,
        use_advisor: bool = False,
        system: str | None = None,
        thinking: Thinking = "adaptive",
    ) -> ModelCallResult:
        """See ModelDispatch. For callers without a journal; a tick goes through `desk`, with a ModelRequest."""
        wanted = checked_tier(tier)
        bound = input_bound_tokens(tuple(messages), system, tuple(tools or ()))
        advised = use_advisor and wanted is not Tier.OPUS
        step = next(step for step in Step if step.tier is wanted and step.advisor is advised)
        price = reserved(self.prices, step, bound, DEFAULT_MAX_OUTPUT_TOKENS)
        if short := budget.short_of(price):
            raise exceeded("reserve", short, price[short], budget[short])
        given = (tuple(messages), tuple(tools or ()), system, thinking)
        request = _direct(step, price, *given).model_copy(update={"mode": checked_mode(mode), "use_advisor": advised})
        return await self.answer(request)

    async def answer(self, request: ModelRequest) -> ModelCallResult:
        """The answer of the first target that gives one, an advisor asked in between where the request wants it.

        Raises:
            ModelError: as in ModelDispatch.
            StoreError: the notices cannot be read: nobody was asked after that.
        """
        return await self._advised.answer(request)

    async def stream(
        self,
        tier: str,
        messages: Sequence[Message],
        tools: Sequence[Tool] | None,
        budget: BudgetVector,
        system: str | None = None,
        thinking: Thinking = "adaptive",
    ) -> AsyncIterator[Told]:
        """See StreamDispatch. The reservation pays for a second attempt, where the budget does."""
        wanted = checked_tier(tier)
        bound = input_bound_tokens(tuple(messages), system, tuple(tools or ()))
        most = self.prices.maximum(wanted, bound, DEFAULT_MAX_OUTPUT_TOKENS)
        if short := budget.short_of(most):
            raise exceeded("reserve", short, most[short], budget[short])
        step = next(step for step in Step if step.tier is wanted and not step.advisor)
        price = most if budget.short_of(most + most) else most + most
        request = _direct(step, price, tuple(messages), tuple(tools or ()), system, thinking)
        async for told in self.answer_in_pieces(request):
            yield told

    async def answer_in_pieces(self, request: ModelRequest) -> AsyncIterator[Told]:
        """What is told of the answer to `request`; see maestro.pager.streaming.

        Raises:
            ModelError: as `answer`; with what was charged among its facts.
        """
        if request.use_advisor:  # it may ask before it answers: what it says first is not told
            whole = await self.answer(request)
            yield Chunk(whole.content)
            yield whole
            return
        self.prices.targets(request.tier)
        chain = self._chains.get(request.tier, ()) if self._policy.failover else self._chains[request.tier][:1]
        run = _Run(chain, deadline_ms=self._timing.now_ms() + request.deadline_ms)
        most = self.prices.maximum(request.tier, request.input_bound_tokens, request.max_output_tokens)
        attempt = request.model_copy(update={"price": most if request.price.covers(most) else request.price})
        for provider in chain:
            spoken = False
            try:
                async for told in self._pieces(provider, attempt, run):
                    if isinstance(told, ModelCallResult):
                        yield with_charge(told, run.charged, run.attempts)
                        return
                    spoken = True
                    yield Chunk(told)
            except _Cooling:
                run.failures.append(f"{provider.target}: cooling down")
            except ModelError as error:
                if spoken:
                    yield Reset(error.message)
                await self._after(provider, error, run, request.price, most)
        exhausted = await self._exhausted(request, run)
        exhausted.facts["charge"] = run.charged.model_dump()  # of those that broke off, where another was asked in vain
        raise exhausted

    async def _pieces(
        self, provider: Provider, attempt: ModelRequest, run: _Run
    ) -> AsyncIterator[str | ModelCallResult]:
        """The answer of one target, asked once."""
        await self._look(provider, attempt)
        left_ms = run.deadline_ms - self._timing.now_ms()
        if left_ms <= 0:
            raise ProviderTimeout(f"{provider.target}: not asked, no time is left")
        run.attempts += 1
        if not isinstance(provider, StreamProvider):
            whole = await provider.answer(attempt, left_ms)
            yield whole.content
            yield whole
            return
        async for told in provider.stream(attempt, left_ms):
            yield told

    async def _after(
        self, provider: Provider, error: ModelError, run: _Run, price: BudgetVector, most: BudgetVector
    ) -> None:
        """The next target may be asked.

        Raises:
            ModelError: it may not: no target would answer otherwise, or nothing is left to pay it with.
        """
        run.charged = run.charged + charge_of(error)
        goes_on = isinstance(error, RecoverableModelError | AnswerLost) and pays_another(price, run.charged, most)
        if not goes_on:
            error.facts["charge"] = run.charged.model_dump()
            raise error
        run.failures.append(error.message)
        asked_ms = self._policy.retry_after_ms(error) if isinstance(error, RecoverableModelError) else 0
        await self._cool(provider, asked_ms)

    async def _executed(self, request: ModelRequest) -> ModelCallResult:
        return await self._answer(request, self._chains.get(request.tier, ()))

    async def _advice(self, request: ModelRequest) -> ModelCallResult:
        return await self._answer(request, self._advisors)

    async def _answer(self, request: ModelRequest, providers: Sequence[Provider]) -> ModelCallResult:
        """The answer of one model, by the first of `providers` that gives it."""
        self.prices.targets(request.tier)
        chain = providers if self._policy.failover else providers[:1]
        run = _Run(chain, deadline_ms=self._timing.now_ms() + request.deadline_ms)
        for provider in chain:
            try:
                return await self._ask(provider, request, run)
            except _Cooling:
                run.failures.append(f"{provider.target}: cooling down")
            except AnswerLost:
                await self._cool(provider)
                raise
            except AuthRefused:
                await self._cool(provider, self._policy.refused_key_ms)
                raise
            except RecoverableModelError as error:
                run.failures.append(error.message)
                if self._timing.now_ms() >= run.deadline_ms:
                    break  # the call's own deadline says nothing about the target
                await self._cool(provider, self._policy.retry_after_ms(error))
        raise await self._exhausted(request, run)

    async def any_up(self) -> bool:
        """False when every target of every tier is left alone for now: whoever can wait need not ask."""
        targets = {provider.target for chain in self._chains.values() for provider in chain}
        left_ms = (await self._notices.read(sorted(targets))).left_ms
        return not targets or any(left_ms[target] <= 0 for target in targets)

    async def health_check(self) -> dict[str, bool]:
        providers = {provider.target: provider for chain in self._chains.values() for provider in chain}
        answers = await asyncio.gather(*(provider.healthy() for provider in providers.values()))
        return dict(zip(providers, answers, strict=True))

    async def close(self) -> None:
        """The connections of all providers are closed."""
        for chain in self._chains.values():
            for provider in chain:
                await provider.close()

    def supported_tiers(self) -> list[str]:
        return [str(tier) for tier in Tier if self._chains.get(tier) and tier not in self.prices.refused]

    async def _ask(self, provider: Provider, request: ModelRequest, run: _Run) -> ModelCallResult:
        """The answer of one target, within its retries and the deadline of the call."""
        for retry in range(self._policy.max_retries + 1):
            await self._look(provider, request)
            left_ms = run.deadline_ms - self._timing.now_ms()
            if left_ms <= 0:
                raise ProviderTimeout(f"{provider.target}: not asked, no time is left")
            run.attempts += 1
            try:
                result = await provider.answer(request, self._policy.limit_ms(request, left_ms))
                return result.model_copy(update={"attempts": run.attempts})
            except RecoverableModelError as error:
                pause_ms = self._policy.pause_ms(error, retry, self._timing.chance())
                left_ms = run.deadline_ms - self._timing.now_ms()
                if retry == self._policy.max_retries or pause_ms > self._policy.patience_ms or pause_ms >= left_ms:
                    raise
            await self._timing.sleep_ms(pause_ms)
        raise AssertionError("unreachable: the last retry returns or raises")

    async def _look(self, provider: Provider, request: ModelRequest) -> None:
        """Nothing forbids to ask `provider` now.

        Raises:
            ProvidersExhausted: the brake is on.
            _Cooling: this pager or another was refused there a moment ago.
        """
        notice = await self._notices.read([provider.target])
        self._check_brake(notice, request)
        if notice.left_ms[provider.target] > 0:
            raise _Cooling

    async def may_repeat(self, request: ModelRequest) -> None:
        """Nothing forbids a provider to be asked once more inside an attempt.

        Raises:
            ProvidersExhausted: the brake is on.
            StoreError: nobody knows.
        """
        self._check_brake(await self._notices.read([]), request)

    def _check_brake(self, notice: Notice, request: ModelRequest) -> None:
        if notice.braked:
            raise ProvidersExhausted(
                f"the brake is on: call {request.call_id} is not made",
                hint="`maestro thaw` lets it go on",
                retry_after_ms=self._policy.braked_ms,
                braked=True,
            )

    async def _cool(self, provider: Provider, asked_ms: int = 0) -> None:
        with contextlib.suppress(StoreError):  # it spares the target a request; nothing depends on it
            await self._notices.cool(provider.target, max(self._policy.cooldown_ms, asked_ms))

    async def _exhausted(self, request: ModelRequest, run: _Run) -> ProvidersExhausted:
        notice = await self._notices.read([provider.target for provider in run.chain])
        retry_after_ms = min(notice.left_ms.values()) or self._policy.cooldown_ms
        return ProvidersExhausted(
            f"no provider of tier {request.tier} answered call {request.call_id}: {'; '.join(run.failures)}",
            hint=f"it is tried again in {retry_after_ms / 1000:.0f} s; `maestro doctor` asks each target",
            retry_after_ms=retry_after_ms,
            attempts=run.attempts,
            tier=str(request.tier),
        )


def _direct(
    step: Step,
    price: BudgetVector,
    messages: tuple[Message, ...],
    tools: tuple[Tool, ...],
    system: str | None,
    thinking: Thinking,
) -> ModelRequest:
    """A request of somebody who has no journal."""
    return ModelRequest(
        call_id=CallId(new_token("call")),
        cid=ContinuationId("direct"),
        ordinal=0,
        tenant=DEFAULT_TENANT,
        tier=step.tier,
        step=step,
        messages=messages,
        system=system,
        tools=tools,
        price=price,
        thinking=thinking,
    )
