"""A cross-encoder in a folder: it reads goal and entry together, one pair at a time; a sigmoid says how well they fit.

What the model is, its folder says: an architecture `...ForSequenceClassification` with one label is a cross-encoder. As
in `encoder`, nothing is fetched, no code that lies beside weights is run, and no score depends on company.
"""

from pathlib import Path
from typing import Any

import torch
import transformers

from maestro.errors import InvalidInput

PAIR_TOKENS = 512  # of goal and entry together: what BERTs have positions for
CLASSIFIER = "ForSequenceClassification"
HERE: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}


class Reader:
    """A cross-encoder such as MiniLM trained on MS MARCO."""

    def __init__(self, model: Path) -> None:
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(str(model), **HERE)
        self._model = transformers.AutoModelForSequenceClassification.from_pretrained(str(model), **HERE).eval()

    def read(self, goal: str, text: str) -> float:
        """Within 0..1."""
        tokens = self._tokenizer(goal, text, truncation="longest_first", max_length=PAIR_TOKENS, return_tensors="pt")
        with torch.inference_mode():
            return float(torch.sigmoid(self._model(**tokens).logits[0, 0]))


def reads_pairs(model: Path) -> bool:
    """Whether the folder holds a cross-encoder; else it is taken for an encoder.

    Raises:
        InvalidInput: a classifier with more than one label, which scores nothing.
    """
    config: Any = transformers.AutoConfig.from_pretrained(str(model), **HERE)
    if not any(name.endswith(CLASSIFIER) for name in config.architectures or ()):
        return False
    if config.num_labels != 1:
        raise InvalidInput(
            f"{model} tells {config.num_labels} classes apart", field="model", hint="a ranker has one label"
        )
    return True
