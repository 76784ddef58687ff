"""What the text of a setting means: how lists, pairs and URLs are written, and what is no such thing.

Each is the body of one of pydantic's validators: it returns the value, or raises ValueError with what to write.
Not here: which settings there are (`maestro.settings`), and files (`maestro.settings_file`).
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import ParamSpec, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import SecretStr

from maestro.errors import InvalidInput
from maestro.runtime.pooling import NAME, Pool

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_FEED = re.compile(r"(?P<subject>[\w.-]{1,120})=(?P<url>https?://\S+)")
_REDIS_SCHEMES = ("redis", "rediss", "unix")
_SPREAD = ("redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
_NOTIFY_SCHEMES = ("http", "https", "smtp", "smtps")
P = ParamSpec("P")
T = TypeVar("T")


def split_redis_password(given: object) -> object:
    """A password inside the URL becomes a secret of its own, so that the URL may be shown."""
    url = given.get("redis_url") if isinstance(given, dict) else None
    if not isinstance(url, str) or not isinstance(given, dict):
        return given
    try:
        parts = urlsplit(url)
        password = parts.password
    except ValueError:
        return given  # the field's own validator says what is wrong
    if password is None:
        return given
    user, place = parts.username or "", parts.netloc.rpartition("@")[2]
    bare = parts._replace(netloc=f"{user}@{place}" if user else place).geturl()
    bare = f"unix://{bare.removeprefix('unix:').removeprefix('//')}" if parts.scheme == "unix" else bare
    return {**given, "redis_url": bare, "redis_password": SecretStr(unquote(password))}


def redis_url(url: str | None) -> str | None:
    """A URL that leads to a Redis."""
    parts = urlsplit(url or "")
    if url is not None and parts.scheme not in (*_REDIS_SCHEMES, *_SPREAD):
        raise ValueError("write redis://HOST:PORT/DB, rediss://... or unix:///PATH")
    if parts.scheme != "unix" and not _is_quoted(parts):
        raise ValueError("write HOST:PORT, and %2F for / in a user or password, %40 for @, %3F for ?, %23 for #")
    if parts.scheme.endswith("+sentinel") and not re.fullmatch(r"/[^/]+(/\d+)?", parts.path):
        raise ValueError("write redis+sentinel://HOST:PORT,HOST:PORT/SERVICE, or .../SERVICE/DB")
    if parts.scheme in _SPREAD and not parts.netloc.rpartition("@")[2].strip(","):
        raise ValueError("name at least one host: redis+cluster://HOST:PORT,HOST:PORT")
    return url


def _is_quoted(parts: SplitResult) -> bool:
    """False where a password that was not quoted has torn its URL apart: no part of it may show in an error then."""
    place = parts.netloc.rpartition("@")[2]
    whole = all(
        re.fullmatch(r"[^:\[\]]*|[^:\[\]]*:\d{1,5}|\[[0-9a-fA-F:.]+\](:\d{1,5})?", host) for host in place.split(",")
    )
    return whole and "@" not in parts.path + parts.query + parts.fragment


def notify_url(url: str | None) -> str | None:
    """A URL that leads to people, without a password."""
    parts = urlsplit(url or "")
    if url is not None and (parts.scheme not in _NOTIFY_SCHEMES or not parts.hostname or parts.password):
        raise ValueError("write http(s)://HOST/PATH, or smtp(s)://USER@HOST:PORT/?from=ADDRESS&to=ADDRESS")
    return url


def mail_url(url: str | None) -> str | None:
    """A URL of a mail server, without a password."""
    if notify_url(url) is not None and not str(url).startswith("smtp"):
        raise ValueError("write smtp(s)://USER@HOST:PORT/?from=ADDRESS&to=ADDRESS")
    return url


def names(given: object) -> object:
    """Words with commas or spaces between them."""
    return tuple(filter(None, re.split(r"[,\s]+", given))) if isinstance(given, str) else given


def modules(given: tuple[str, ...]) -> tuple[str, ...]:
    """Each could be a module."""
    for name in given:
        if not _MODULE.fullmatch(name):
            raise ValueError(f"{name!r:.60} is no module name: write my_package.my_module, comma between two")
    return given


def paths(given: tuple[str, ...]) -> tuple[str, ...]:
    """Each could be a name in a module."""
    for path in given:
        module, _, name = path.partition(":")
        if not _MODULE.fullmatch(module) or not name.isidentifier():
            raise ValueError(f"{path!r:.60} names no specs: write my_package.my_module:NAME, comma between two")
    return given


def feeds(given: object) -> object:
    """Subject -> URL, from a text or a list of pairs."""
    pairs = given.split() if isinstance(given, str) else given
    if not isinstance(pairs, list):
        return pairs
    found = [_FEED.fullmatch(str(pair)) for pair in pairs]
    if None in found:
        raise ValueError("write SUBJECT=http://HOST/FEED, a space between two")
    return {match["subject"]: match["url"] for match in found if match}


def pools(given: object) -> object:
    """Pools by name, from JSON."""
    if not isinstance(given, str):
        return given
    try:
        return json.loads(given)
    except json.JSONDecodeError as error:
        raise ValueError(f'{error}: write JSON, such as {{"default": {{"min": 2, "max": 8}}}}') from None


def pool_names(given: Mapping[str, Pool]) -> Mapping[str, Pool]:
    """Each can be part of an actor's name, and is no pool of one continuation."""
    for name in given:
        if not re.fullmatch(NAME, name) or name.startswith("dedicated-"):
            raise ValueError(f"{name!r:.60} is no name of a pool: write up to 32 of a-z, 0-9, '_', '-', a letter first")
    return given


def in_words(check: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """Pydantic passes on the text of a ValueError only, with the name of the field."""
    try:
        return check(*given, **named)
    except InvalidInput as error:
        raise ValueError(str(error)) from None
