"""A cross-encoder under the engines `torch` and `vllm`: its own figures, by a head that nobody trained.

It says nothing of how well one ranks: trained weights of one are not to be had here. Skipped where torch or vLLM is
not; `make vllm` runs it, in an environment of its own.
"""

import importlib
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from maestro.errors import InvalidInput
from maestro.field.ranker import Ranker
from tests.contract.ranking import ASIDE, GOAL, ODD, OFF, ON
from tests.models import cross_encoder, needed

pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.timeout(600)]

DECIMALS = 4
ENTRIES = [ON, ASIDE, OFF, *ODD]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cross_encoder(needed("torch", "transformers"), tmp_path_factory.mktemp("cross"))


@pytest.fixture(scope="module")
def plain(model: Path) -> Ranker:
    made: Ranker = importlib.import_module("maestro.adapters.torch.ranker").TorchRanker(model)
    return made


async def test_torch_says_of_each_pair_what_the_model_says_of_it(model: Path, plain: Ranker) -> None:
    torch, transformers = (importlib.import_module(name) for name in ("torch", "transformers"))
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(str(model))
    network: Any = transformers.AutoModelForSequenceClassification.from_pretrained(str(model)).eval()
    wanted = []
    for entry in ENTRIES:
        pair = tokenizer(
            GOAL.text, f"{entry.title}. {entry.body}", truncation=True, max_length=512, return_tensors="pt"
        )
        with torch.inference_mode():
            wanted.append(float(network(**pair).logits.sigmoid()[0, 0]))
    scores = await plain.score(GOAL, ENTRIES)
    assert scores == pytest.approx(wanted, abs=10**-6)
    assert max(scores) - min(scores) > 100 * 10**-DECIMALS
    assert await plain.score(GOAL, ENTRIES[::-1]) == scores[::-1]


def test_a_classifier_of_many_classes_is_refused(model: Path, tmp_path: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    classes = {"id2label": {"0": "no", "1": "yes"}, "label2id": {"no": 0, "yes": 1}}
    (tmp_path / "config.json").write_text(json.dumps(config | classes))
    with pytest.raises(InvalidInput) as caught:
        importlib.import_module("maestro.adapters.torch.reader").reads_pairs(tmp_path)
    assert caught.value.field == "model"


async def test_vllm_says_the_same_to_four_decimals_alone_and_in_company(model: Path, plain: Ranker) -> None:
    needed("vllm")
    engine: Any = importlib.import_module("serve_apps.vllm_engine").VllmRanker(model, 0.0)
    with closing(engine):
        wanted = await plain.score(GOAL, ENTRIES)
        alone = [(await engine.score(GOAL, [entry]))[0] for entry in ENTRIES]
        assert alone == pytest.approx(wanted, abs=10**-DECIMALS)
        assert await engine.score(GOAL, ENTRIES) == alone
