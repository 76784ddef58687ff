"""Bounds: how long, how often, how deep and how large a continuation may be.

Precedence of a time to live: the wait's own, then the record's `bounds`, then the installation's defaults.
Zero and less are refused by name: a bound that forbids everything is a mistake, never a wish.

Source: spec/01 sections 6 and 7.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core.core_schema import ValidationInfo

from maestro.errors import ContinuationInvalidInputError
from maestro.ids import TimeMs

HOUR_MS = 3_600_000
MAX_STATE_BYTES = 1024 * 1024
LARGE_STATE_BYTES = 256 * 1024
"""From here on a state is warned of: it is read and written whole at every tick."""
DEFAULT_ATTEMPTS = 10
_NOT_INHERITED = frozenset({"max_turns"})

Waited = Literal["user_reply", "approval_resolution", "external_result", "scheduled_wake"]
"""The waits that end by themselves unless told otherwise; the rest wait as long as the deadline lets them."""


class _Positive(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _check_positive(cls, value: object, info: ValidationInfo) -> object:
        return positive(value, f"{cls.__name__.lower()}.{info.field_name}")


class Bounds(_Positive):
    """The bounds of one record."""

    ttl_ms: int | None = None
    """How long each wait for an answer may last, in place of the defaults."""
    max_resume_attempts: int = DEFAULT_ATTEMPTS
    deadline_ms: TimeMs | None = None
    """The moment on the store's clock at which the continuation ends, whatever it does."""
    max_turns: int | None = None
    max_children: int | None = None
    """How many of its children may live at the same time."""
    max_depth: int | None = None
    """How deep its tree may grow, counted from the root."""
    tick_timeout_ms: int | None = None
    asks_per_day: int | None = None
    """How many questions it may put to people on one day (UTC) of the store's clock."""
    max_state_bytes: int = MAX_STATE_BYTES

    def over(self, defaults: "TtlDefaults") -> Self:
        """These bounds, where they say nothing those of the installation."""
        if "max_resume_attempts" in self.model_fields_set:
            return self
        return self.model_copy(update={"max_resume_attempts": defaults.max_resume_attempts})

    def inherited(self) -> Self:
        """The bounds of a child: those of its parent, but for what counts the parent's own turns."""
        return type(self)(**self.model_dump(exclude=set(_NOT_INHERITED), exclude_defaults=True))


class TtlDefaults(_Positive):
    """How long waits for an answer last where neither they nor their record say it."""

    user_reply_ms: int = HOUR_MS
    approval_resolution_ms: int = 24 * HOUR_MS
    external_result_ms: int = HOUR_MS
    scheduled_wake_ms: int = HOUR_MS
    """Counted from the moment of the wake."""
    max_resume_attempts: Annotated[int, Field(le=1_000_000)] = DEFAULT_ATTEMPTS

    def of(self, waited: Waited) -> int:
        """The default of one kind of wait, in milliseconds."""
        return int(getattr(self, f"{waited}_ms"))


UNBOUNDED = Bounds()
"""What a record has that names no bounds."""
TTL_DEFAULTS = TtlDefaults()


def positive(value: object, field: str) -> object:
    """`value`, unless it is a number that is not above zero.

    Raises:
        ContinuationInvalidInputError: it is; names the field.
    """
    if value is not None and (isinstance(value, bool) or (isinstance(value, int | float) and value <= 0)):
        raise ContinuationInvalidInputError(
            f"{value!r} is no {field}", field=field, hint="give a whole number above 0, or leave it out", got=value
        )
    return value
