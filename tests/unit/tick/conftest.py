"""A stage in memory, on a clock that only moves when told."""

from collections.abc import AsyncIterator

import pytest

from maestro.adapters.memory.backend import MemoryBackend
from maestro.clock import ManualClock
from tests.stage import Stage


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """Audited after the test: logs lead to checkpoints, books balance."""
    stage = Stage(MemoryBackend(1, ManualClock()))
    yield stage
    await stage.audit()
