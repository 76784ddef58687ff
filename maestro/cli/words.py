"""How people read times, money, ids and states; JSON keeps milliseconds, micro-dollars, whole ids and plain words."""

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from pydantic import JsonValue
from rich.text import Text

from maestro.budget.vector import USD, format_usd
from maestro.ids import TIME_CHARS

_SPANS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))
_MS_IN_WORDS = re.compile(r"\b(\d{13,14}) ms\b( on the store's clock)?")
_COLOURS = {
    "thinking": "green",
    "ready": "cyan",
    "sleeping": "blue",
    "waiting_on_you": "bold yellow",
    "done": "dim",
    "ok": "green",
    "new": "cyan",
    "degraded": "bold yellow",
    "FAILED": "bold red",
    "failed": "red",
    "running": "green",
    "stopped": "bold red",
}


def moment(at_ms: JsonValue) -> str:
    """A time of the store's clock, in UTC: `2026-11-21 09:42:47`."""
    if not isinstance(at_ms, int) or at_ms <= 0:
        return "-"
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError):  # beyond the year 9999
        return f"{at_ms} ms"


def span(ms: int) -> str:
    """A duration in its two largest units: `3 h 20 min`."""
    if ms < 1_000:
        return f"{ms} ms"
    parts = []
    for unit_ms, name in _SPANS:
        count, ms = divmod(ms, unit_ms)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2])


def distance(at_ms: JsonValue, now_ms: int) -> str:
    """A time and how far away it is: `2026-11-21 09:42:47 UTC, in 3 h 20 min`."""
    if not isinstance(at_ms, int) or at_ms <= 0:
        return "-"
    away = at_ms - now_ms
    return f"{moment(at_ms)} UTC, {f'in {span(away)}' if away >= 0 else f'{span(-away)} ago'}"


def sentence(text: str) -> str:
    """A sentence of the core, with its milliseconds as times in UTC."""
    return _MS_IN_WORDS.sub(lambda found: f"{moment(int(found[1]))} UTC", text)


def state(word: JsonValue) -> Text:
    """A state in its colour."""
    text = str(word)
    return Text(text.replace("_", " "), style=_COLOURS.get(text, ""))


def amount(resource: str, value: JsonValue) -> str:
    """An amount in the words of its resource."""
    if not isinstance(value, int):
        return "unlimited"
    return format_usd(value) if resource == USD else f"{value:,}"


def signed_usd(micros: int) -> str:
    """A difference of money: +$0.01, -$0.01, or nothing."""
    return f"{'-' if micros < 0 else '+'}{usd(abs(micros))}" if micros else usd(0)


def usd(micros: JsonValue) -> str:
    """Micro-dollars as people read them."""
    return format_usd(micros) if isinstance(micros, int) else "-"


def account(resource: str, figures: Mapping[str, JsonValue]) -> str:
    """One account of a budget in a line."""
    spent, granted, free = (amount(resource, figures[part]) for part in ("spent", "granted", "free"))
    rest = [f"{amount(resource, figures[part])} {part}" for part in ("reserved", "lent") if figures[part]]
    rest += [f"soft cap {amount(resource, figures['soft_cap'])}"] if "soft_cap" in figures else []
    if figures["granted"] is None:
        return ", ".join([f"{spent} spent, unlimited", *rest])
    return ", ".join([f"{spent} of {granted} spent", f"{free} free", *rest])


def with_readable(budget: JsonValue) -> JsonValue:
    """A budget for JSON: integers as they are, and beside each account the line that people read."""
    if not isinstance(budget, dict):
        return budget
    return {name: {**a, "readable": account(name, a)} if isinstance(a, dict) else a for name, a in budget.items()}


def shortest(ids: Collection[str], least: int = TIME_CHARS) -> dict[str, str]:
    """Each id by its shortest prefix that no other of `ids` begins with; never shorter than its time of birth."""
    ordered = sorted(ids)
    neighbours = zip(["", *ordered], ordered, [*ordered[1:], ""], strict=False)
    return {
        cid: cid[: max(least, _common(cid, before) + 1, _common(cid, after) + 1)] for before, cid, after in neighbours
    }


def _common(one: str, other: str) -> int:
    """How many characters both begin with."""
    for place, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return place
    return min(len(one), len(other))
