"""A model call without litellm: one POST in OpenAI's format to a provider of one's own, billed by what it says.

What it is not: a dispatcher. Nothing fails over here; whoever tests that tests `maestro.pager`.
"""

import asyncio
import json
import urllib.error
import urllib.request
from typing import Any

from maestro.errors import ProviderUnavailable
from maestro.pager.desk import Answering
from maestro.pager.dispatch import ModelCallResult, ModelUsage, StopReason
from maestro.pager.prices import Price, PricedTarget, PriceTable, bill
from maestro.pager.request import ModelRequest
from maestro.policy.gradient import Tier

TIMEOUT_S = 15.0
PRICE = Price(input_micros_per_mtok=1_000_000, output_micros_per_mtok=5_000_000)
PRICES = PriceTable(tiers={tier: (PricedTarget(target=f"chaos/{tier}", price=PRICE),) for tier in Tier})


def asking(base_url: str) -> Answering:
    """Asks the provider at `base_url`."""

    async def ask(request: ModelRequest) -> ModelCallResult:
        try:
            told = await asyncio.to_thread(_post, f"{base_url}/chat/completions", _body(request))
        except (OSError, urllib.error.URLError, ValueError) as error:
            raise ProviderUnavailable(f"the provider did not answer: {error}", hint="ask again") from None
        counted = told["usage"]
        usage = ModelUsage(
            executor_input_tokens=counted["prompt_tokens"], executor_output_tokens=counted["completion_tokens"]
        )
        charged = bill(request, usage, PRICE)
        return ModelCallResult(
            content=told["choices"][0]["message"]["content"],
            stop_reason=StopReason.END,
            tier=request.tier,
            step=request.step,
            provider="chaos",
            model="chaos/fake",
            latency_ms=1,
            cost_usd_micros=charged.charge["usd"],
            usage=charged.usage,
            charge=charged.charge,
            call_id=request.call_id,
        )

    return ask


def _body(request: ModelRequest) -> dict[str, Any]:
    messages = [{"role": str(each.role), "content": str(each.content)} for each in request.messages]
    return {"model": "fake", "messages": messages, "max_tokens": request.max_output_tokens, "user": request.call_id}


def _post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    asked = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})  # noqa: S310 - our own provider
    with urllib.request.urlopen(asked, timeout=TIMEOUT_S) as answer:  # noqa: S310
        told: dict[str, Any] = json.loads(answer.read())
    return told
