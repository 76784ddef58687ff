"""What is served as the pane is what `ui/` says: by the digest of the sources, and by a build where node is there."""

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UI, BUILT = ROOT / "ui", ROOT / "maestro" / "pane" / "static"
SOURCES = ("index.html", "package-lock.json", "package.json", "src", "tsconfig.json", "vite.config.ts")
"""As ui/vite.config.ts counts them."""
AXE = ROOT / "tests" / "pane" / "axe" / "axe.min.js"


def test_the_built_pane_is_of_these_sources() -> None:
    assert (BUILT / "sources.sha256").read_text().strip() == _digest(), "run `make ui`, and commit what it built"


def test_a_build_gives_the_files_that_are_here(tmp_path: Path) -> None:
    if shutil.which("node") is None or not (UI / "node_modules").is_dir():
        pytest.skip("no node, or ui/node_modules is not installed: `make ui` does both")
    vite = [str(UI / "node_modules" / ".bin" / "vite"), "build", "--outDir", str(tmp_path), "--logLevel", "error"]
    subprocess.run(vite, cwd=UI, check=True, timeout=100)
    assert _files(tmp_path) == _files(BUILT)


def test_the_page_loads_nothing_from_elsewhere_and_runs_nothing_inline() -> None:
    page = (BUILT / "index.html").read_text()
    assert re.findall(r"(?:src|href)=\"([^\"]+)\"", page)
    assert all(link.startswith("./assets/") for link in re.findall(r"(?:src|href)=\"([^\"]+)\"", page))
    assert not re.search(r"<style|style=|\son\w+=|<script(?![^>]*\ssrc=)", page)


def test_no_source_of_the_pane_makes_markup_of_text() -> None:
    makes = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc")
    sources = [path for path in (UI / "src").rglob("*") if path.suffix in (".ts", ".tsx")]
    assert len(sources) > 20
    assert [path.name for path in sources if makes.search(path.read_text())] == []


def test_the_checker_of_the_pane_is_the_one_that_is_locked() -> None:
    pinned = json.loads((UI / "package.json").read_text())["devDependencies"]["axe-core"]
    assert f"axe v{pinned}" in AXE.read_text()[:200], "run `make ui`"


def _digest() -> str:
    hashed = hashlib.sha256()
    paths = [path for name in SOURCES for path in ([UI / name] if (UI / name).is_file() else (UI / name).rglob("*"))]
    for path in sorted(path.relative_to(UI).as_posix() for path in paths if path.is_file()):
        hashed.update(path.encode() + b"\0" + (UI / path).read_bytes() + b"\0")
    return hashed.hexdigest()


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
