"""Text from models, feeds and people, made fit for a terminal: nothing in it steers one (PROMISES B54, B96).

Control characters (escape, newline, backspace ...), C1 controls, line and paragraph separators, direction overrides and
lone surrogates show as what they are: an escape as backslash, x, 1, b.
"""

import re

_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_STEERING_JSON = re.compile(_STEERING.pattern.replace("\x00-\x1f", ""))
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def inert(text: str) -> str:
    """`text` on one line, without a character that a terminal would obey."""
    return _STEERING.sub(lambda found: _SHORT.get(found[0]) or _escaped(found[0]), text)


def inert_lines(text: str) -> str:
    """`text` with its line breaks, and otherwise inert."""
    return "\n".join(inert(line) for line in re.split(r"\r?\n", text))


def inert_json(text: str) -> str:
    """A JSON text that means the same, and is inert in a terminal; its own line breaks stay."""
    return _STEERING_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
