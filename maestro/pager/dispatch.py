"""The contract of a model call: a stateless function of what is sent, the same for every provider.

Invariants:
- nothing here names a provider, a model or an SDK, and no provider keeps a conversation for us;
- executor and advisor tokens are separate accounts; money is integers of micro-dollars;
- text that goes out or comes in is valid UTF-8 without NUL.

What is not here: who answers (`failover`), what it costs (`prices`), that it is answered once (`desk`).

Source: spec/05 section 5.
"""

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal, Protocol, Self, runtime_checkable

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from maestro.budget.vector import MICROS_PER_USD, USD, BudgetVector
from maestro.errors import InvalidInput
from maestro.ids import CallId
from maestro.policy.gradient import Step, Tier


class Mode(StrEnum):
    """How soon the answer is wanted; the kernel decides it."""

    SYNC = "sync"
    ASYNC = "async"
    BATCH = "batch"


class StopReason(StrEnum):
    """Why the model stopped; a refusal is an error, not a reason."""

    END = "end"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    OTHER = "other"


def checked_tier(tier: str) -> Tier:
    """`tier` as a tier.

    Raises:
        InvalidInput: another word; the text lists the allowed ones.
    """
    if tier not in set(Tier):
        raise InvalidInput(f"unknown tier {tier!r:.60}", field="tier", hint=f"use one of {', '.join(Tier)}")
    return Tier(tier)


def checked_mode(mode: str) -> Mode:
    """`mode` as a mode.

    Raises:
        InvalidInput: another word; the text lists the allowed ones.
    """
    if mode not in set(Mode):
        raise InvalidInput(f"unknown mode {mode!r:.60}", field="mode", hint=f"use one of {', '.join(Mode)}")
    return Mode(mode)


def checked_thinking(thinking: object) -> object:
    """`thinking` as it is, when it is `adaptive`, `off` or an allowance of tokens.

    Raises:
        InvalidInput: anything else.
    """
    allowance = isinstance(thinking, int) and not isinstance(thinking, bool) and thinking > 0
    if thinking not in ("adaptive", "off") and not allowance:
        raise InvalidInput(
            f"unknown thinking {thinking!r:.60}", field="thinking", hint="use adaptive, off or a number of tokens"
        )
    return thinking


def clean_text(text: object) -> object:
    """`text` as every provider accepts it: NUL is gone, and half a surrogate pair has become U+FFFD."""
    if not isinstance(text, str):
        return text
    return text.replace("\x00", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


Text = Annotated[str, BeforeValidator(clean_text)]
Count = Annotated[int, Field(ge=0, strict=True)]
TierWord = Annotated[Tier, BeforeValidator(checked_tier)]
ModeWord = Annotated[Mode, BeforeValidator(checked_mode)]
Thinking = Literal["adaptive", "off"] | int


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ToolCall(_Shape):
    """The model asks for a tool; whether it may have it is decided elsewhere."""

    id: str
    name: str
    arguments: dict[str, JsonValue] = {}


class Tool(_Shape):
    """A tool as the model reads of it; `parameters` is a JSON schema."""

    name: str
    description: Text = ""
    parameters: dict[str, JsonValue] = {}


class Message(_Shape):
    """One message of the prompt."""

    role: Literal["user", "assistant", "tool"]
    content: Text = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


class ModelUsage(_Shape):
    """Tokens that were billed. Input counts what was read in all, from the provider's cache or not."""

    executor_input_tokens: Count = 0
    executor_output_tokens: Count = 0
    advisor_input_tokens: Count = 0
    advisor_output_tokens: Count = 0
    cache_read_tokens: Count = 0
    cache_creation_tokens: Count = 0

    @property
    def total_tokens(self) -> int:
        return (
            self.executor_input_tokens
            + self.executor_output_tokens
            + self.advisor_input_tokens
            + self.advisor_output_tokens
        )

    def __add__(self, other: Self) -> Self:
        return type(self)(**{name: getattr(self, name) + getattr(other, name) for name in type(self).model_fields})


class ModelCallResult(_Shape):
    """An answer, and all that it took.

    `charge` is what the ledger settles; `cost_usd_micros` is its money. `estimated` says that the provider's figures
    were missing or not to be believed, and the reserved maximum was charged instead.
    """

    schema_version: Literal[1] = 1
    content: Text
    tool_calls: tuple[ToolCall, ...] = ()
    stop_reason: StopReason
    tier: TierWord
    step: Step
    provider: str
    model: str
    latency_ms: Count
    cost_usd_micros: Count
    usage: ModelUsage
    charge: BudgetVector
    estimated: bool = False
    advisor_consulted: bool = False
    attempts: Annotated[int, Field(ge=1)] = 1
    call_id: CallId
    manifest_hash: str | None = None
    edition: Count = 0
    """Which edition of what was told in pieces is this answer, word for word; 0 for none."""

    @model_validator(mode="after")
    def _money_agrees(self) -> Self:
        if self.cost_usd_micros != self.charge[USD]:
            raise ValueError(f"cost of {self.cost_usd_micros} differs from the charge of {self.charge[USD]}")
        return self

    @property
    def cost_usd(self) -> Decimal:
        return Decimal(self.cost_usd_micros) / MICROS_PER_USD


@runtime_checkable
class ModelDispatch(Protocol):
    """Whoever answers model calls. Stateless: all that a call depends on is in its arguments."""

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
        """The answer of some provider of `tier`.

        Args:
            budget: what is left; the call is refused when its maximum price is more.

        Raises:
            InvalidInput: no such tier or mode.
            BudgetExceededError: the budget does not cover the maximum price; nobody was asked.
            TerminalModelError: no provider would answer otherwise.
            ProvidersExhausted: all failed recoverably; `retry_after_ms` among the facts.
        """
        ...

    async def health_check(self) -> dict[str, bool]:
        """Target -> whether it answers now. Asks each for one token, on the operator's account."""
        ...

    def supported_tiers(self) -> list[str]:
        """The tiers that have a priced target."""
        ...
