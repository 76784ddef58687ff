"""What a tick hands to the pager, as one frozen value: all that an answer may depend on.

Invariants: a stored request re-creates the identical call; its `call_id` names that call for ever, over crashes and
re-adoptions; `price` was reserved before the request was made.

Source: spec/05 section 5 "Stateless"; DESIGN section 3 `call`.
"""

from typing import Annotated, Literal, Self

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from maestro.budget.vector import BudgetVector
from maestro.errors import InvalidInput
from maestro.ids import CallId, ContinuationId, TenantId
from maestro.pager.dispatch import Message, Mode, ModeWord, Text, Thinking, TierWord, Tool, checked_thinking
from maestro.policy.gradient import Step

DEFAULT_MAX_OUTPUT_TOKENS = 2_048
DEFAULT_DEADLINE_MS = 120_000

TOKENS_PER_MESSAGE = 16  # role markers and separators; no known format takes more
TOKENS_PER_REQUEST = 64
TOKENS_FOR_TOOLS = 1_024  # the hidden prompt that providers add for tool use: 300 to 800 tokens as documented
TOKENS_FOR_SCHEMA = 256  # the instruction around a schema; the schema itself is counted twice, as text and as parameter


class ModelRequest(BaseModel):
    """One call of one tick. `deadline_ms` is for the whole of it, all targets and retries together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    call_id: CallId
    cid: ContinuationId
    ordinal: Annotated[int, Field(ge=0)]
    tenant: TenantId
    tier: TierWord
    step: Step
    messages: Annotated[tuple[Message, ...], Field(min_length=1)]
    system: Text | None = None
    tools: tuple[Tool, ...] = ()
    answer_schema: dict[str, JsonValue] | None = None
    """A JSON schema of an object: the answer's content is then one JSON object that fits it."""
    max_output_tokens: Annotated[int, Field(ge=1, le=1_000_000)] = DEFAULT_MAX_OUTPUT_TOKENS
    price: BudgetVector
    """The reservation: the most that this call may cost."""
    deadline_ms: Annotated[int, Field(ge=1)] = DEFAULT_DEADLINE_MS
    mode: ModeWord = Mode.SYNC
    use_advisor: bool = False
    stream: bool = False
    """Whether it is told in pieces while it is written: see maestro.pager.telling."""
    thinking: Annotated[Thinking, BeforeValidator(checked_thinking)] = "adaptive"
    manifest_hash: str | None = None
    complexity: float | None = None
    domain: str | None = None
    """What the kernel was told of the work; it stands beside the charge, and no provider hears of it."""
    stable_messages: Annotated[int, Field(ge=0)] = 0
    """How many of the first messages the next request is likely to begin with, too: worth a provider's cache."""

    @model_validator(mode="after")
    def _step_fits(self) -> Self:
        if self.step.tier is not self.tier:
            raise InvalidInput(
                f"step {self.step} does not run on tier {self.tier}", field="step", hint=f"use tier {self.step.tier}"
            )
        return self

    @property
    def input_bound_tokens(self) -> int:
        """More input tokens than any provider can count for this request."""
        return input_bound_tokens(self.messages, self.system, self.tools, self.answer_schema)


def input_bound_tokens(
    messages: tuple[Message, ...],
    system: str | None = None,
    tools: tuple[Tool, ...] = (),
    answer_schema: dict[str, JsonValue] | None = None,
) -> int:
    """An upper bound of the input tokens: a token is at least one byte of UTF-8, plus what formats add around it."""
    bound = TOKENS_PER_REQUEST + len((system or "").encode())
    for message in messages:
        bound += TOKENS_PER_MESSAGE + len(message.content.encode())
        if message.tool_calls or message.tool_call_id:
            bound += TOKENS_PER_MESSAGE + len(message.model_dump_json(exclude={"content"}))
    if tools:
        bound += TOKENS_FOR_TOOLS + sum(TOKENS_PER_MESSAGE + len(tool.model_dump_json()) for tool in tools)
    if answer_schema is not None:
        bound += TOKENS_FOR_SCHEMA + 2 * len(orjson.dumps(answer_schema))
    return bound
