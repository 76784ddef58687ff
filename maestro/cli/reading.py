"""What people type, as values: budgets, durations, JSON. Every refusal names the parameter and the fix."""

import re
from collections.abc import Sequence

import orjson
from pydantic import JsonValue

from maestro.budget.vector import USD, Budget, BudgetVector
from maestro.errors import InvalidInput

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_DURATION = re.compile(r"(?:[0-9]+(?:ms|[smhdw]))+")
_PART = re.compile(r"([0-9]+)(ms|[smhdw])")
MAX_DURATION_MS = 100 * 365 * 86_400_000


def duration_ms(text: str, field: str = "by") -> int:
    """`90s`, `15m`, `3h`, `21d`, `2w`, or several in a row: `1h30m`.

    Raises:
        InvalidInput: another form, or more than a hundred years.
    """
    compact = text.replace(" ", "")
    if not _DURATION.fullmatch(compact):
        raise InvalidInput(f"{text[:40]!r} is no duration", field=field, hint="write 90s, 15m, 3h, 21d or 1h30m")
    total = sum(int(count) * _UNITS_MS[unit] for count, unit in _PART.findall(compact))
    if total > MAX_DURATION_MS:
        raise InvalidInput(f"{text[:40]!r} is more than a hundred years", field=field, hint="go in smaller steps")
    return total


def budget(text: str) -> BudgetVector:
    """`usd=1.50,expensive_model_calls=20`.

    Raises:
        InvalidInput: another form, an unknown resource, a resource named twice, or no amount of one.
    """
    amounts = assignments(text.split(","), "budget", "write usd=1.50,expensive_model_calls=20")
    usd = amounts.pop(USD, None)
    return Budget(usd=usd, **{name: _count(name, amount) for name, amount in amounts.items()})


def assignments(words: Sequence[str], field: str, hint: str) -> dict[str, str]:
    """`name=value` of each word.

    Raises:
        InvalidInput: a word of another form, or a name given twice.
    """
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = (part.strip() for part in word.partition("="))
        if not (name and equals and value):
            raise InvalidInput(f"{word[:60]!r} is not NAME=VALUE", field=field, hint=hint)
        if name in found:
            raise InvalidInput(f"{name} is given twice", field=f"{field}.{name}", hint="give each once")
        found[name] = value
    return found


def json_value(text: str, field: str) -> JsonValue:
    """A JSON text.

    Raises:
        InvalidInput: it is none; says where it breaks.
    """
    try:
        value: JsonValue = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        hint = "quote it for the shell, such as '{\"n\": 1}'"
        raise InvalidInput(
            f"{field} is not JSON: {error.msg}, at character {error.pos + 1}", field=field, hint=hint
        ) from None
    return value


def message(text: str) -> tuple[JsonValue, bool]:
    """The body of a message, and whether it is JSON: an object or a list is, all else is text."""
    if text[:1] in ("{", "["):
        try:
            return orjson.loads(text), True
        except orjson.JSONDecodeError:
            return text, False
    return text, False


def _count(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise InvalidInput(f"{text[:40]!r} is no amount of {name}", field=f"budget.{name}", hint="give a whole number")
    return int(text)
