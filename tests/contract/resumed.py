"""What the tests of bounded turns share."""

import pytest

from maestro.runtime.backend import Backend
from maestro.turns import StoreScheduler
from tests.contract.turns_support import (
    Turns,
)


@pytest.fixture
def turns(backend: Backend) -> Turns:
    return Turns(backend, scheduler=StoreScheduler())
