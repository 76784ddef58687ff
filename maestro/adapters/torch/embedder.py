"""Vectors for the index by a model such as MiniLM, computed in a thread of its own."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from maestro.adapters.torch.encoder import Encoder, digest_of
from maestro.errors import RankerFailed
from maestro.field.embedding import Vector


class TorchEmbedder:
    """maestro.field.embedding.Embedder; other weights have another name."""

    def __init__(self, model: Path) -> None:
        self._encoder = Encoder(model)
        self._name = f"torch-{model.name}-{digest_of(model)[:12]}"

    @property
    def name(self) -> str:
        return self._name

    @property
    def dims(self) -> int:
        return self._encoder.dims

    async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        try:
            return await asyncio.to_thread(self._encoder.rows, texts)
        except RuntimeError as error:  # what torch raises, out of memory included
            raise RankerFailed(f"torch makes no vectors: {error}") from error
