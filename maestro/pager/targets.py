"""Which targets serve which tier, read from settings: the only place where people name models.

    MAESTRO_TIER_SONNET            provider/model[,provider/model...]   the order is the failover order
    MAESTRO_TIER_SONNET_API_BASE   one base URL for all, or one per target
    MAESTRO_TIER_SONNET_API_KEY    likewise; or _API_KEY_FILE, a file that holds it
    MAESTRO_TIER_SONNET_PRICE      IN/OUT in dollars per million tokens, one for all or one per target

Where no tier is set, all three are `rehearsal`, a deterministic model of ours; where some are, the others are refused.

Invariants: a key never shows in a repr, an error or a price table; no target stands twice in a chain.
Source: INTERFACES "Model providers"; spec/05 section 10; PROMISES B94, B95.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import ValidationError

from maestro.errors import InvalidInput
from maestro.pager.prices import Price
from maestro.policy.gradient import Tier

REHEARSAL = "rehearsal"

_MODEL = re.compile(r"[a-z0-9_]+/[\w.:@/-]+")


@dataclass(frozen=True, slots=True)
class Target:
    """One place to ask: a LiteLLM model, where it is, and the key to it."""

    model: str
    """`provider/model`, as LiteLLM spells it."""
    api_base: str | None = None
    api_key: str | None = field(default=None, repr=False)
    price: Price | None = None
    """Overrides the price list."""

    @property
    def provider(self) -> str:
        return self.model.partition("/")[0]

    @property
    def name(self) -> str:
        """The public name: the model, and its host where that is not the provider's own."""
        return f"{self.model} at {urlsplit(self.api_base).netloc.rpartition('@')[2]}" if self.api_base else self.model


Chains = Mapping[Tier, tuple[Target, ...]]


def tier_chains(
    settings: Mapping[str, str], read: Callable[[str], str] = lambda path: Path(path).read_text()
) -> Chains:
    """The chain of each tier that `settings` names, or of `rehearsal` where they name none.

    Args:
        settings: such as the environment.
        read: the text of a secret file.

    Raises:
        InvalidInput: an empty list, a repeated target, an unknown form; the field is the setting's name.
    """
    named = {tier: _variable(tier) for tier in Tier if _variable(tier) in settings}
    if not named:
        return {tier: (Target(f"{REHEARSAL}/{tier}"),) for tier in Tier}
    return {tier: _chain(variable, settings, read) for tier, variable in named.items()}


def _variable(tier: Tier) -> str:
    return f"MAESTRO_TIER_{tier.upper()}"


def _chain(variable: str, settings: Mapping[str, str], read: Callable[[str], str]) -> tuple[Target, ...]:
    models = _parts(settings[variable])
    if not models or not all(models):
        raise InvalidInput(f"{variable} has an empty target", field=variable, hint="name provider/model, or unset it")
    bases = _aligned(f"{variable}_API_BASE", settings, len(models))
    keys = _aligned(f"{variable}_API_KEY", with_key_from_file(variable, settings, read), len(models))
    prices = _aligned(f"{variable}_PRICE", settings, len(models))
    chain = tuple(
        Target(
            _checked_model(model, variable),
            checked_base(base, f"{variable}_API_BASE"),
            key or None,
            parse_price(price, f"{variable}_PRICE") if price else None,
        )
        for model, base, key, price in zip(models, bases, keys, prices, strict=True)
    )
    names = [target.name for target in chain]
    for name in names:
        if names.count(name) > 1:
            raise InvalidInput(
                f"{variable} goes round in a circle: {name} stands in it more than once",
                field=variable,
                hint="name each target once; retries are counted elsewhere",
            )
    return chain


def parse_price(text: str, variable: str) -> Price:
    """`IN/OUT`, dollars per million tokens, such as 3.00/15.00.

    Raises:
        InvalidInput: another form, a zero, a negative, or finer than a micro-dollar.
    """
    hint = "write dollars per million tokens as IN/OUT, both above 0, such as 3.00/15.00"
    try:
        amounts = [Decimal(part.strip()) * 1_000_000 for part in text.split("/")]
        input_micros, output_micros = (int(amount) if amount == int(amount) else -1 for amount in amounts)
        return Price(input_micros_per_mtok=input_micros, output_micros_per_mtok=output_micros, source="override")
    except (InvalidOperation, OverflowError, ValidationError, ValueError):
        raise InvalidInput(f"{text!r:.60} is not a price", field=variable, hint=hint) from None


def with_key_from_file(variable: str, settings: Mapping[str, str], read: Callable[[str], str]) -> Mapping[str, str]:
    """`settings`, with the key that stands in the file of `VARIABLE_API_KEY_FILE` under `VARIABLE_API_KEY`.

    Raises:
        InvalidInput: both are set, or the file cannot be read.
    """
    key, file = f"{variable}_API_KEY", f"{variable}_API_KEY_FILE"
    if file not in settings:
        return settings
    if key in settings:
        raise InvalidInput(f"{key} and {file} are both set", field=file, hint="keep one of them")
    try:
        return {**settings, key: read(settings[file]).strip()}
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"cannot read {file}: {error}", field=file, hint="name a readable text file") from None


def _aligned(variable: str, settings: Mapping[str, str], count: int) -> list[str]:
    """One value per target: none, one for all, or as many as there are targets."""
    values = _parts(settings.get(variable, ""))
    if len(values) == 1:
        return values * count
    if len(values) == count:
        return values
    raise InvalidInput(
        f"{variable} has {len(values)} values for {count} targets", field=variable, hint="give one for all, or one each"
    )


def _checked_model(model: str, variable: str) -> str:
    if not _MODEL.fullmatch(model):
        raise InvalidInput(
            f"{model!r:.80} is no target",
            field=variable,
            hint="write provider/model, such as anthropic/claude-haiku-4-5",
        )
    return model


def checked_base(base: str, variable: str) -> str | None:
    """`base` as it is, or None where it is empty.

    Raises:
        InvalidInput: it is no http(s) URL.
    """
    if not base:
        return None
    if urlsplit(base).scheme not in ("http", "https") or not urlsplit(base).hostname:
        raise InvalidInput("an API base is no http(s) URL", field=variable, hint="write http(s)://host[:port]/path")
    return base


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]
