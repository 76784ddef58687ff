"""A town of one module's own, and its command line in this process."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from maestro.cli.app import run
from tests.integration.cli.asking import Answer, Ask
from tests.integration.cli_support import Town


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    home = Path(tempfile.mkdtemp(prefix="mcli-", dir="/tmp"))
    try:
        with Town(home / "h") as town:
            yield town
    finally:
        shutil.rmtree(home)


@pytest.fixture
def maestro(town: Town, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Ask:
    """One command line in this process; what it wrote comes back."""
    monkeypatch.setenv("MAESTRO_HOME", str(town.home))
    monkeypatch.setenv("MAESTRO_CLOCK", "virtual")

    def ask(*arguments: str) -> Answer:
        status = run(arguments)
        out, err = capfd.readouterr()
        return Answer(status, out, err)

    return ask


@pytest.fixture(autouse=True)
def _hooks() -> Iterator[None]:
    """The command line owns its process and sets its hooks; the tests' process gets its own back."""
    before = sys.excepthook
    yield
    sys.excepthook = before
