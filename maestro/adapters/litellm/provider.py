"""One target over litellm: a request goes out once, and comes back as a priced result or as an error of our tree.

Invariants: no retry here but one, the repair of an answer by schema, and that only where the reservation covers it too;
nothing runs past the limit that was given; what a provider has answered is charged, also when it is of no use.

Source: spec/05 sections 5 and 7; PROMISES F70 to F74, B48, B53, B58, B59.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import litellm

from maestro.adapters.litellm.failures import translate
from maestro.adapters.litellm.sdk import close_connections, listed_row
from maestro.adapters.litellm.streamed import Streamed
from maestro.adapters.litellm.structured import JsonObject, NotAnObject, read_object
from maestro.adapters.litellm.wire import (
    RefusedAnswer,
    UnreadableAnswer,
    WireAnswer,
    read_answer,
    read_usage,
    wire_messages,
    wire_tools,
)
from maestro.budget.vector import TOKENS, USD, BudgetVector
from maestro.errors import AnswerLost, ContentPolicy, MalformedAnswer, ModelError, ProvidersExhausted, StoreError
from maestro.pager.dispatch import ModelCallResult
from maestro.pager.prices import Bill, Price, PricedTarget, bill, maximum_price
from maestro.pager.request import TOKENS_PER_MESSAGE, ModelRequest
from maestro.pager.targets import REHEARSAL, Target

HEALTH_LIMIT_MS = 10_000
TOKENS_FOR_REPAIR = 256
_JSON_MODE = frozenset({"openai", "azure"})
"""Providers whose JSON mode is known to take the instruction as it is."""
_MESSAGES = frozenset({"anthropic", "azure_ai", "bedrock"})
"""Providers that speak Anthropic's format to its models, and cache up to where they are told."""
ADAPTIVE_LEAST_TOKENS = 4_096  # thinking counts as output: with less room than this it may leave none for the answer


MayRepeat = Callable[[ModelRequest], Awaitable[None]]
"""Raises what forbids to ask a second time inside an attempt: ProvidersExhausted under the brake, StoreError."""


@dataclass(frozen=True, slots=True)
class _Exchange:
    """One answered request and what it is charged."""

    answer: WireAnswer
    bill: Bill


class LiteLLMProvider:
    """A provider of a failover chain."""

    def __init__(self, target: Target, price: Price, may_repeat: MayRepeat) -> None:
        self._target = target
        self._price = price
        self._may_repeat = may_repeat
        self._in_list = bool(listed_row(target.model))
        self._thinks = self._in_list and litellm.supports_reasoning(target.model)
        self._adapts = bool(listed_row(target.model).get("supports_adaptive_thinking"))
        self._caches = target.provider in _MESSAGES and "claude" in target.model

    @property
    def target(self) -> str:
        return self._target.name

    async def answer(self, request: ModelRequest, limit_ms: int) -> ModelCallResult:
        """See failover.Provider."""
        began_ms = _now_ms()
        messages = wire_messages(request, breakpoints=self._caches)
        exchange = await self._exchange(request, messages, limit_ms)
        if request.answer_schema is not None and not exchange.answer.tool_calls:
            took_ms = _now_ms() - began_ms
            times = took_ms, limit_ms - took_ms
            exchange = await self._by_schema(request, messages, exchange, request.answer_schema, times)
        return self._result(request, exchange, began_ms)

    async def stream(self, request: ModelRequest, limit_ms: int) -> AsyncIterator[str | ModelCallResult]:
        """See maestro.pager.streaming.StreamProvider; an answer by schema that does not fit is not repaired."""
        began_ms = _now_ms()
        if self._target.provider == REHEARSAL:  # it has its answer at once
            whole = await self.answer(request, limit_ms)
            for word in re.findall(r"\S*\s*", whole.content):
                if word:
                    yield word
            yield whole
            return
        messages = wire_messages(request, breakpoints=self._caches)
        streaming: JsonObject = {"stream": True, "stream_options": {"include_usage": True}}
        options = self._options(request) | streaming
        streamed = Streamed(self._complete(messages, request.max_output_tokens, limit_ms, options))
        parts = streamed.pieces()
        try:
            while True:
                left_ms = limit_ms - (_now_ms() - began_ms)
                part = await asyncio.wait_for(anext(parts), left_ms / 1000)
                if not isinstance(part, str):
                    break
                yield part
        except Exception as error:
            refused = translate(error, self.target, request.price.model_dump(), self._target.api_key)
            raise (self._unusable(AnswerLost, refused, request.price) if streamed.begun else refused) from error
        finally:
            await parts.aclose()
        exchange = self._read(request, part)
        if request.answer_schema is not None and not exchange.answer.tool_calls:
            try:
                exchange = _with_content(
                    exchange, read_object(exchange.answer.content, request.answer_schema), exchange.bill
                )
            except NotAnObject as error:
                raise self._unusable(MalformedAnswer, error, exchange.bill.charge) from error
        yield self._result(request, exchange, began_ms)

    def _result(self, request: ModelRequest, exchange: _Exchange, began_ms: int) -> ModelCallResult:
        return ModelCallResult(
            content=exchange.answer.content,
            tool_calls=exchange.answer.tool_calls,
            stop_reason=exchange.answer.stop_reason,
            tier=request.tier,
            step=request.step,
            provider=self._target.provider,
            model=self._target.model,
            latency_ms=_now_ms() - began_ms,
            cost_usd_micros=exchange.bill.charge[USD],
            usage=exchange.bill.usage,
            charge=exchange.bill.charge,
            estimated=exchange.bill.estimated,
            call_id=request.call_id,
            manifest_hash=request.manifest_hash,
        )

    async def healthy(self) -> bool:
        """True when it answers one token within HEALTH_LIMIT_MS."""
        try:
            async with asyncio.timeout(HEALTH_LIMIT_MS / 1000):
                await self._completion([{"role": "user", "content": "ping"}], 1, HEALTH_LIMIT_MS, {})
        except Exception:  # noqa: BLE001 - whatever the reason: it does not answer
            return False
        return True

    async def close(self) -> None:
        """See failover.Provider."""
        await close_connections()

    async def _exchange(self, request: ModelRequest, messages: list[JsonObject], limit_ms: int) -> _Exchange:
        """One request to the provider, read and billed.

        Raises:
            ModelError: see failover.Provider.
        """
        try:
            async with asyncio.timeout(limit_ms / 1000):
                response = await self._completion(messages, request.max_output_tokens, limit_ms, self._options(request))
        except Exception as error:
            raise translate(error, self.target, request.price.model_dump(), self._target.api_key) from error
        return self._read(request, response)

    def _read(self, request: ModelRequest, response: litellm.ModelResponse) -> _Exchange:
        """What was answered, billed.

        Raises:
            ContentPolicy, MalformedAnswer: it is of no use; charged all the same.
        """
        billed = bill(request, read_usage(response), self._price)
        try:
            return _Exchange(read_answer(response), billed)
        except RefusedAnswer as error:
            raise self._unusable(ContentPolicy, error, billed.charge) from error
        except UnreadableAnswer as error:
            raise self._unusable(MalformedAnswer, error, billed.charge) from error

    async def _completion(
        self, messages: list[JsonObject], max_tokens: int, limit_ms: int, options: JsonObject
    ) -> litellm.ModelResponse:
        response = await self._complete(messages, max_tokens, limit_ms, options)
        if not isinstance(response, litellm.ModelResponse):
            raise TypeError(f"litellm answered with {type(response).__name__}")
        return response

    async def _complete(
        self, messages: list[JsonObject], max_tokens: int, limit_ms: int, options: JsonObject
    ) -> object:
        return await litellm.acompletion(
            model=self._target.model,
            messages=messages,
            max_tokens=max_tokens,
            api_base=self._target.api_base,
            api_key=self._target.api_key,
            timeout=limit_ms / 1000,
            num_retries=0,
            max_retries=0,
            **options,
        )

    def _options(self, request: ModelRequest) -> JsonObject:
        options: JsonObject = {}
        if request.tools and self._target.provider != REHEARSAL:  # which asks for none
            options["tools"] = list(wire_tools(request.tools))
        if request.answer_schema is not None and self._in_list and self._target.provider in _JSON_MODE:
            options["response_format"] = {"type": "json_object"}
        if thinking := self._thinking(request):
            options["thinking"] = thinking
        return options

    def _thinking(self, request: ModelRequest) -> JsonObject | None:
        """How the model is told to think; None where it is not to, cannot, or has no room for it."""
        if isinstance(request.thinking, int):
            fits = self._thinks and request.thinking < request.max_output_tokens
            return {"type": "enabled", "budget_tokens": request.thinking} if fits else None
        wanted = request.thinking == "adaptive" and request.max_output_tokens >= ADAPTIVE_LEAST_TOKENS
        return {"type": "adaptive"} if wanted and self._adapts else None

    async def _by_schema(
        self,
        request: ModelRequest,
        messages: list[JsonObject],
        first: _Exchange,
        schema: JsonObject,
        times: tuple[int, int],
    ) -> _Exchange:
        """`first` with the JSON object that it holds; repaired by one more request where it holds none.

        Args:
            times: how long the first took, and how much is left: a repair that would not end in time is not begun.

        Raises:
            MalformedAnswer: still none; or neither reservation nor deadline has room for a repair. All is charged.
            ProvidersExhausted: the brake came on in between; what was answered is charged.
        """
        took_ms, left_ms = times
        try:
            return _with_content(first, read_object(first.answer.content, schema), first.bill)
        except NotAnObject as error:
            complaint = error
        if left_ms < max(1, took_ms) or not self._pays_repair(request, first):
            raise self._unusable(MalformedAnswer, complaint, first.bill.charge)
        await self._look(request, complaint, first.bill.charge)
        try:
            second = await self._exchange(request, [*messages, *_repair(first.answer.content, complaint)], left_ms)
        except ModelError as error:
            raise self._unusable(MalformedAnswer, complaint, request.price) from error
        both = _sum(request, first.bill, second.bill)
        try:
            return _with_content(second, read_object(second.answer.content, schema), both)
        except NotAnObject as error:
            raise self._unusable(MalformedAnswer, error, both.charge) from error

    async def _look(self, request: ModelRequest, complaint: NotAnObject, charge: BudgetVector) -> None:
        """Nothing forbids a repair.

        Raises:
            ProvidersExhausted: the brake does.
            MalformedAnswer: nobody knows; without a word of the store there is none.
        """
        try:
            await self._may_repeat(request)
        except ProvidersExhausted as error:
            error.facts["charge"] = charge.model_dump()
            raise
        except StoreError as error:
            raise self._unusable(MalformedAnswer, complaint, charge) from error

    def _pays_repair(self, request: ModelRequest, first: _Exchange) -> bool:
        """True when the money and the tokens that the first answer left of the reservation cover another answer."""
        bound = request.input_bound_tokens + len(first.answer.content.encode()) + 2 * TOKENS_PER_MESSAGE
        target = PricedTarget(target=self.target, price=self._price)
        most = maximum_price(bound + TOKENS_FOR_REPAIR, request.max_output_tokens, request.tier, [target])
        spent = first.bill.charge
        return all(spent[name] + most[name] <= request.price[name] for name in (USD, TOKENS) if name in request.price)

    def _unusable(self, kind: type[ModelError], why: Exception, charge: BudgetVector) -> ModelError:
        return kind(
            f"{self.target}: {why}",
            hint="the answer was charged; it is not asked for again in this call",
            target=self.target,
            charge=charge.model_dump(),
        )


def _repair(content: str, complaint: NotAnObject) -> list[JsonObject]:
    text = f"That does not fit: {complaint}. Answer again, with the JSON object alone."
    return [{"role": "assistant", "content": content or "(nothing)"}, {"role": "user", "content": text}]


def _with_content(exchange: _Exchange, content: str, billed: Bill) -> _Exchange:
    answer = exchange.answer
    return _Exchange(WireAnswer(content, answer.tool_calls, answer.stop_reason), billed)


def _sum(request: ModelRequest, first: Bill, second: Bill) -> Bill:
    """Both bills as one; a repair is part of the same call, so the count of calls stays one."""
    if first.estimated or second.estimated:
        return Bill(request.price, first.usage + second.usage, estimated=True)
    both = {name: max(amount, first.charge[name]) for name, amount in second.charge.items()}
    for name in (USD, TOKENS):
        both[name] = first.charge[name] + second.charge[name]
    return Bill(BudgetVector(both), first.usage + second.usage, estimated=False)


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
