"""Requests, a scripted provider and a clock without real time, for the tests of this folder."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from maestro.budget.vector import USD, BudgetVector
from maestro.errors import ModelError
from maestro.ids import DEFAULT_TENANT, CallId, ContinuationId
from maestro.pager.dispatch import Message, ModelCallResult, ModelUsage, StopReason
from maestro.pager.prices import Price, PricedTarget, PriceTable
from maestro.pager.request import ModelRequest
from maestro.pager.retries import Timing
from maestro.policy.gradient import Step, Tier

PRICE = Price(input_micros_per_mtok=1_000_000, output_micros_per_mtok=5_000_000)
MAXIMUM = BudgetVector({"usd": 3_000, "tokens": 2_000, "cheap_model_calls": 1})
ACTUAL = BudgetVector({"usd": 35, "tokens": 15, "cheap_model_calls": 1})


def request(**changes: object) -> ModelRequest:
    """A haiku call."""
    fields: dict[str, object] = {
        "call_id": CallId("call-1"),
        "cid": ContinuationId("0123456789abcdefghjkmn-0"),
        "ordinal": 0,
        "tenant": DEFAULT_TENANT,
        "tier": Tier.HAIKU,
        "step": Step.HAIKU,
        "messages": (Message(role="user", content="hello"),),
        "max_output_tokens": 500,
        "price": MAXIMUM,
        "deadline_ms": 60_000,
    }
    return ModelRequest.model_validate(fields | changes)


def result(of: ModelRequest, content: str = "ok", charge: BudgetVector = ACTUAL) -> ModelCallResult:
    """An answer to `of`."""
    return ModelCallResult(
        content=content,
        stop_reason=StopReason.END,
        tier=of.tier,
        step=of.step,
        provider="scripted",
        model="scripted/one",
        latency_ms=1,
        cost_usd_micros=charge[USD],
        usage=ModelUsage(executor_input_tokens=10, executor_output_tokens=5),
        charge=charge,
        call_id=of.call_id,
    )


@dataclass
class FakeTime:
    """Time that moves by sleeping only."""

    now_ms: int = 0
    slept_ms: list[int] = field(default_factory=list)

    async def sleep_ms(self, ms: int) -> None:
        self.slept_ms.append(ms)
        self.now_ms += ms

    def timing(self, chance: float = 1.0) -> Timing:
        return Timing(now_ms=lambda: self.now_ms, sleep_ms=self.sleep_ms, chance=lambda: chance)


@dataclass
class ScriptedProvider:
    """Raises or answers in the order of its script; then it answers for ever. Each call takes `takes_ms`."""

    target: str
    time: FakeTime
    script: list[ModelError | str] = field(default_factory=list)
    takes_ms: int = 10
    limits_ms: list[int] = field(default_factory=list)
    closed: bool = False

    async def answer(self, request: ModelRequest, limit_ms: int) -> ModelCallResult:
        self.limits_ms.append(limit_ms)
        self.time.now_ms += min(self.takes_ms, limit_ms)
        act = self.script.pop(0) if self.script else self.target
        if isinstance(act, ModelError):
            raise act
        return result(request, act)

    async def healthy(self) -> bool:
        return not self.script

    async def close(self) -> None:
        self.closed = True

    @property
    def calls(self) -> int:
        return len(self.limits_ms)


def table(*targets: str, tier: Tier = Tier.HAIKU) -> PriceTable:
    """A price table of one tier."""
    return PriceTable(tiers={tier: tuple(PricedTarget(target=name, price=PRICE) for name in targets)})


def names(providers: Sequence[ScriptedProvider]) -> tuple[str, ...]:
    return tuple(provider.target for provider in providers)
