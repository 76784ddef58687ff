"""A call's outcome as JSON, between the pager's process and the ticks, and in the journal.

Errors cross as their code and facts, never as pickled exceptions: the other side may run another build.
"""

from collections.abc import Iterator
from typing import Self

from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter, ValidationError, model_validator

from maestro.errors import MaestroError
from maestro.pager.dispatch import ModelCallResult

_JSON: TypeAdapter[JsonValue] = TypeAdapter(JsonValue)


class Failure(BaseModel):
    """An error of the tree in `maestro.errors`, as data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    message: str
    field: str | None = None
    hint: str | None = None
    facts: dict[str, JsonValue] = {}

    @classmethod
    def of(cls, error: MaestroError) -> Self:
        """`error` as data; facts that are no JSON become text."""
        facts = {name: _plain(fact) for name, fact in error.facts.items()}
        return cls(code=error.code, message=error.message, field=error.field, hint=error.hint, facts=facts)

    def error(self) -> MaestroError:
        """The error again: of the same class, or a plain MaestroError where this build does not know its code."""
        kind = _KINDS.get(self.code, MaestroError)
        return kind(self.message, field=self.field, hint=self.hint, **self.facts)


class Reply(BaseModel):
    """What the pager answers: a result or a failure, exactly one of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    result: ModelCallResult | None = None
    failure: Failure | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.result is None) == (self.failure is None):
            raise ValueError("a reply holds a result or a failure, not both and not neither")
        return self

    def opened(self) -> ModelCallResult:
        """The result.

        Raises:
            MaestroError: the failure, of the class that it had in the pager.
        """
        if self.result is not None:
            return self.result
        if self.failure is None:
            raise AssertionError("unreachable: a reply without result has a failure")
        raise self.failure.error()


def _plain(fact: object) -> JsonValue:
    try:
        return _JSON.validate_python(fact)
    except ValidationError:
        return str(fact)


def _kinds(root: type[MaestroError]) -> Iterator[type[MaestroError]]:
    for kind in root.__subclasses__():
        yield from _kinds(kind)
    yield root


# Subclasses that share their parent's code come first and are overwritten by it: a code means its most general class.
_KINDS = {kind.code: kind for kind in _kinds(MaestroError)}
