"""A browser and a theatre for the session; a play and a seat in it for each test, or each module, that asks."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.pane.theatre import STATIC, Seat, Theatre, browsing, chromium


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if chromium() is None:
        pytest.skip("there is no chromium here: apt-get install chromium fonts-dejavu-core")
    if not (STATIC / "index.html").exists():
        pytest.skip("the pane is not built: make ui")
    with browsing() as opened:
        yield opened


@pytest.fixture(scope="session")
def house() -> Iterator[Theatre]:
    """The server, once."""
    with Theatre() as opened:
        yield opened


@pytest.fixture
def theatre(house: Theatre) -> Theatre:
    """A store from nothing behind it."""
    return house.anew()


@pytest.fixture
def seat(browser: Browser, theatre: Theatre) -> Iterator[Seat]:
    taken = Seat(browser, theatre)
    yield taken
    taken.close()
