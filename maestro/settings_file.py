"""maestro.toml: found, read, and refused with the line where something in it is wrong.

Invariants: no unknown key passes; no secret passes, because files get copied, committed and shown. The syntax (types,
duplicates, tabs) is `tomllib`'s business.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import orjson
from pydantic import JsonValue, SecretStr

from maestro.errors import InvalidInput

NAME = "maestro.toml"
MODEL_SETTING = re.compile(
    r"MAESTRO_(TIER_[A-Z]+(_API_BASE|_API_KEY_FILE|_PRICE)?|PROVIDER_CHAIN"
    r"|(FOUNDRY|ANTHROPIC|BEDROCK)_(ENDPOINT|REGION|OPUS|SONNET|HAIKU|API_KEY_FILE))"
)
"""What says where models are, but for the keys."""
MODEL_KEY = re.compile(r"MAESTRO_(TIER_[A-Z]+|FOUNDRY|ANTHROPIC|BEDROCK)_API_KEY")
SECRETS = {"redis_password": "redis_password_file", "mac_key": "mac_key_file", "tier_keys": "tiers"}
"""Keys that no file may hold, and what to write instead."""


def find(home: Path) -> Path | None:
    """The file in the current folder, else the one in `home`, else None."""
    return next((path for path in (Path.cwd() / NAME, home / NAME) if path.is_file()), None)


def read_toml(path: Path | None, known: frozenset[str]) -> dict[str, JsonValue]:
    """What the file says, by setting; tiers by their full names MAESTRO_TIER_*.

    Raises:
        InvalidInput: the file cannot be read, is not TOML, names an unknown key, or holds a secret.
    """
    if path is None:
        return {}
    try:
        text = path.read_text()
        written: dict[str, JsonValue] = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(f"{path}: {error}", field=str(path), hint="write NAME = VALUE, one a line") from None
    for name in written:
        if name in SECRETS:
            raise _refused(path, text, name, "a secret does not belong in this file", f"set {SECRETS[name]} instead")
        if name not in known:
            raise _refused(
                path, text, name, f"unknown key {name!r}", f"use one of {', '.join(sorted(known - {*SECRETS}))}"
            )
    url = written.get("redis_url")
    if isinstance(url, str) and urlsplit(url).password:
        raise _refused(path, text, "redis_url", "a password does not belong in this file", "set redis_password_file")
    tiers = written.get("tiers")
    return {**written, "tiers": _full_names(tiers, path, text)} if isinstance(tiers, dict) else written


def models_of(environ: Mapping[str, str]) -> dict[str, JsonValue | dict[str, SecretStr]]:
    """What an environment says of where models are: `tiers`, and `tier_keys` apart, as settings hold them."""
    plain: dict[str, JsonValue] = {name: text for name, text in environ.items() if MODEL_SETTING.fullmatch(name)}
    keys = {name: SecretStr(text) for name, text in environ.items() if MODEL_KEY.fullmatch(name)}
    return {**({"tiers": plain} if plain else {}), **({"tier_keys": keys} if keys else {})}


def parse_json(text: str) -> dict[str, JsonValue]:
    """The settings in a text of `render_json`.

    Raises:
        InvalidInput: it is not a JSON object.
    """
    try:
        parsed = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"settings: {error}", field="settings", hint="pass on what to_json() gave") from None
    if not isinstance(parsed, dict):
        raise InvalidInput("settings are no JSON object", field="settings", hint="pass on what to_json() gave")
    return parsed


def render_json(values: Mapping[str, JsonValue]) -> str:
    """One line of JSON, keys sorted."""
    return orjson.dumps(values, option=orjson.OPT_SORT_KEYS).decode()


def _full_names(tiers: Mapping[str, JsonValue], path: Path, text: str) -> dict[str, JsonValue]:
    for name in tiers:
        if name.lower().endswith("_api_key"):
            raise _refused(path, text, name, "a key does not belong in this file", f"set {name}_file instead")
    return {f"MAESTRO_TIER_{name.upper()}": value for name, value in tiers.items()}


def _refused(path: Path, text: str, name: str, complaint: str, fix: str) -> InvalidInput:
    at = re.search(rf"""^[ \t]*(\[+[ \t]*)?["']?{re.escape(name)}["']?[ \t]*([=.\]]|$)""", text, re.MULTILINE)
    line = text.count("\n", 0, at.start()) + 1 if at else 1
    return InvalidInput(f"{path}, line {line}: {complaint}", field=name, hint=fix)
