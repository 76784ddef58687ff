"""docs/how-to/add-a-source.md says what is true: its examples run, and its addresses are addresses."""

import re
import subprocess
import sys
from pathlib import Path

from maestro.mesh.source import SourceRecord, kind_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "add-a-source.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_its_examples_run(tmp_path: Path) -> None:
    said = []
    for example in EXAMPLES:
        done = subprocess.run(
            [sys.executable, "-c", example], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        said.append(done.stdout.strip())
    assert said == ["2 ok 2", "", ""]


def test_its_addresses_name_sources() -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE)
    kinds = [kind_of(SourceRecord(name="x", subject="a.b", url=url).url) for url in rows]
    assert kinds == ["rss", "files", "mail", "schedule", "schedule", "mcp"]
