"""The settings: each with its variable, its type, its default and its other names, as the one model has them."""

import ast
import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from maestro.settings import PREFIX, Settings
from maestro.settings_aliases import ALIASES
from tests.reference.tables import code, opening, table

OPENING = """Argument of a command > environment > `maestro.toml` (in the current folder, else in `MAESTRO_HOME`) >
default. In the file a setting stands by its name in small letters, one a line. An unknown key of the file is refused
with its line, a wrong value with the name to change; an unknown `MAESTRO_*` is a warning. Secrets stand in the
environment or in private files (`..._FILE`), never in `maestro.toml`. `maestro doctor` shows what holds, without
secrets. Settings are read by `maestro up`.

Another name (`also`) counts where ours is not set in the environment."""
TIERS = """
## Tiers and places

Where models are is said by names of their own: `MAESTRO_TIER_OPUS`, `_SONNET`, `_HAIKU` (`provider/model`, comma lists
in the order of failover), each with `_API_BASE`, `_API_KEY` or `_API_KEY_FILE`, `_PRICE` (IN/OUT in dollars per million
tokens); or `MAESTRO_PROVIDER_CHAIN` with `MAESTRO_FOUNDRY_*`, `MAESTRO_ANTHROPIC_*` and `MAESTRO_BEDROCK_*`. In the
file they stand below `[tiers]`.
"""
WORDS = re.compile(r"\b(?:typing|pathlib|collections\.abc|pydantic\.types|maestro\.[\w.]+)\.")


def page() -> str:
    parts = [opening("Settings", OPENING)]
    for owner in _owners():
        names = [
            name
            for name in vars(owner).get("__annotations__", {})
            if name in Settings.model_fields and _owner(name) is owner
        ]
        if names:
            docs = _docs(owner)
            parts.append(f"## {_title(owner)}\n\n{table(HEADINGS, (_row(name, docs) for name in names))}")
    return "\n".join([*parts, TIERS.strip() + "\n"])


HEADINGS = ("setting", "type", "default", "also", "meaning")


def _owners() -> Iterator[type[BaseSettings]]:
    yield Settings
    yield from sorted(
        (base for base in Settings.__mro__[1:] if base.__module__.startswith("maestro.")),
        key=lambda base: base.__name__,
    )


def _owner(name: str) -> type:
    return next(base for base in Settings.__mro__ if name in vars(base).get("__annotations__", {}))


def _title(owner: type) -> str:
    return "General" if owner is Settings else owner.__name__.removesuffix("Settings")


def _row(name: str, docs: Mapping[str, str]) -> tuple[str, ...]:
    field = Settings.model_fields[name]
    others = ", ".join(code(alias) for alias, meant in ALIASES.items() if meant == name)
    return code(PREFIX + name.upper()), code(_type(field)), code(_default(field)), others, docs.get(name, "")


def _type(field: FieldInfo) -> str:
    kind: Any = field.annotation
    text = kind.__name__ if isinstance(kind, type) and not getattr(kind, "__args__", ()) else str(kind)
    text = WORDS.sub("", text).replace(" | None", "").replace("Optional[", "").replace("NoneType", "None")
    text = text[:-1] if text.count("]") > text.count("[") else text
    bounds = {type(bound).__name__.lower(): bound for bound in field.metadata}
    least, most = getattr(bounds.get("ge"), "ge", None), getattr(bounds.get("le"), "le", None)
    limits = (
        f" {least}..{'' if most is None else most}" if least is not None else f" ..{most}" if most is not None else ""
    )
    return f"{text}{limits}"


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        factory = getattr(field.default_factory, "__name__", "")
        return "the state folder of this user" if factory == "default_home" else ""
    if field.default is PydanticUndefined or field.default is None or field.default == ():
        return ""
    return ",".join(map(str, field.default)) if isinstance(field.default, tuple) else str(field.default)


def _docs(owner: type) -> Mapping[str, str]:
    """Name -> the sentence that stands below it in the source."""
    source = Path(inspect.getfile(owner)).read_text()
    told: dict[str, str] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef) and node.name == owner.__name__:
            for field, below in zip(node.body, node.body[1:], strict=False):
                if (
                    isinstance(field, ast.AnnAssign)
                    and isinstance(field.target, ast.Name)
                    and isinstance(below, ast.Expr)
                ):
                    told[field.target.id] = str(ast.literal_eval(below.value))
    return told
