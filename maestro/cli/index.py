"""The index of vectors in words: what it holds and how far it has come, and what it would miss on this machine."""

import importlib.util
from collections.abc import Mapping

from pydantic import JsonValue, ValidationError

from maestro.field.vectors import IndexTold
from maestro.runtime.backend import Backend
from maestro.settings import Settings

NEEDS = ("torch", "transformers")


async def index_told(backend: Backend) -> dict[str, JsonValue] | None:
    """What it says of itself; None where nobody keeps one."""
    said = await backend.gatherings.told()
    try:
        told = None if said is None else IndexTold.model_validate_json(said)
    except ValidationError:  # of another release
        return None
    return None if told is None else told.model_dump(mode="json")


def index_line(told: Mapping[str, JsonValue]) -> str:
    """Such as `1,234 texts, hashed-1-shipped-384, 384 dimensions, 1.9 MB, up to event 1763778-0`."""
    index = IndexTold.model_validate(told)
    reached = ", ".join(index.reached[partition] for partition in sorted(index.reached)) or "none"
    coming = f"; {index.coming.model} is being made in its place" if index.coming else ""
    size = f"{index.size_bytes / 1e6:.1f} MB"
    made_by = f"{index.header.model}, {index.header.dims} dimensions"
    return f"{index.texts:,} texts, {made_by}, {size}, up to event {reached}{coming}"


def index_missing(settings: Settings) -> str:
    """What whoever makes the vectors needs and does not find; nothing where all is there."""
    if settings.index != "torch":
        return ""
    absent = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if absent:
        return f"{' and '.join(absent)} not installed"
    there = settings.index_model is not None and any(settings.index_model.glob("*.safetensors"))
    return "" if there else f"no *.safetensors in {settings.index_model}"
