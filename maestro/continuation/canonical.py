"""Canonical bytes: the same shape gives the same bytes, and what is as it was born is left out.

JSON with sorted keys. A field that has its default value is not written; a field without a default, and a tag (a field
that can only be one word, such as `type` or `schema_version`), always is.
Invariants: a field that is added later with a default changes no byte of what has it not; reading what was left out
gives the default back. So a default, once released, is for ever: another default is another field.
"""

from typing import Any, Literal, get_args, get_origin

import orjson
from pydantic import BaseModel, RootModel


def canonical(shape: BaseModel) -> bytes:
    """The canonical bytes of `shape`."""
    return orjson.dumps(shape, default=_written, option=orjson.OPT_SORT_KEYS)


def _written(shape: BaseModel) -> Any:
    """The fields of one shape that are written; orjson asks for each shape inside by itself."""
    kind = type(shape)
    defaults = _defaults[kind] if kind in _defaults else _defaults.setdefault(kind, _defaults_of(kind))
    if defaults is None:
        return vars(shape)["root"]
    fields = vars(shape).copy()
    for name, default in defaults:
        value = fields[name]
        if value is default or (value == default and type(value) is type(default)):
            del fields[name]
    return fields


Defaults = tuple[tuple[str, Any], ...]
_defaults: dict[type[BaseModel], Defaults | None] = {}
"""Class -> its fields that may be left out, with the value that they then have; None for a class that is one value."""


def _defaults_of(kind: type[BaseModel]) -> Defaults | None:
    if issubclass(kind, RootModel):
        return None
    return tuple(
        (name, field.get_default(call_default_factory=True, validated_data={}))
        for name, field in kind.model_fields.items()
        if not field.is_required() and not _is_tag(field.annotation)
    )


def _is_tag(annotation: Any) -> bool:
    return get_origin(annotation) is Literal and len(get_args(annotation)) == 1
