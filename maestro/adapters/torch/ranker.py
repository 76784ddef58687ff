"""The engine `torch`: the cosine of sentence embeddings, or what a cross-encoder says, computed in a thread of its own.

torch and transformers are no dependency of ours: importing this module is what needs them, so only who was set to this
engine does (`encoder`, `reader`).
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from maestro.adapters.torch.encoder import Encoder
from maestro.adapters.torch.reader import Reader, reads_pairs
from maestro.continuation.goal import GoalFrame
from maestro.errors import RankerFailed
from maestro.field.ranker import Rankable


class TorchRanker:
    """maestro.field.ranker.Ranker over a bi-encoder such as MiniLM, or over a cross-encoder.

    Raises:
        InvalidInput: a classifier with more than one label, which scores nothing.
    """

    def __init__(self, model: Path) -> None:
        self._model = Reader(model) if reads_pairs(model) else Encoder(model)

    async def score(self, goal: GoalFrame, entries: Sequence[Rankable]) -> list[float]:
        try:
            return await asyncio.to_thread(self._scores, goal.text, [f"{it.title}. {it.body}" for it in entries])
        except RuntimeError as error:  # what torch raises, out of memory included
            raise RankerFailed(f"torch cannot rank: {error}") from error

    def _scores(self, goal: str, texts: Sequence[str]) -> list[float]:
        if isinstance(self._model, Reader):
            return [self._model.read(goal, text) for text in texts]
        wanted = self._model.embedded(goal)
        return [max(0.0, min(1.0, float(wanted @ self._model.embedded(text)))) for text in texts]
