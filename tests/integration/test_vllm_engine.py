"""The engine `vllm` against plain transformers, by the same weights.

Skipped where vLLM is not: it is the extra `gpu`, and its CPU build cannot stand beside what the lock holds (it wants a
torch version of its own). `make vllm` runs it, in an environment of its own.
"""

import importlib
from contextlib import closing
from typing import Any

import pytest

from maestro.field.ranker import Ranker
from tests.contract.ranking import ASIDE, GOAL, OFF, ON
from tests.models import needed

pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.timeout(600)]

DECIMALS = 4
MANY = [ON, ASIDE, OFF] * 11


async def test_its_scores_are_those_of_transformers_alone_and_in_company() -> None:
    model = needed("vllm")
    engine: Any = importlib.import_module("serve_apps.vllm_engine").VllmRanker(model, 0.0)
    plain: Ranker = importlib.import_module("maestro.adapters.torch.ranker").TorchRanker(model)
    wanted = await plain.score(GOAL, MANY)
    with closing(engine):
        alone = [(await engine.score(GOAL, [entry]))[0] for entry in MANY[:3]]
        together = await engine.score(GOAL, MANY)
    assert alone == pytest.approx(wanted[:3], abs=10**-DECIMALS)
    assert together == pytest.approx(wanted, abs=10**-DECIMALS)
