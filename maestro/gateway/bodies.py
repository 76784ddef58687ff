"""Bodies of requests: JSON that means one thing only.

Refused are: what is no JSON in UTF-8, a key that stands twice, nesting deeper than 64 (all 400); numbers that nobody
can keep exactly, NaN, and text that is no Unicode (422).

Source: PROMISES B1 to B11.
"""

import json
import math
import re

from maestro.errors import InvalidInput
from maestro.gateway.problems import Malformed

MAX_DEPTH = 64
MAX_BYTES = 1_000_000
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
"""To its end, or to the end of a body that ends within it; possessive, so that each byte is looked at once."""
_BRACKET = re.compile(rb"[\[\]{}]")


def check_json(body: bytes) -> None:
    """`body` is JSON that may be read.

    Raises:
        Malformed: it is none, or nobody can tell what it means.
        InvalidInput: a number or a text in it cannot be kept.
    """
    if _depth(body) > MAX_DEPTH:
        raise Malformed(f"JSON is nested deeper than {MAX_DEPTH}", hint="send it flatter")
    try:
        value = json.loads(
            body.decode(), object_pairs_hook=_object, parse_constant=_constant, parse_int=_whole, parse_float=_float
        )
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError:
        raise Malformed("the body is no UTF-8", hint="send JSON in UTF-8") from None
    except UnicodeEncodeError:
        raise InvalidInput("a text holds half a character", field="body", hint="send whole surrogate pairs") from None
    except json.JSONDecodeError as error:
        told = f"the body is no JSON: {error.msg} at character {error.pos}"
        raise Malformed(told, hint="send one JSON value") from None


def _depth(body: bytes) -> int:
    depth = deepest = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Malformed(f"the key {twice[:60]!r} stands twice in an object", hint="send it once")
    return found


def _constant(name: str) -> object:
    raise InvalidInput(f"{name} is no number", field="body", hint="send a finite number")


def _whole(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= int(text) < 2**63:
        raise InvalidInput(f"{text[:40]} is too large a number", field="body", hint="send one of 63 bits at most")
    return int(text)


def _float(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise InvalidInput(f"{text[:40]} is too large a number", field="body", hint="send a finite number")
    return number
