"""A model provider inside the process: deterministic, billed on its own side, and unreliable where it is told to be.

It speaks no wire format (that is `maestro.testing.provider`): it is what stands behind a PagerDesk. Its answers are
those of the rehearsal model. The bill is kept call by call, so that it can be laid beside the ledger.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from maestro.adapters.litellm.rehearsal import REHEARSAL_PRICES, rehearse
from maestro.adapters.litellm.structured import schema_instruction
from maestro.budget.vector import USD, BudgetVector
from maestro.errors import AnswerLost, ProvidersExhausted
from maestro.ids import CallId, ContinuationId
from maestro.pager.dispatch import ModelCallResult, ModelUsage, StopReason, ToolCall
from maestro.pager.prices import PricedTarget, PriceTable, bill
from maestro.pager.request import ModelRequest

PROVIDER = "rehearsal"
PRICES = PriceTable(
    tiers={tier: (PricedTarget(target=f"{PROVIDER}/{tier}", price=price),) for tier, price in REHEARSAL_PRICES.items()}
)
Said = str | Sequence[ToolCall]
"""Text, or the tools that a model asks for."""
Say = Callable[[ModelRequest], Said]
AWAY_MS = 2_000  # what a provider that is down names as the time to come back


@dataclass(frozen=True, slots=True)
class Billed:
    """One answer as the provider charges it, whether or not anybody got it."""

    call_id: CallId
    cid: ContinuationId
    usd_micros: int
    arrived: bool


@dataclass(slots=True)
class BillingProvider:
    """Answers requests and writes bills.

    Args:
        random: where luck and slowness come from; None is always well and at once.
        say: what it answers in place of the rehearsal model.
    """

    random: Random | None = None
    slowest_s: float = 0.0
    down_per_thousand: int = 0
    lost_per_thousand: int = 0
    say: Say | None = None
    bills: list[Billed] = field(default_factory=list)

    async def answer(self, request: ModelRequest) -> ModelCallResult:
        """maestro.pager.desk.Answering.

        Raises:
            ProvidersExhausted: it is down; nothing is billed.
            AnswerLost: it answered and billed, and the answer did not arrive; charged in full.
        """
        drawn = 1_000.0 if self.random is None else 1_000 * self.random.random()
        if self.random is not None and self.slowest_s:
            await asyncio.sleep(self.slowest_s * self.random.random())
        if drawn < self.down_per_thousand:
            raise ProvidersExhausted("the provider is down", hint="a planted fault", retry_after_ms=AWAY_MS)
        result = _answer(request, self.say)
        lost = drawn < self.down_per_thousand + self.lost_per_thousand
        self.bills.append(Billed(request.call_id, request.cid, result.charge[USD], not lost))
        if lost:
            raise AnswerLost("the answer was lost", hint="a planted fault", charge=request.price.model_dump())
        return result

    def heal(self) -> None:
        """It is always well from now on."""
        self.random = None


def _answer(request: ModelRequest, say: Say | None) -> ModelCallResult:
    system = request.system or ""
    if request.answer_schema is not None:
        system = f"{system}\n\n{schema_instruction(request.answer_schema)}"
    prompt = [{"role": message.role, "content": message.content} for message in request.messages]
    said = rehearse([{"role": "system", "content": system}, *prompt])
    usage = ModelUsage(executor_input_tokens=said.input_tokens, executor_output_tokens=said.output_tokens)
    told = said.text if say is None else say(request)
    calls = () if isinstance(told, str) else tuple(told)
    charge: BudgetVector = bill(request, usage, PRICES.targets(request.tier)[0].price).charge
    return ModelCallResult(
        content=told if isinstance(told, str) else "",
        tool_calls=calls,
        stop_reason=StopReason.TOOL_CALLS if calls else StopReason.END,
        tier=request.tier,
        step=request.step,
        provider=PROVIDER,
        model=request.tier.value,
        latency_ms=0,
        cost_usd_micros=charge[USD],
        usage=usage,
        charge=charge,
        call_id=request.call_id,
        manifest_hash=request.manifest_hash,
    )
