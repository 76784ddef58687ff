"""One installation for the modules that look on, or wound one actor at a time: each start costs half a minute."""

from collections.abc import Iterator

import pytest

from tests.e2e.support import Site, no_token_of_another, site

__all__ = ["no_token_of_another"]

LEASE_MS = 1_500
LINGER_MS = 2_000


@pytest.fixture(scope="session")
def shared_site() -> Iterator[Site]:
    """Up, with a lease short enough to outwait; afterwards nothing of it lives."""
    with site(lease_ms=LEASE_MS, linger_ms=LINGER_MS) as here:
        here.up()
        yield here
        here.down()
        assert here.traces() == []
