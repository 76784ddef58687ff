"""What a supervisor is told: child specs, nested, so that a whole tree is one value.

Invariants of every spec that exists:
- ids are unique in the whole tree, since an actor's readable name is made from its id;
- only a supervisor has children, a template, a strategy, an intensity, a pace and an automatic shutdown;
- a significant child is never permanent, and its supervisor has an automatic shutdown;
- children that come and go at run time (`dynamic`) have no automatic shutdown; only they may have a template;
- restarts are paced one by one: not where siblings come back together.

Not here: what happens when a child exits (`machine`), and how a child is started (`actors.children`).
Source: Erlang/OTP `supervisor`, "Child specification" and "Supervisor flags"; spec/02 section 3.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, Self, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    JsonValue,
    StrictBool,
    ValidationError,
    field_validator,
    model_validator,
)

from maestro.errors import InvalidInput

Restart = Literal["permanent", "transient", "temporary"]
Strategy = Literal["one_for_one", "one_for_all", "rest_for_one", "dynamic"]
AutoShutdown = Literal["never", "any_significant", "all_significant"]
ChildType = Literal["worker", "supervisor"]
Shutdown = Literal["brutal_kill", "infinity"] | int

WORKER_SHUTDOWN_MS = 5_000  # OTP's default for a worker; a supervisor gets "infinity" for its subtree
HUNG_MS = 30_000  # by then a swap storm is over; and who computes for so long between two awaits holds up all others
START_MS = 120_000  # a pager imports litellm; on a machine that is busy with other things that is a minute
MAX_MS = 86_400_000

_RESERVED = ("incarnation", "spec")  # what a supervisor itself gives to a constructor
_SUPERVISOR_ONLY = ("strategy", "intensity", "pace", "auto_shutdown", "starts_together", "children", "template")
_IN_ORDER = ("one_for_all", "rest_for_one")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./-]{0,127}")
_START = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def _one_of(field: str, words: tuple[str, ...]) -> BeforeValidator:
    def check(value: object) -> object:
        if not isinstance(value, str) or value not in words:
            raise ValueError(f"{field} {value!r} is unknown: use {', '.join(words)}")
        return value

    return BeforeValidator(check)


def _count(field: str, least: int, most: int) -> BeforeValidator:
    def check(value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"{field} {value!r} is not a whole number from {least} to {most}")
        return value

    return BeforeValidator(check)


class Intensity(BaseModel):
    """More than `max_restarts` restarts within `max_seconds`: the supervisor gives up and its parent decides.

    A lost node ends all its children at once, and each counts: a pool sets `max_restarts` above its size.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_restarts: Annotated[int, _count("max_restarts", 0, 1_000_000)] = 3
    max_seconds: Annotated[int, _count("max_seconds", 1, 86_400)] = 5


class Pace(BaseModel):
    """How fast children come back after a mass death: a token bucket, one token per restart.

    `at_once` tokens at most, `per_second` new ones; a child without a token waits to restart, first come first served.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    at_once: Annotated[int, _count("at_once", 1, 1_000)] = 8
    per_second: Annotated[int, _count("per_second", 1, 1_000)] = 20


class Resources(BaseModel):
    """Where a child may run and what it takes there; the default takes nothing and may run anywhere."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_cpus: float = 0
    num_gpus: float = 0
    memory_bytes: int | None = None
    labels: Mapping[str, str] = {}
    """Node labels that must match; no node has them: the child waits, and fails its start deadline."""
    runtime_env: Mapping[str, JsonValue] = {}
    node: str | None = None
    """Ray's id of the node that is tried first; where that is gone or full, any other will do."""

    @field_validator("num_cpus", "num_gpus")
    @classmethod
    def _check_amount(cls, amount: float) -> float:
        if not 0 <= amount <= 1024:
            raise ValueError(f"{amount!r} is no share of a machine: use 0 to 1024")
        return amount

    @field_validator("memory_bytes")
    @classmethod
    def _check_memory(cls, memory_bytes: int | None) -> int | None:
        if memory_bytes is not None and memory_bytes <= 0:
            raise ValueError(f"memory_bytes {memory_bytes} is not above 0: leave it out for no limit")
        return memory_bytes


class ChildSpec(BaseModel):
    """One child of a supervisor; of type supervisor, with everything below it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    start: str
    """Import path `module:Class` of the actor class; it gets `args` and `incarnation` as keywords."""
    args: Mapping[str, JsonValue] = {}
    restart: Annotated[Restart, _one_of("restart", get_args(Restart))] = "permanent"
    shutdown: Shutdown | None = None
    """How to end it: at once, after so many ms of grace, or when it is done; None is OTP's default for its type."""
    start_ms: Annotated[int, _count("start_ms", 1, MAX_MS)] = START_MS
    """How long its constructor and `ready()` may take together; a supervisor's subtree comes on top."""
    hung_ms: Annotated[int, _count("hung_ms", 1, MAX_MS)] = HUNG_MS
    """How long it may leave `ready()` unanswered once it has started, before its process is ended."""
    type: Annotated[ChildType, _one_of("type", get_args(ChildType))] = "worker"
    significant: StrictBool = False
    resources: Resources = Resources()

    strategy: Annotated[Strategy, _one_of("strategy", get_args(Strategy))] = "one_for_one"
    intensity: Intensity = Intensity()
    pace: Pace | None = None
    """None: a child is restarted as soon as its death is seen, as in OTP."""
    auto_shutdown: Annotated[AutoShutdown, _one_of("auto_shutdown", get_args(AutoShutdown))] = "never"
    starts_together: StrictBool = False
    """Its children need nothing of one another to become ready: the first start is of all at once."""
    children: tuple["ChildSpec", ...] = ()
    template: "ChildSpec | None" = None
    """What each child of a `dynamic` supervisor is made from, with arguments of its own: OTP's simple_one_for_one."""

    @field_validator("id")
    @classmethod
    def _check_id(cls, text: str) -> str:
        if not _ID.fullmatch(text):
            raise ValueError(
                f"id {text[:40]!r} is not 1 to 128 of letters, digits, '_', '.', '/', '-', a letter or digit first"
            )
        return text

    @field_validator("start")
    @classmethod
    def _check_start(cls, path: str) -> str:
        if not _START.fullmatch(path):
            raise ValueError(
                f"start {path[:80]!r} is not an import path: write module:Class, such as actors.relay:RelayActor"
            )
        return path

    @field_validator("args")
    @classmethod
    def _check_args(cls, args: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
        for name in args:
            if not name.isidentifier():
                raise ValueError(f"args {name!r} cannot be a keyword of a constructor: use another identifier")
            if name in _RESERVED:
                raise ValueError(f"args {name!r} is given by the supervisor itself: use another name")
        return args

    @field_validator("shutdown", mode="before")
    @classmethod
    def _check_shutdown(cls, value: object) -> object:
        timed = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_MS
        if value is None or value in ("brutal_kill", "infinity") or timed:
            return value
        raise ValueError(f"shutdown {value!r} is none of brutal_kill, infinity or milliseconds from 0 to {MAX_MS}")

    @model_validator(mode="after")
    def _check_worker(self) -> Self:
        fields = type(self).model_fields
        flags = [name for name in _SUPERVISOR_ONLY if getattr(self, name) != fields[name].default]
        if self.type == "worker" and flags:
            raise ValueError(f"worker {self.id!r} has {', '.join(flags)}: only a child of type supervisor may")
        if self.type == "worker" and self.id.startswith("supervisor/"):
            raise ValueError(f"worker {self.id!r} has the name of a supervisor: choose another id")
        return self

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.starts_together and self.strategy in _IN_ORDER:
            raise ValueError(f"children of {self.id!r} start in order under {self.strategy}: leave starts_together out")
        if self.pace is not None and self.strategy in _IN_ORDER:
            raise ValueError(f"children of {self.id!r} come back together under {self.strategy}: leave pace out")
        return self

    @model_validator(mode="after")
    def _check_dynamic(self) -> Self:
        if self.strategy == "dynamic" and self.auto_shutdown != "never":
            raise ValueError(f"children of {self.id!r} come and go under dynamic: leave auto_shutdown out")
        if self.template is None:
            return self
        if self.strategy != "dynamic":
            raise ValueError(f"template of {self.id!r} has no use under {self.strategy}: use dynamic")
        if self.children:
            raise ValueError(f"children of {self.id!r} are made from its template: leave children out")
        if self.template.children or self.template.template:
            raise ValueError(f"template of {self.id!r} has children: their ids would be the same in each copy")
        check_significance(self.template, self.auto_shutdown)
        return self

    @model_validator(mode="after")
    def _check_significant(self) -> Self:
        if self.significant and self.restart == "permanent":
            raise ValueError(
                f"significant child {self.id!r} is permanent, so it never ends for good: use transient or temporary"
            )
        for child in self.children:
            check_significance(child, self.auto_shutdown)
        return self

    @model_validator(mode="after")
    def _check_unique(self) -> Self:
        seen: set[str] = set()
        for spec in self.walk():
            if spec.id in seen:
                raise ValueError(
                    f"id {spec.id!r} is used twice under {self.id!r}: actor names are unique in the whole tree"
                )
            seen.add(spec.id)
        return self

    def filled(self, number: int, args: Mapping[str, JsonValue]) -> "ChildSpec":
        """The `number`-th child made from this template.

        Raises:
            InvalidInput: an argument cannot be one of a constructor.
        """
        try:
            return ChildSpec.model_validate(
                {**dict(self), "id": f"{self.id}/{number}", "args": {**self.args, **args}}  # dict(): values as they are
            )
        except ValidationError as error:
            raise _as_invalid_input(error) from None

    @property
    def shutdown_or_default(self) -> Shutdown:
        if self.shutdown is not None:
            return self.shutdown
        return "infinity" if self.type == "supervisor" else WORKER_SHUTDOWN_MS

    @property
    def ready_ms(self) -> int:
        """How long the start of the whole subtree may take: one after the other, in order."""
        return self.start_ms + sum(child.ready_ms for child in self.children)

    def walk(self) -> Iterator["ChildSpec"]:
        """This spec and all below it, parents first, in start order."""
        yield self
        for child in self.children:
            yield from child.walk()


def check_significance(child: ChildSpec, auto_shutdown: AutoShutdown) -> None:
    """Passes a child whose significance means something to its supervisor.

    Raises:
        ValueError: it is significant and the supervisor never shuts down by itself.
    """
    if child.significant and auto_shutdown == "never":
        raise ValueError(f"significant child {child.id!r} has no effect: the auto_shutdown of its supervisor is never")


def child_spec(data: str | bytes) -> ChildSpec:
    """The spec, with all below it, that `data` holds as JSON.

    Raises:
        InvalidInput: it is no child spec; names the field and the fix.
    """
    try:
        return ChildSpec.model_validate_json(data)
    except ValidationError as error:
        raise _as_invalid_input(error) from None


def _as_invalid_input(error: ValidationError) -> InvalidInput:
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "child_spec"
    return InvalidInput(first["msg"].removeprefix("Value error, "), field=field)
