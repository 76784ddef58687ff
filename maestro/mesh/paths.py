"""Names of files that somebody else chose: of what lies in a watched folder, of artifacts.

Invariants: pure; a name is relative, in one form, and stays below its root whoever reads it, POSIX, Windows or a URL
decoder. What has a second reading is refused and not repaired.

What is not here: links on the disk, which only whoever opens the file can see (adapters/files/inside.py).

Source: PROMISES B65, B67.
"""

import re
import unicodedata
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from maestro.errors import InvalidInput

MAX_NAME_CHARS = 512
MAX_PART_BYTES = 255
MAX_DEPTH = 16
DEFAULT_GLOB = "*"

_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\\:*?\"<>|%\u202a-\u202e\u2066-\u2069]")
_GLOB = re.compile(r"[A-Za-z0-9._*?\[\]-]{1,64}")


def check_name(name: str, field: str = "name") -> PurePosixPath:
    """`name` as a path below some root.

    Raises:
        InvalidInput: absolute, upwards, hidden, of another system, encoded, or with more than one reading.
    """
    parts = name.split("/")
    spelled = unicodedata.normalize("NFKC", name)
    if (
        not 1 <= len(name) <= MAX_NAME_CHARS
        or len(parts) > MAX_DEPTH
        or _UNSAFE.search(name)
        or _folded(spelled) != _folded(unicodedata.normalize("NFC", name))
        or not all(map(_is_plain, parts))
    ):
        raise InvalidInput(
            f"{name[:80]!r} is no name of a file",
            field=field,
            hint="give a relative name without '..', such as papers/one.pdf",
        )
    return PurePosixPath(name)


def folder_of(url: str) -> tuple[PurePosixPath, str]:
    """The folder that a `file:` or `maildir:` address names, and the pattern of the names wanted in it.

    Raises:
        InvalidInput: not `SCHEME:///absolute/path`, perhaps with `?glob=*.pdf`.
    """
    hint = "write file:///absolute/folder, perhaps with ?glob=*.pdf, or maildir:///absolute/folder"
    wrong = InvalidInput(f"{url[:80]!r} names no folder", field="url", hint=hint)
    try:
        parts = urlsplit(url)
    except ValueError:
        raise wrong from None
    path, (key, _, glob) = unquote(parts.path), parts.query.partition("=")
    fit = not parts.netloc and not parts.fragment and path.startswith("/") and "\x00" not in path and path != "/"
    if not fit or ".." in path.split("/") or key not in ("", "glob") or (key and not _GLOB.fullmatch(glob)):
        raise wrong
    return PurePosixPath(path), glob or DEFAULT_GLOB


def _is_plain(part: str) -> bool:
    """True for a name that any system takes as the name of one file in this folder; hidden ones are not."""
    return (
        bool(part)
        and not part.startswith((".", "~", "-", " "))
        and not part.endswith((".", " "))
        and len(part.encode(errors="replace")) <= MAX_PART_BYTES
        and part.isprintable()
        and not _RESERVED.fullmatch(part)
    )


def _folded(text: str) -> str:
    """What of `text` could mean a path: a form that folds to one of these is another spelling of it."""
    return "".join(char for char in text if char in "./\\%:~")
