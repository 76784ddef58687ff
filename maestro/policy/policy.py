"""A policy as data: every number that the kernel decides by, as a frozen value that a person can write in TOML.

    name = "thrifty"
    version = 3
    advisor_enabled = false
    allowed_tiers = ["sonnet", "haiku"]

    [thresholds]
    downshift_remaining_permille = 800

What is not written is as shipped; docs/policy.schema.json says what may be written. Name and version change no
decision: they are journaled with each, so that it can be told under which text it was made.
Invariant: `Policy()` is `PolicyConfig()`: the same numbers, the same decisions.
What is not here: the rules themselves (kernel, gradient), which have a version, and no settings.
"""

import tomllib
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from maestro.errors import InvalidInput
from maestro.policy import gradient, price, question
from maestro.policy.gradient import Tier
from maestro.policy.question import PolicyConfig

Permille = Annotated[int, Field(ge=0, le=1_000, strict=True)]
Count = Annotated[int, Field(ge=0, strict=True)]
_THRESHOLDS, _ADVISOR, _SCHEDULE = gradient.Thresholds(), price.AdvisorTerms(), question.Schedule()


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Thresholds(_Table):
    """Where pressure begins, in thousandths of what was granted."""

    alert_used_permille: Permille = _THRESHOLDS.alert_used_permille
    downshift_remaining_permille: Permille = _THRESHOLDS.downshift_remaining_permille
    floor_remaining_permille: Permille = _THRESHOLDS.floor_remaining_permille

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.floor_remaining_permille > self.downshift_remaining_permille:
            raise ValueError("floor_remaining_permille is above downshift_remaining_permille: the floor comes last")
        return self


class Advisor(_Table):
    """How much an advisor may read and write."""

    max_share_permille: Permille = _ADVISOR.max_share_permille
    least_input_tokens: Count = _ADVISOR.least_input_tokens


class Schedule(_Table):
    """When a call happens, and where."""

    urgent_ms: Count = _SCHEDULE.urgent_ms
    deep_queue: Count = _SCHEDULE.deep_queue
    queue_retry_ms: Count = _SCHEDULE.queue_retry_ms
    provider_retry_ms: Count = _SCHEDULE.provider_retry_ms
    patience_ms: Count = _SCHEDULE.patience_ms
    spawn_from_tokens: Count = _SCHEDULE.spawn_from_tokens


class Policy(_Table):
    """Every number that the kernel decides by, under a name and a version."""

    schema_version: Literal[1] = 1
    """Of this form; another one is refused, never guessed at."""
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")] = "shipped"
    version: Annotated[int, Field(ge=1, strict=True)] = 1
    thresholds: Thresholds = Thresholds()
    advisor: Advisor = Advisor()
    advisor_enabled: bool = True
    allowed_tiers: Annotated[tuple[Tier, ...], Field(min_length=1)] = tuple(Tier)
    allow_override: bool = False
    schedule: Schedule = Schedule()

    @property
    def config(self) -> PolicyConfig:
        """The same as the kernel takes it."""
        return PolicyConfig(
            policy=f"{self.name}@{self.version}",
            thresholds=gradient.Thresholds(**self.thresholds.model_dump()),
            advisor=price.AdvisorTerms(**self.advisor.model_dump()),
            advisor_enabled=self.advisor_enabled,
            allowed_tiers=frozenset(self.allowed_tiers),
            allow_override=self.allow_override,
            schedule=question.Schedule(**self.schedule.model_dump()),
        )


def policy_of(text: str) -> Policy:
    """The policy that a TOML text says.

    Raises:
        InvalidInput: it is no TOML, or a field of it is not what it may be; the error names the field.
    """
    try:
        return Policy.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(
            f"the policy is no TOML: {error}", field="policy", hint="see `maestro whatif --help`"
        ) from None
    except ValidationError as error:
        wrong = error.errors()[0]
        field = ".".join(["policy", *(str(part) for part in wrong["loc"])])
        raise InvalidInput(
            f"{field}: {wrong['msg']}", field=field, hint=f"fields: {_fields_at(wrong['loc'])}"
        ) from None


def policy_schema() -> dict[str, Any]:
    """The JSON schema of a policy, for editors and for programs that write one."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Policy.model_json_schema()}


def _fields_at(place: tuple[int | str, ...]) -> str:
    """What may stand in the table that `place` lies in."""
    inner = (
        Policy.model_fields[str(place[0])].annotation if len(place) > 1 and place[0] in Policy.model_fields else None
    )
    table = inner if isinstance(inner, type) and issubclass(inner, BaseModel) else Policy
    return ", ".join(table.model_fields)
