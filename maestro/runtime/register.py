"""The port Register: small notes that the edge of an installation keeps: tokens, log-ins, marks, answers given before.

A note lies under a kind and a name, and may have an end; behind it, it is not there any more. Invariants: each method
is one atomic step; ends are read on the store's clock.
What is not here: what a note says; continuations, whose truth is nowhere but in their checkpoints.
"""

from collections.abc import Mapping
from typing import Protocol

from maestro.ids import TimeMs


class Register(Protocol):
    async def add(self, kind: str, name: str, note: bytes, until_ms: TimeMs | None = None) -> bytes | None:
        """The note is there, unless one was: returns that one, which stays."""
        ...

    async def put(self, kind: str, name: str, note: bytes, until_ms: TimeMs | None = None) -> None:
        """The note is there, in place of any other."""
        ...

    async def get(self, kind: str, name: str) -> bytes | None: ...

    async def take(self, kind: str, name: str) -> bytes | None:
        """The note, which is gone: of all that take it, one gets it."""
        ...

    async def all(self, kind: str) -> Mapping[str, bytes]:
        """Name -> note, in no order."""
        ...
