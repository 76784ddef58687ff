"""What a supervisor's mailbox holds: exits of children, its own second thoughts, wishes of others, the end."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from maestro.supervision.state import Decided, Exit, SupervisorState


@dataclass(frozen=True, slots=True)
class Retry:
    """A restart that failed gets its next try."""

    id: str


@dataclass(frozen=True, slots=True)
class Turn:
    """Some of those that wait to restart may go."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Somebody wants a change and waits for it."""

    change: Callable[[SupervisorState], Decided]
    answer: asyncio.Future[None]


@dataclass(frozen=True, slots=True)
class Stop:
    """End in order."""


Message = Exit | Retry | Turn | Ask | Stop
