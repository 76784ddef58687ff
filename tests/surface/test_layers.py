"""The layers of DESIGN 7 hold, and each kind of violation is caught when it is planted."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CLEAN = "import maestro.errors\n"

VIOLATIONS = {
    "a low room imports a high one": ("maestro/budget/planted.py", "import maestro.tick\n", "rooms"),
    "the library imports ray": ("maestro/runtime/planted.py", "import ray\n", "no-ray-in-the-library"),
    "two adapters know each other": (
        "maestro/adapters/memory/planted.py",
        "import maestro.adapters.redis\n",
        "adapters-apart",
    ),
    "a room that has no floor": ("maestro/misc/__init__.py", CLEAN, "rooms"),
    "the library imports a shell": ("maestro/client.py", "import actors\n", "shells-stand-above"),
    "redis outside its room": ("actors/planted.py", "import redis\n", "redis-in-one-room"),
    "litellm outside its room": ("maestro/pager/planted.py", "import litellm\n", "litellm-in-one-room"),
    "siblings know each other": ("maestro/mesh/planted.py", "import maestro.field\n", "rooms"),
    "one shell imports another": ("serve_apps/planted.py", "import actors\n", "shells-apart"),
}


def test_every_contract_is_kept() -> None:
    outcome = _lint_imports(ROOT)
    assert outcome.returncode == 0, outcome.stdout


@pytest.mark.parametrize(("path", "source", "contract"), VIOLATIONS.values(), ids=VIOLATIONS.keys())
def test_a_planted_violation_is_caught(tmp_path: Path, path: str, source: str, contract: str) -> None:
    for room in ("maestro", "actors", "serve_apps"):
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    assert _lint_imports(tmp_path, contract).returncode == 0

    (tmp_path / path).parent.mkdir(exist_ok=True)
    with (tmp_path / path).open("a") as planted:
        planted.write(source)

    outcome = _lint_imports(tmp_path, contract)
    assert outcome.returncode == 1, outcome.stdout
    assert "BROKEN" in outcome.stdout or "exhaustive" in outcome.stdout.lower(), outcome.stdout


def _lint_imports(root: Path, *contracts: str) -> subprocess.CompletedProcess[str]:
    """import-linter as `make lint` runs it, on the tree below `root`, which shadows the installed one."""
    chosen = [word for contract in contracts for word in ("--contract", contract)]
    return subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache", *chosen],
        cwd=root,
        env={"PYTHONPATH": str(root), "PATH": "", "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
