"""What a tool is: a typed function, and all that must be known of it before anybody calls it.

    @tool(side_effect="keyed", scopes=("mail.send",), outgoing=True)
    async def send_mail(to: str, text: str, idempotency_key: str = "") -> dict[str, str]: ...

Invariants: the parameters and their JSON schema come from the signature, the name from the function unless it is given;
a tool that says nothing is `unsafe`, because that is the only class that is never wrong; `pure` alone may be cached or
run inside the process of the tick.
A parameter named `idempotency_key` is Maestro's to fill: no model sees it.
What is not here: who may use a tool (`guard`), and how it is carried out (adapters/sandbox).

Source: spec/04 sections 1, 4; PROMISES P8.
"""

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, overload

import orjson
from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter, ValidationError, create_model

from maestro.budget.vector import BudgetVector
from maestro.errors import InvalidInput, ToolValidationError
from maestro.ids import check_label

KEY_PARAMETER = "idempotency_key"
MAX_ARGUMENT_BYTES = 256 * 1024
MAX_TIMEOUT_S = 3_600
DAY_MS = 86_400_000

Risk = Literal["low", "high"]
Surface = Literal["command", "stream"]
"""Do this now; or: tell me when something is new (maestro.tools.streams)."""
Place = Literal["worker", "inline", "server"]
"""Who carries a call out: a process of its own, that of the tick, or the server that offers the tool."""


class SideEffect(StrEnum):
    """What calling twice does; P8 rests on it."""

    PURE = "pure"
    """Nothing outside changes."""
    IDEMPOTENT = "idempotent"
    """Twice is once."""
    KEYED = "keyed"
    """Twice with one key is once."""
    UNSAFE = "unsafe"
    """Twice is twice."""


@dataclass(frozen=True, slots=True)
class Quota:
    """How often a tool may be used; None is without end."""

    per_continuation: int | None = None
    per_day: int | None = None
    """By all continuations of a tenant together, counted by days of the store's clock, in UTC."""


@dataclass(frozen=True, slots=True)
class Spec:
    """The declaration of a tool."""

    name: str
    description: str
    parameters: Mapping[str, JsonValue]
    """JSON schema, as a model is shown it."""
    side_effect: SideEffect = SideEffect.UNSAFE
    version: int = 1
    risk: Risk = "low"
    """`high`: a person approves each call."""
    outgoing: bool = False
    """True when it carries data out of the installation."""
    trusted_output: bool = False
    """True when no word of its results comes from outside."""
    scopes: tuple[str, ...] = ()
    """What a continuation must have been given to use it; all of them."""
    cost: BudgetVector = BudgetVector({})
    quota: Quota = Quota()
    timeout_s: float = 30.0
    cacheable: bool = False
    cache_ttl_s: float = 300.0
    runs: Place = "worker"
    surface: Surface = "command"

    @property
    def quota_resource(self) -> str:
        """The budget entry in which its uses are counted."""
        return "tool." + self.name.lower().replace(".", "_")[:40]

    @property
    def price(self) -> BudgetVector:
        """What is reserved for one use."""
        return self.cost + BudgetVector({self.quota_resource: 1})


@dataclass(frozen=True, slots=True, eq=False)
class Tool:
    """A declared function; called, it is the function."""

    spec: Spec
    function: Callable[..., Any]
    model: type[BaseModel]
    """Validates arguments."""
    place: str
    """`module:name`, where another process finds it."""
    result: TypeAdapter[Any]
    takes_key: bool

    @property
    def name(self) -> str:
        return self.spec.name

    def __call__(self, *args: Any, **named: Any) -> Any:
        return self.function(*args, **named)

    @property
    def _taken(self) -> list[str]:
        properties = self.spec.parameters.get("properties")
        return list(properties) if isinstance(properties, dict) else []

    def arguments(self, given: Mapping[str, Any]) -> dict[str, JsonValue]:
        """`given` as the tool takes it, defaults filled in, as JSON.

        Raises:
            ToolValidationError: a parameter is missing, unknown or of another type; names it.
        """
        try:
            checked = self.model.model_validate(dict(given)).model_dump(mode="json")
            size = len(orjson.dumps(checked))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "arguments"
            raise ToolValidationError(
                f"{self.name}: {where}: {first['msg']}",
                field=where,
                hint=f"it takes {', '.join(self._taken) or 'nothing'}",
            ) from None
        except (TypeError, ValueError) as error:  # what pydantic takes and JSON cannot say
            raise ToolValidationError(f"{self.name}: {error}", field="arguments", hint="give plain JSON") from None
        if size > MAX_ARGUMENT_BYTES:
            raise ToolValidationError(
                f"{self.name}: {size} bytes of arguments, at most {MAX_ARGUMENT_BYTES} are taken",
                field="arguments",
                hint="store large material and give a reference to it",
            )
        return checked

    def answer(self, returned: Any) -> JsonValue:
        """What the function returned, as JSON.

        Raises:
            ToolValidationError: it is not of the declared type, or no JSON.
        """
        try:
            told: JsonValue = orjson.loads(self.result.dump_json(self.result.validate_python(returned)))
        except (TypeError, ValueError) as error:
            what = error.errors(include_url=False)[0]["msg"] if isinstance(error, ValidationError) else str(error)
            raise ToolValidationError(
                f"{self.name} returned what it does not declare: {what}", field="result", hint="mend the tool"
            ) from None
        return told


def input_hash(tenant: str, spec: Spec, arguments: Mapping[str, JsonValue]) -> str:
    """SHA-256 over tenant, tool, version and canonical arguments: the same question of the same tenant."""
    asked = [tenant, spec.name, spec.version, {name: _normal(value) for name, value in arguments.items()}]
    return hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...
@overload
def tool(*, name: str | None = None, **declared: Any) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(function: Callable[..., Any] | None = None, /, *, name: str | None = None, **declared: Any) -> Any:
    """The function is a tool; `declared` are fields of Spec.

    Raises:
        InvalidInput: a parameter without a type, or a declaration that contradicts itself; names the field.
    """
    if function is not None:
        return _declared(function, name, declared)
    return lambda made: _declared(made, name, declared)


def _declared(function: Callable[..., Any], name: str | None, declared: dict[str, Any]) -> Tool:
    called = check_label(name or function.__name__, "tool")
    takes_key = KEY_PARAMETER in inspect.signature(function).parameters
    model, result = _model(function, called)
    unknown = sorted(declared.keys() - Spec.__slots__)
    if unknown:
        raise _contradiction(called, unknown[0], "is no field of a tool", f"use {', '.join(sorted(Spec.__slots__))}")
    if "side_effect" in declared:
        declared["side_effect"] = _side_effect(called, declared["side_effect"])
    spec = Spec(
        name=called,
        description=declared.pop("description", None) or inspect.getdoc(function) or called,
        parameters=declared.pop("parameters", None) or _schema(model),
        **declared,
    )
    _check(spec, takes_key)
    place = f"{function.__module__}:{function.__qualname__}"
    return Tool(spec, function, model, place, result, takes_key)


def _model(function: Callable[..., Any], name: str) -> tuple[type[BaseModel], TypeAdapter[Any]]:
    """(what validates its parameters, what validates its result), from the signature."""
    signature = inspect.signature(function, eval_str=True)
    fields: dict[str, Any] = {}
    for parameter in signature.parameters.values():
        if parameter.name in (KEY_PARAMETER, "self"):
            continue
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise _contradiction(name, parameter.name, "is no parameter with a name", "name each parameter")
        if parameter.annotation is parameter.empty:
            raise _contradiction(name, parameter.name, "has no type", "annotate it: models are shown a schema")
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (parameter.annotation, default)
    config = ConfigDict(extra="forbid", allow_inf_nan=False)
    returned: Any = JsonValue if signature.return_annotation is signature.empty else signature.return_annotation
    return create_model(name, __config__=config, **fields), TypeAdapter(returned)


def _schema(model: type[BaseModel]) -> dict[str, JsonValue]:
    schema = model.model_json_schema()
    schema.pop("title", None)
    return schema


def _side_effect(name: str, declared: str) -> SideEffect:
    try:
        return SideEffect(declared)
    except ValueError:
        raise _contradiction(name, "side_effect", f"is {declared!r}", f"use one of {', '.join(SideEffect)}") from None


def _check(spec: Spec, takes_key: bool) -> None:
    pure = spec.side_effect is SideEffect.PURE
    if spec.cacheable and not pure:
        raise _contradiction(
            spec.name, "cacheable", f"cannot be of a tool that is {spec.side_effect}", "cache pure ones"
        )
    if spec.runs == "server":
        raise _contradiction(spec.name, "runs", "cannot be a server", "a server's tools are approved, not declared")
    if spec.runs == "inline" and not pure:
        raise _contradiction(spec.name, "runs", "cannot be inline where there are side effects", "let a worker run it")
    if (spec.side_effect is SideEffect.KEYED) != takes_key:
        raise _contradiction(
            spec.name, KEY_PARAMETER, "and `keyed` belong together", f"declare both, or neither: {KEY_PARAMETER}: str"
        )
    if not 0 < spec.timeout_s <= MAX_TIMEOUT_S:
        raise _contradiction(spec.name, "timeout_s", f"is {spec.timeout_s}", f"give more than 0, up to {MAX_TIMEOUT_S}")
    if type(spec.version) is not int or spec.version < 1:
        raise _contradiction(spec.name, "version", f"is {spec.version!r}", "count from 1 up")


def _contradiction(name: str, field: str, what: str, hint: str) -> InvalidInput:
    return InvalidInput(f"tool {name!r}: {field} {what}", field=field, hint=hint)


def _normal(value: JsonValue) -> JsonValue:
    """The same number, however it is written."""
    match value:
        case dict():
            return {name: _normal(inner) for name, inner in value.items()}
        case list():
            return [_normal(inner) for inner in value]
        case float() if value.is_integer() and abs(value) < 2**53:
            return int(value)
        case _:
            return value
