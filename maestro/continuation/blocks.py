"""Blocks: what is large is kept once, under the SHA-256 of its bytes, and a small *ref* stands in its place.

A ref is {"inline": value} or {"block": name} for a JSON value, {"inline": text} or {"tree": name} for a text. A tree
is a text cut into pieces, the pieces gathered into nodes, the nodes into nodes, up to one. Where a node ends depends on
what is in it, not on how much came before: so of a text in which little changes, little is new, however long it is.
Invariants: the same value gives the same ref; a ref and its blocks give the value back, and no other.

Source: content-defined chunking (rsync, LBFS); Merkle trees (Git, IPFS).
"""

import hashlib
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

import orjson
from pydantic import JsonValue

from maestro.errors import IntegrityError

INLINE_BYTES = 1_024  # a name with its place in the store costs about 200 bytes: smaller things are not worth one
NODE_BYTES = 1_024  # expected size of a node: one change anywhere costs about a node per level
MOST_NODE_BYTES = 32_768  # where no cut comes by itself

Fetch = Callable[[Sequence[str]], Awaitable[Mapping[str, bytes]]]
"""Blocks by their names, as far as they are there."""


def name_of(block: bytes) -> str:
    """What a block is kept under: SHA-256, hexadecimal."""
    return hashlib.sha256(block).hexdigest()


def kept(value: JsonValue, into: dict[str, bytes], *, apart: bool = False) -> JsonValue:
    """The ref of a JSON value; its block, where it needs one, is in `into`.

    Args:
        apart: a block even if it is small, for what comes again and again.
    """
    body = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    if len(body) <= INLINE_BYTES and not apart:
        return {"inline": value}
    return {"block": _put(body, into)}


def kept_text(pieces: Sequence[str], into: dict[str, bytes]) -> JsonValue:
    """The ref of the text that `pieces` make; cut it where a reader would: a piece is what changes or stays as one."""
    text = "".join(pieces)
    if len(text.encode()) <= INLINE_BYTES:
        return {"inline": text}
    items: list[JsonValue] = [_leaf(piece, into) for piece in pieces]
    while True:
        nodes = [_put(b"[" + b",".join(node) + b"]", into) for node in _nodes(items)]
        if len(nodes) == 1:
            return {"tree": nodes[0]}
        items = [{"node": name} for name in nodes]


async def read(ref: JsonValue, fetch: Fetch) -> JsonValue:
    """The value that `ref` stands for.

    Raises:
        IntegrityError: a block is missing or was changed, or this is no ref.
    """
    match ref:
        case {"inline": value}:
            return value
        case {"block": str(name)}:
            told: JsonValue = orjson.loads((await _fetched([name], fetch))[name])
            return told
        case {"tree": str(name)}:
            return await _text({"node": name}, fetch)
        case _:
            raise IntegrityError(f"{str(ref)[:80]} is no ref", hint="run `maestro verify`")


async def names_under(value: JsonValue, fetch: Fetch) -> set[str]:
    """Every block that the refs in `value`, however deep, need; those that are there are checked.

    Raises:
        IntegrityError: a block is missing or was changed.
    """
    found: set[str] = set()
    blocks, nodes = _refs_in(value)
    while blocks or nodes:
        fetched = await _fetched([*blocks, *nodes], fetch)
        found |= fetched.keys()
        inner = [orjson.loads(fetched[name]) for name in nodes]
        blocks, nodes = _refs_in(inner)
        blocks, nodes = blocks - found, nodes - found
    return found


def _put(block: bytes, into: dict[str, bytes]) -> str:
    name = name_of(block)
    into[name] = block
    return name


def _leaf(piece: str, into: dict[str, bytes]) -> JsonValue:
    body = piece.encode()
    return piece if len(body) <= INLINE_BYTES else {"text": _put(body, into)}


def _nodes(items: Sequence[JsonValue]) -> Iterator[list[bytes]]:
    """The items in their order, gathered: at least two in each, and cut after an item that says so itself."""
    node: list[bytes] = []
    size = 0
    for item in items:
        written = orjson.dumps(item)
        node.append(written)
        size += len(written)
        ends = zlib.crc32(written) % NODE_BYTES < len(written)
        if len(node) > 1 and (ends or size > MOST_NODE_BYTES):
            yield node
            node, size = [], 0
    if node:
        yield node


async def _text(root: JsonValue, fetch: Fetch) -> str:
    """Level by level, each in one look."""
    items: list[JsonValue] = [root]
    while names := [next(iter(item.values())) for item in items if isinstance(item, dict)]:
        fetched = await _fetched([str(name) for name in dict.fromkeys(map(str, names))], fetch)
        items = [part for item in items for part in _expanded(item, fetched)]
    return "".join(map(str, items))


def _expanded(item: JsonValue, fetched: Mapping[str, bytes]) -> list[JsonValue]:
    match item:
        case {"node": str(name)}:
            inner: list[JsonValue] = orjson.loads(fetched[name])
            return inner
        case {"text": str(name)}:
            return [fetched[name].decode()]
        case _:
            return [item]


async def _fetched(names: Sequence[str], fetch: Fetch) -> Mapping[str, bytes]:
    """Blocks by name, each checked against it."""
    found = await fetch(names)
    for name in names:
        if name not in found:
            raise IntegrityError(f"block {name} is missing", hint="restore it from an export")
        if name_of(found[name]) != name:
            raise IntegrityError(f"block {name} was changed after it was written", hint="restore it from an export")
    return found


def _refs_in(value: JsonValue) -> tuple[set[str], set[str]]:
    """(names of plain blocks, names of nodes) that `value` refers to."""
    blocks: set[str] = set()
    nodes: set[str] = set()
    open_ = [value]
    while open_:
        part = open_.pop()
        if isinstance(part, list):
            open_ += part
        elif isinstance(part, dict):
            kind, inner = next(iter(part.items())) if len(part) == 1 else ("", None)
            if kind in ("block", "text"):
                blocks.add(str(inner))
            elif kind in ("tree", "node"):
                nodes.add(str(inner))
            elif kind != "inline":
                open_ += part.values()
    return blocks, nodes
