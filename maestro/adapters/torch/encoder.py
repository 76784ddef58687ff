"""Sentence embeddings by a model in a folder: mean-pooled, normalised, one text at a time.

torch and transformers are no dependency of ours: importing this module is what needs them. The model is a folder on
this machine; nothing is fetched, and no code that lies beside weights is run.

Invariants: the model is in evaluation mode and sees one text at a time, unpadded, so that no vector depends on company.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

MAX_TOKENS = 256  # what MiniLM was trained on


class Encoder:
    """A bi-encoder such as MiniLM."""

    def __init__(self, model: Path) -> None:
        where: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(str(model), **where)
        self._model = transformers.AutoModel.from_pretrained(str(model), **where).eval()

    @property
    def dims(self) -> int:
        return int(self._model.config.hidden_size)

    def embedded(self, text: str) -> Any:
        """`(dims,) float32`, L2-normalised."""
        tokens = self._tokenizer(text, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        with torch.inference_mode():
            return torch.nn.functional.normalize(self._model(**tokens).last_hidden_state[0].mean(dim=0), dim=0)

    def rows(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        """One vector per text, as numbers."""
        return [tuple(self.embedded(text).tolist()) for text in texts]


def digest_of(model: Path) -> str:
    """What `cat *.safetensors | sha256sum` says in that folder."""
    digest = hashlib.sha256()
    for file in sorted(model.glob("*.safetensors")):
        with file.open("rb") as weights:
            while chunk := weights.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()
