"""The context kernel in words: what Serve says of it, and what it would miss on this machine."""

import importlib.util
from collections.abc import Mapping

from pydantic import JsonValue
from rich.text import Text

from maestro.cli.inert import inert
from maestro.cli.keepers import told_by
from maestro.settings import Settings

KEEPER = "kernel-keeper"
NEEDS = {"local": (), "torch": ("torch", "transformers"), "vllm": ("vllm",)}


def kernel_told(settings: Settings) -> dict[str, JsonValue] | None:
    """What its keeper knows; None where none is kept, or the cluster does not answer."""
    return None if settings.kernel == "off" else told_by(settings, KEEPER)


def kernel_line(told: Mapping[str, JsonValue]) -> Text:
    """Such as `RUNNING, engine local, replicas: 1 running`."""
    states = told["replicas"] if isinstance(told["replicas"], dict) else {}
    replicas = ", ".join(f"{count} {state.lower()}" for state, count in sorted(states.items())) or "none"
    well = told["state"] == "RUNNING"
    line = Text(str(told["state"]), style="" if well else "bold red")
    rest = f", engine {told['engine']}, replicas: {replicas}" + (f"; {told['message']}" if told["message"] else "")
    return line.append(inert(rest), style="not bold")


def missing_here(settings: Settings) -> str:
    """What the engine needs and does not find; nothing where all is there."""
    absent = [name for name in NEEDS[settings.kernel_engine] if importlib.util.find_spec(name) is None]
    if absent:
        return f"{' and '.join(absent)} not installed"
    if settings.kernel_model is not None and not any(settings.kernel_model.glob("*.safetensors")):
        return f"no *.safetensors in {settings.kernel_model}"
    return ""
