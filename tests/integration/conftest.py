"""A server of a test's own and a backend on it, for those who need it quick: it is flushed once a second."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from maestro.adapters.redis import server
from maestro.adapters.redis.backend import open_backend
from maestro.ids import TenantId
from maestro.runtime.backend import Backend


@pytest.fixture
def url() -> Iterator[str]:
    """As `maestro up` starts it; its socket's path must be short."""
    home = Path(tempfile.mkdtemp(prefix="mq-", dir="/tmp"))
    try:
        yield server.ensure(home, fsync="everysec").url
    finally:
        server.purge(home)
        shutil.rmtree(home)


@pytest.fixture
async def backend(url: str) -> AsyncIterator[Backend]:
    backend = await open_backend(url, TenantId("default"))
    yield backend
    await backend.close()
