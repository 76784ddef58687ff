"""What is away is waited for; what is wrong is not."""

import pytest

from actors import opening
from maestro.errors import InvalidInput, MaestroError, ProviderUnavailable, StoreFull, StoreRefused, StoreUnavailable


class Reach:
    """Fails as told, and then succeeds."""

    def __init__(self, *failures: MaestroError) -> None:
        self._failures = list(failures)

    async def __call__(self) -> str:
        if self._failures:
            raise self._failures.pop(0)
        return "there"


@pytest.fixture(autouse=True)
def _brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "FIRST_PAUSE_S", 0.001)


async def test_what_is_away_is_reached_as_soon_as_it_is_there() -> None:
    away = (StoreUnavailable("no answer"), StoreFull("out of memory"), ProviderUnavailable("no pager runs"))
    assert await opening.patiently(Reach(*away)) == "there"


@pytest.mark.parametrize("wrong", [InvalidInput("no such pool"), StoreRefused("no such command")])
async def test_what_is_wrong_fails_at_once(wrong: MaestroError) -> None:
    with pytest.raises(type(wrong)):
        await opening.patiently(Reach(wrong))
