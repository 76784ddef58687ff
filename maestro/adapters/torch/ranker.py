"""The engine `torch`: the cosine of mean-pooled sentence embeddings, computed in a thread of its own.

torch and transformers are no dependency of ours: importing this module is what needs them, so only who was set to this
engine does. The model is a folder on this machine; nothing is fetched, and no code that lies beside weights is run.

Invariants: the model is in evaluation mode and sees one text at a time, unpadded, so that no score depends on company.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

from maestro.continuation.goal import GoalFrame
from maestro.errors import RankerFailed
from maestro.field.ranker import Rankable

MAX_TOKENS = 256  # what MiniLM was trained on


class TorchRanker:
    """maestro.field.ranker.Ranker over a bi-encoder such as MiniLM."""

    def __init__(self, model: Path) -> None:
        where: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(str(model), **where)
        self._model = transformers.AutoModel.from_pretrained(str(model), **where).eval()

    async def score(self, goal: GoalFrame, entries: Sequence[Rankable]) -> list[float]:
        try:
            return await asyncio.to_thread(self._scores, goal.text, [f"{it.title}. {it.body}" for it in entries])
        except RuntimeError as error:  # what torch raises, out of memory included
            raise RankerFailed(f"torch cannot rank: {error}") from error

    def _scores(self, goal: str, texts: Sequence[str]) -> list[float]:
        wanted = self._embedded(goal)
        return [max(0.0, min(1.0, float(wanted @ self._embedded(text)))) for text in texts]

    def _embedded(self, text: str) -> Any:
        """`(dims,) float32`, L2-normalised."""
        tokens = self._tokenizer(text, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        with torch.inference_mode():
            return torch.nn.functional.normalize(self._model(**tokens).last_hidden_state[0].mean(dim=0), dim=0)
