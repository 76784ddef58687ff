"""The context kernel as the projector knows it: a ranker that asks a Serve deployment.

Invariants: whatever goes wrong on the way is `RankerFailed`; an answer has one score within 0..1 per entry, in their
order; after somebody gave up waiting, nobody waits for a second, so that a kernel that is away costs each field of that
second nothing; the next one asks again.
What is not here: the deadline and what stands in (`maestro.field.steady`), and who deploys it (`actors.kernel_keeper`).
"""

import asyncio
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

from ray import serve

from maestro.continuation.goal import GoalFrame
from maestro.errors import RankerFailed
from maestro.field.kernel import APP, KernelAsk
from maestro.field.ranker import Rankable, scores_by_id

REST_S = 1.0
WORDS = 300


class ServeRanker:
    """maestro.field.ranker.Ranker over a Serve application."""

    def __init__(self, app: str = APP) -> None:
        self._app = app
        self._handle: Any = None
        self._asks_again_at = 0.0

    async def score(self, goal: GoalFrame, entries: Sequence[Rankable]) -> list[float]:
        if not entries:
            return []
        if monotonic() < self._asks_again_at:
            raise RankerFailed("the context kernel did not answer lately", again_in_s=REST_S)
        try:
            ask = KernelAsk.of(goal, entries)
            answer = await self._asked(ask.model_dump_json())
        except asyncio.CancelledError:  # whoever asked gave up
            self._asks_again_at = monotonic() + REST_S
            raise
        except Exception as error:  # whatever Ray, Serve or the engine says: the caller has what stands in
            self._handle = None
            raise RankerFailed(f"the context kernel does not rank: {_words(error)}") from error
        return scores_by_id(list(answer.items()), [candidate.id for candidate in ask.entries])

    async def _asked(self, ask: str) -> Mapping[str, float]:
        if self._handle is None:
            await asyncio.to_thread(self._find)
        handle: Any = self._handle
        answer: Mapping[str, float] = await handle.score.remote(ask)
        return answer

    def _find(self) -> None:
        """The handle is known from now on, also if whoever asked for it has given up meanwhile."""
        self._handle = serve.get_app_handle(self._app)


def _words(error: Exception) -> str:
    """What it says, without the traceback that Ray puts before it."""
    cause = getattr(error, "cause", None) or error
    return (str(cause).strip().splitlines() or [type(cause).__name__])[-1][:WORDS]
