"""Amounts of several resources at once, in integers of each resource's own unit.

Invariants: amounts are integers in 0..2**53-1; `usd` is held in micro-dollars; no float ever enters.
A resource that a grant does not name is unlimited, one named with 0 is forbidden; in a price, not named means 0.

Source: spec/05 section 1.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Self

from pydantic import RootModel, field_validator
from pydantic.config import ConfigDict

from maestro.errors import InvalidInput

USD = "usd"
TOKENS = "tokens"
CHEAP_MODEL_CALLS = "cheap_model_calls"
EXPENSIVE_MODEL_CALLS = "expensive_model_calls"
HUMAN_APPROVALS = "human.approvals"
HUMAN_REVIEWS = "human.reviews"

MICROS_PER_USD = 1_000_000
MAX_AMOUNT = 2**53 - 1  # Redis scripts count in doubles: beyond this they would round
_RESOURCE = re.compile(
    r"usd|tokens|cheap_model_calls|expensive_model_calls|human\.(approvals|reviews)|tool\.[a-z0-9_-]{1,40}"
)


class BudgetVector(RootModel[dict[str, int]]):
    """A grant, a price or a sum: resource -> amount."""

    model_config = ConfigDict(frozen=True)

    @field_validator("root", mode="before")
    @classmethod
    def _check(cls, amounts: object) -> object:
        """Looks before pydantic converts: neither a float nor a text nor a bool may pass as an integer."""
        if not isinstance(amounts, Mapping):
            return amounts
        return {name: _checked(name, amounts[name]) for name in sorted(amounts, key=str)}

    def __getitem__(self, resource: str) -> int:
        return self.root.get(resource, 0)

    def __contains__(self, resource: object) -> bool:
        return resource in self.root

    def __bool__(self) -> bool:
        return any(self.root.values())

    def __hash__(self) -> int:
        return hash(tuple(self.root.items()))

    def items(self) -> Iterator[tuple[str, int]]:
        return iter(self.root.items())

    def __add__(self, other: "BudgetVector") -> Self:
        names = self.root.keys() | other.root.keys()
        return type(self)({name: self[name] + other[name] for name in names})

    def __sub__(self, other: "BudgetVector") -> Self:
        """What is left of each resource that this names, once `other` is taken.

        Raises:
            InvalidInput: less than nothing would be left; see `short_of`.
        """
        return type(self)({name: amount - other[name] for name, amount in self.items()})

    def covers(self, price: "BudgetVector") -> bool:
        """True when this grant pays `price`: every resource it limits is enough."""
        return self.short_of(price) is None

    def short_of(self, price: "BudgetVector") -> str | None:
        """The first resource of `price` that this grant cannot pay, or None."""
        return next((name for name, amount in price.items() if name in self and self[name] < amount), None)

    def share(self, part: float) -> Self:
        """That part of each limited resource, rounded down; what is unlimited stays unnamed.

        Raises:
            InvalidInput: `part` is not within 0..1.
        """
        if not 0 <= part <= 1:
            raise InvalidInput(f"a share of {part} is not within 0..1", field="share", hint="give a part such as 0.5")
        parts_per_million = round(part * 1_000_000)
        return type(self)({name: amount * parts_per_million // 1_000_000 for name, amount in self.items()})


def Budget(usd: str | int | Decimal | None = None, **amounts: int) -> BudgetVector:  # noqa: N802 - reads as a value where it is used
    """A budget as people write it: `Budget(usd="1.50", expensive_model_calls=20)`.

    Raises:
        InvalidInput: a float, a negative or unknown resource, or more than six decimals of a dollar.
    """
    vector: dict[str, int] = dict(amounts)
    if usd is not None:
        vector[USD] = usd_micros(usd)
    return budget_vector(vector)


def budget_vector(amounts: Mapping[str, int]) -> BudgetVector:
    """`amounts`, whose usd are micro-dollars already, as a checked vector."""
    return BudgetVector({name: _checked(name, amount) for name, amount in amounts.items()})


def usd_micros(usd: str | int | Decimal, field: str = "budget.usd") -> int:
    """Dollars as people write them, in exact micro-dollars.

    Raises:
        InvalidInput: no decimal number, negative, too large, or finer than a micro-dollar.
    """
    hint = 'write dollars as text with up to six decimals, such as "1.50"'
    if isinstance(usd, bool) or not isinstance(usd, str | int | Decimal):
        raise InvalidInput(f"{usd!r} dollars is not an exact amount", field=field, hint=hint)
    try:
        micros = Decimal(usd) * MICROS_PER_USD
    except InvalidOperation:
        raise InvalidInput(f"{usd!r} is not an amount of dollars", field=field, hint=hint) from None
    if not micros.is_finite() or micros != micros.to_integral_value():
        raise InvalidInput(f"{usd!r} dollars is not a whole number of micro-dollars", field=field, hint=hint)
    return _checked(USD, int(micros))


def budget_changes(changes: dict[str, str]) -> tuple[BudgetVector, BudgetVector, BudgetVector]:
    """(more, less, exactly) as people write them: {"usd": "+1.00", "tokens": "-2", "expensive_model_calls": "20"}.

    Raises:
        InvalidInput: something that is no amount.
    """
    parts: dict[str, dict[str, int]] = {"+": {}, "-": {}, "": {}}
    for resource, text in changes.items():
        field, sign = f"budget.{resource}", text[:1] if text[:1] in ("+", "-") else ""
        bare = text.removeprefix(sign)
        parts[sign][resource] = usd_micros(bare, field) if resource == "usd" else _whole(bare, field)
    return budget_vector(parts["+"]), budget_vector(parts["-"]), budget_vector(parts[""])


def format_usd(micros: int) -> str:
    """Micro-dollars as a person reads them: at least two decimals, no more than needed."""
    sign, micros = ("-", -micros) if micros < 0 else ("", micros)
    whole, rest = divmod(micros, MICROS_PER_USD)
    decimals = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{sign}${whole}.{decimals}"


def _checked(name: object, amount: object) -> int:
    field = f"budget.{str(name)[:60]}"
    if not isinstance(name, str) or not _RESOURCE.fullmatch(name):
        raise InvalidInput(
            f"unknown resource {str(name)[:60]!r}",
            field=field,
            hint="use usd, tokens, cheap_model_calls, expensive_model_calls, "
            "human.approvals, human.reviews or tool.NAME",
        )
    if isinstance(amount, bool) or not isinstance(amount, int) or not 0 <= amount <= MAX_AMOUNT:
        raise InvalidInput(
            f"{amount!r} is no amount of {name}", field=field, hint=f"give an integer from 0 to {MAX_AMOUNT}"
        )
    return amount


def _whole(text: str, field: str) -> int:
    if not text.isdecimal():
        raise InvalidInput(f"{text!r} is no whole number", field=field, hint="write +2 or -2")
    return int(text)
