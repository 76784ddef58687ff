"""The context kernel as other processes see it: which engine it runs, what it is asked, what it answers.

    KernelAsk(goal, candidates) -> {candidate id: score within 0..1}

Invariants: an answer names each candidate once and no other, in any order; both are JSON on the way.
What is not here: who computes (`serve_apps.context_kernel`), who asks (`actors.kernel`), and what stands in while
nobody answers (`steady`).

Source: spec/02 section 6 "Kernel contract".
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from maestro.continuation.goal import GoalFrame
from maestro.errors import InvalidInput
from maestro.field.entry import Entry
from maestro.field.local import MAX_CHARS
from maestro.field.ranker import Rankable

APP = "context-kernel"
"""Under which name Serve lists it."""
TIME_LIMIT_MS = 5_000
Engine = Literal["local", "torch", "vllm"]
WHICH_WEIGHTS = "what `cat *.safetensors | sha256sum` says in that folder"


class KernelOptions(BaseModel):
    """What one context kernel is to be."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    engine: Engine = "local"
    model: Path | None = None
    """The folder with the weights, on every machine that may run a replica; nothing is fetched."""
    revision: str | None = None
    """What `cat *.safetensors | sha256sum` says in that folder: other weights rank otherwise, and are refused."""
    gpus: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Of each replica: none, a share of one, or one; a small ranker needs no second."""
    cpus: Annotated[float, Field(ge=0)] = 0.0
    min_replicas: Annotated[int, Field(ge=1, le=64)] = 1
    max_replicas: Annotated[int, Field(ge=1, le=64)] = 1
    max_ongoing_requests: Annotated[int, Field(ge=1, le=10_000)] = 16
    """Of one replica; beyond these, more replicas are started, or requests wait."""
    max_queued_requests: Annotated[int, Field(ge=1, le=100_000)] = 256
    """Of one caller; beyond these it is refused at once and goes on with the ranks it has."""
    batch: Annotated[int, Field(ge=1, le=1_024)] = 64
    """Candidates that the engine is given at once; between two batches the time limit is looked at."""
    time_limit_ms: Annotated[int, Field(ge=10, le=60_000)] = TIME_LIMIT_MS
    """Of one request whose caller does not give it up himself; the projector does, after `kernel_deadline_ms`."""

    @field_validator("model", "revision")
    @classmethod
    def _check_pinned(cls, given: Path | str | None, info: ValidationInfo) -> Path | str | None:
        return check_pinned(given, str(info.field_name), info.data.get("engine"))

    @field_validator("max_replicas")
    @classmethod
    def _check_replicas(cls, most: int, info: ValidationInfo) -> int:
        return check_replicas(most, info.data.get("min_replicas"))

    @classmethod
    def read(cls, given: Mapping[str, object]) -> Self:
        """The options that `given` spells, as text or typed.

        Raises:
            InvalidInput: one is unknown or wrong; it is named.
        """
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            name = ".".join(map(str, first["loc"]))
            said = first["msg"].removeprefix("Value error, ")
            hint = f"the options are {', '.join(cls.model_fields)}"
            raise InvalidInput(f"{name}: {said}", field=name, hint=hint) from None

    @property
    def deployment(self) -> str:
        """The name that Serve shows: the engine, and what tells these options from others."""
        return f"{self.engine}-{hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:8]}"


class Candidate(BaseModel):
    """An entry as the kernel is told of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(min_length=1)]
    title: str
    body: str = ""
    kind: str | None = None
    age_ms: Annotated[int, Field(ge=0)] = 0
    reinforcements: Annotated[int, Field(ge=0)] = 0


class KernelAsk(BaseModel):
    """One request to the kernel."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    goal: GoalFrame
    entries: tuple[Candidate, ...]

    @field_validator("entries")
    @classmethod
    def _check_ids(cls, entries: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
        if len({entry.id for entry in entries}) != len(entries):
            raise ValueError("two candidates have the same id")
        return entries

    @classmethod
    def of(cls, goal: GoalFrame, entries: Sequence[Rankable]) -> Self:
        """To rank `entries`, each under its place among them: one that comes twice is two candidates."""
        return cls(goal=goal, entries=tuple(_candidate(str(place), entry) for place, entry in enumerate(entries)))


def _candidate(name: str, entry: Rankable) -> Candidate:
    body = entry.body[:MAX_CHARS]  # no engine reads on
    if not isinstance(entry, Entry):
        return Candidate(id=name, title=entry.title, body=body)
    return Candidate(id=name, title=entry.title, body=body, kind=entry.kind, reinforcements=entry.reinforcements)


def check_pinned(given: Path | str | None, name: str, engine: object) -> Path | str | None:
    """A model and its revision are there for the engines that have one, and for these only."""
    if engine in ("torch", "vllm") and not given:
        wanted = "the folder with its weights" if name.endswith("model") else WHICH_WEIGHTS
        raise ValueError(f"the engine {engine} needs {wanted}")
    if engine == "local" and given:
        raise ValueError("the engine local has no model: choose torch or vllm")
    return given


def check_replicas(most: int, least: object) -> int:
    """No fewer at most than at least."""
    if isinstance(least, int) and most < least:
        raise ValueError(f"{most} at most, but {least} at least")
    return most
