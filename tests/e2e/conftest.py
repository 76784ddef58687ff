"""One installation for the modules that look on, or wound one actor at a time: each start costs half a minute."""

import os
from collections.abc import Iterator

import pytest

from actors.joining import forget_token
from tests.e2e.support import Site, site

LEASE_MS = 1_500
LINGER_MS = 2_000


@pytest.fixture(scope="module", autouse=True)
def _no_token_of_another() -> Iterator[None]:
    """Who joined a cluster of ours carries its token; a Ray that is started in this process afterwards has none."""
    before = {name: text for name, text in os.environ.items() if name.startswith("RAY_")}
    yield
    for name in [name for name in os.environ if name.startswith("RAY_") and name not in before]:
        del os.environ[name]
    os.environ.update(before)
    forget_token()


@pytest.fixture(scope="session")
def shared_site() -> Iterator[Site]:
    """Up, with a lease short enough to outwait; afterwards nothing of it lives."""
    with site(lease_ms=LEASE_MS, linger_ms=LINGER_MS) as here:
        here.up()
        yield here
        here.down()
        assert here.traces() == []
