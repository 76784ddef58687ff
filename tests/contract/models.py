"""What the suites of model calls share: where a fake provider listens for each wire format, and a request."""

import asyncio
from dataclasses import replace

from maestro.adapters.litellm import open_dispatch
from maestro.ids import DEFAULT_TENANT, CallId, ContinuationId
from maestro.pager.advisor import CONSULT, reserved
from maestro.pager.dispatch import Message
from maestro.pager.failover import FailoverModelRouter
from maestro.pager.prices import Price
from maestro.pager.request import ModelRequest, input_bound_tokens
from maestro.pager.retries import RetryPolicy
from maestro.pager.targets import Target
from maestro.policy.gradient import Step, Tier
from maestro.testing.provider import FakeProvider

KEY = "sk-very-secret"
PRICE = Price(
    input_micros_per_mtok=1_000_000,
    output_micros_per_mtok=5_000_000,
    cache_read_micros_per_mtok=100_000,
    cache_creation_micros_per_mtok=1_250_000,
    source="override",
)
HASTY = RetryPolicy(max_retries=1, backoff_ms=1, attempt_timeout_ms=10_000)
WIRES = {
    "openai": ("openai/fake", "openai_base"),
    "anthropic": ("anthropic/claude-fake", "anthropic_base"),
    "azure_ai": ("azure_ai/claude-fake", "foundry_base"),
    "bedrock": ("bedrock/invoke/anthropic.claude-fake", "bedrock_base"),
}
"""Provider -> its model and where the fake one listens for it."""
PROFILES = {"azure": ("azure_ai", "anthropic", "bedrock"), "aws": ("bedrock", "anthropic", "azure_ai")}
"""Tenant profile -> the wires of its chain."""


def target(wire: str, fake: FakeProvider, price: Price | None = PRICE) -> Target:
    """The fake provider as one that speaks `wire`."""
    model, base = WIRES[wire]
    return Target(model, getattr(fake, base), KEY, price)


def asking(router: FailoverModelRouter, step: Step = Step.HAIKU, **changes: object) -> ModelRequest:
    """A request of `step`, its worst price reserved as a tick does it."""
    fields: dict[str, object] = {
        "call_id": CallId("call-1"),
        "cid": ContinuationId("0123456789abcdefghjkmn-0"),
        "ordinal": 0,
        "tenant": DEFAULT_TENANT,
        "tier": step.tier,
        "step": step,
        "use_advisor": step.advisor,
        "system": "Goal: find papers about robots",
        "messages": (Message(role="user", content="What of it?"),),
        "max_output_tokens": 200,
        "deadline_ms": 20_000,
        **changes,
    }
    bound = input_bound_tokens(fields["messages"], fields["system"], (), None)  # type: ignore[arg-type]
    return ModelRequest.model_validate({"price": reserved(router.prices, step, bound, 200)} | fields)


def router(chains: dict[Tier, list[Target]], policy: RetryPolicy = HASTY, advises: bool = True) -> FailoverModelRouter:
    """A dispatch over `chains`."""
    return open_dispatch({tier: tuple(chain) for tier, chain in chains.items()}, replace(policy), advises=advises)


def load() -> None:
    """The SDK behind each wire format is loaded: it takes seconds, and no deadline of a test is meant for it."""

    async def once() -> None:
        patient = RetryPolicy(max_retries=0, attempt_timeout_ms=120_000)
        with FakeProvider() as fake:
            for wire in WIRES:
                made = router({Tier.HAIKU: [target(wire, fake)]}, patient)
                await made.answer(asking(made, tools=(CONSULT,), deadline_ms=120_000))  # tools load one more library
                await made.close()

    asyncio.run(once())
