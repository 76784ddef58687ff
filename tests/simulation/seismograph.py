"""A world that feels every change of its store: by comparing all that the store holds before and after each call."""

import hashlib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, ClassVar

from maestro.adapters.memory.state import Memory
from maestro.ids import ContinuationId
from maestro.testing.faults import CLIENT
from maestro.testing.wire import Call
from maestro.testing.world import World

STANDS_STILL = {"clock", "signals", "counts", "_heap"}  # what is no part of what is kept: `_heap` is only an index


class Seismograph(World):
    """Notes the numbers of the calls of Maestro's processes that changed anything that is stored."""

    shaken: ClassVar[dict[int, str]] = {}
    """Number of the call -> its name."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        type(self).shaken = {}
        self._before = _seal(self.watch.memory)
        applied = self.history.applied

        async def felt(by: Call, arguments: tuple[Any, ...], reply: Any) -> None:
            now = _seal(self.watch.memory)
            if now != self._before and by.process != CLIENT:
                self.shaken[by.number] = by.name
            self._before = now
            await applied(by, arguments, reply)

        self.history.applied = felt  # type: ignore[method-assign]

    async def start(self, *arguments: Any, **named: Any) -> ContinuationId:
        """What the world itself does is the call of no process."""
        cid = await super().start(*arguments, **named)
        self._before = _seal(self.watch.memory)
        return cid


def _seal(memory: Memory) -> bytes:
    whole = hashlib.sha256()
    for state in memory.partitions:
        for piece in _pieces(state):
            whole.update(piece.encode())
    return whole.digest()


def _pieces(value: Any) -> Iterator[str]:
    """Everything in it, to the leaves."""
    if is_dataclass(value) and type(value).__module__.startswith("maestro.adapters.memory"):
        for field in fields(value):
            if field.name not in STANDS_STILL:
                yield f"{field.name}:"
                yield from _pieces(getattr(value, field.name))
    elif type(value).__module__.startswith("maestro.adapters.memory"):
        yield from _pieces({name: inside for name, inside in vars(value).items() if name not in STANDS_STILL})
    elif isinstance(value, dict):
        for key in sorted(value, key=repr):
            if inside := "".join(_pieces(value[key])):  # a list of nobody is no list
                yield f"{key!r}={inside};"
    elif isinstance(value, list | tuple | set | frozenset):
        for item in sorted(value, key=repr) if isinstance(value, set | frozenset) else value:
            yield from _pieces(item)
    else:
        yield f"{value!r},"
