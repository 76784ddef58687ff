"""An answer in pieces: what is told while it comes, and who takes over when it breaks off.

    Chunk Chunk Chunk                       ModelCallResult      all went well
    Chunk Chunk  Reset(because)  Chunk ...  ModelCallResult      the next target began anew
    Chunk        Reset(because)             raises AnswerLost    and the reservation does not pay for another

Invariants: the chunks behind the last Reset are the content of the result, word for word: nothing is ever spliced;
an attempt that had begun to speak is charged in full, and another begins only where the reservation pays for both;
each target is tried once.

What is not here: waiting for a whole answer, with retries and an advisor (`failover`).
Source: spec/05 sections 5 and 7; PROMISES F72, F74.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from maestro.budget.vector import USD, BudgetVector
from maestro.pager.dispatch import Message, ModelCallResult, Thinking, Tool
from maestro.pager.request import ModelRequest

BOTH = 2  # attempts that a reservation for a stream pays for, where the budget allows


@dataclass(frozen=True, slots=True)
class Chunk:
    """More of the text."""

    text: str


@dataclass(frozen=True, slots=True)
class Reset:
    """All text so far is void."""

    because: str


Told = Chunk | Reset | ModelCallResult
"""What a stream tells; the result is the last."""


@runtime_checkable
class StreamProvider(Protocol):
    """One target of a chain that can answer in pieces."""

    def stream(self, request: ModelRequest, limit_ms: int) -> AsyncIterator[str | ModelCallResult]:
        """Pieces of the text, then the result, within `limit_ms` in all.

        Raises:
            ModelError: as maestro.pager.failover.Provider.answer; once a piece was told, AnswerLost.
        """
        ...


@runtime_checkable
class StreamDispatch(Protocol):
    """Whoever answers model calls in pieces."""

    def stream(
        self,
        tier: str,
        messages: Sequence[Message],
        tools: Sequence[Tool] | None,
        budget: BudgetVector,
        system: str | None = None,
        thinking: Thinking = "adaptive",
    ) -> AsyncIterator[Told]:
        """What is told of the answer of some provider of `tier`; the errors are those of ModelDispatch.call."""
        ...


def pays_another(price: BudgetVector, charged: BudgetVector, most: BudgetVector) -> bool:
    """True when a reservation of `price` pays for one attempt of `most` more."""
    return price.covers(charged + most)


def with_charge(result: ModelCallResult, charged: BudgetVector, attempts: int) -> ModelCallResult:
    """`result` with what was charged before it."""
    charge = result.charge + charged
    return result.model_copy(
        update={
            "charge": charge,
            "cost_usd_micros": charge[USD],
            "attempts": attempts,
            "estimated": result.estimated or bool(charged),
        }
    )
