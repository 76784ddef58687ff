"""What the tests of model dispatch share: backends over real wire formats, and a request."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import pytest
from pydantic import BaseModel

from maestro.adapters.litellm import open_dispatch
from maestro.ids import DEFAULT_TENANT, CallId, ContinuationId
from maestro.pager.dispatch import Message
from maestro.pager.failover import FailoverModelRouter
from maestro.pager.prices import Price
from maestro.pager.request import ModelRequest, input_bound_tokens
from maestro.pager.retries import RetryPolicy
from maestro.pager.targets import Target, tier_chains
from maestro.policy.gradient import Step, Tier
from maestro.testing.provider import FakeProvider, Say
from tests.contract.models import HASTY, WIRES, target

PRICE = Price(input_micros_per_mtok=1_000_000, output_micros_per_mtok=5_000_000, source="override")
GOAL = "Goal: find papers about federated reinforcement learning for robots"
PAPER = (
    "# About\nFederated reinforcement learning for robots\nWe train robots with federated reinforcement learning. "
    "The weather was fine. See http://feeds.test/abs/1."
)
OTHER = "# About\nBread in the middle ages\nBakers of the thirteenth century. They used rye."


class Verdict(BaseModel):
    relevant: bool
    score: float
    why: str
    link: str | None = None
    kind: Literal["paper", "news"] = "paper"


@dataclass
class Backend:
    """One way to be answered: a dispatch whose tier haiku has one target."""

    wire: str
    dispatch: FailoverModelRouter
    fake: FakeProvider | None = None

    def target(self, fake: FakeProvider) -> Target:
        return target(self.wire, fake, PRICE)

    def chained(self, *fakes: FakeProvider, policy: RetryPolicy = HASTY) -> FailoverModelRouter:
        return open_dispatch({Tier.HAIKU: tuple(self.target(fake) for fake in fakes)}, policy)


@pytest.fixture
def first() -> Iterator[FakeProvider]:
    with FakeProvider() as fake:
        yield fake


@pytest.fixture
def second() -> Iterator[FakeProvider]:
    with FakeProvider(Say("from the second")) as fake:
        yield fake


@pytest.fixture(params=["rehearsal", *WIRES])
async def backend(request: pytest.FixtureRequest, first: FakeProvider) -> AsyncIterator[Backend]:
    backend = Backend(request.param, open_dispatch(tier_chains({}), HASTY))
    if request.param != "rehearsal":
        backend = replace(backend, dispatch=backend.chained(first), fake=first)
    yield backend
    await backend.dispatch.close()


@pytest.fixture(params=list(WIRES))
async def wire(request: pytest.FixtureRequest, first: FakeProvider) -> AsyncIterator[Backend]:
    """A dispatch over the first fake provider."""
    backend = Backend(request.param, open_dispatch(tier_chains({}), HASTY))
    backend = replace(backend, dispatch=backend.chained(first), fake=first)
    yield backend
    await backend.dispatch.close()


def asked(backend: Backend, about: str = PAPER, **changes: object) -> ModelRequest:
    """A request whose price is the maximum, as a tick reserves it."""
    messages = (Message(role="user", content=about),)
    fields: dict[str, object] = {
        "call_id": CallId("call-1"),
        "cid": ContinuationId("0123456789abcdefghjkmn-0"),
        "ordinal": 0,
        "tenant": DEFAULT_TENANT,
        "tier": Tier.HAIKU,
        "step": Step.HAIKU,
        "messages": messages,
        "system": GOAL,
        "max_output_tokens": 200,
        "deadline_ms": 20_000,
    } | changes
    schema = fields.get("answer_schema")
    bound = input_bound_tokens(messages, GOAL, (), schema if isinstance(schema, dict) else None)
    price = backend.dispatch.prices.maximum(Tier.HAIKU, bound, 200)
    return ModelRequest.model_validate({"price": price} | fields)
