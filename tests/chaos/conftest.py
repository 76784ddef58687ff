"""A store of a test's own, that may be hurt in any way."""

import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from maestro.chaos.store_child import StoreChild
from tests.e2e.support import no_token_of_another

__all__ = ["no_token_of_another"]


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="mf-", dir="/tmp"))  # a socket's path must be short
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
async def store(folder: Path) -> AsyncIterator[StoreChild]:
    child = StoreChild(folder / "store")
    await child.start()
    yield child
    child.signal(signal.SIGCONT)
    await child.kill()
