"""A provider that is away for ten minutes: a bounded number of tries, a reason meanwhile, and then the work is done."""

import itertools

import pytest
from pydantic import BaseModel

from maestro import Finish, Tick
from maestro.errors import ProvidersExhausted
from maestro.pager.request import ModelRequest
from maestro.testing.harness import Harness
from maestro.tick.behaviour import Behaviour
from maestro.tick.runner import PROVIDER_RETRY_MS

AWAY_S = 600.0


class Asked(BaseModel):
    answer: str = ""


class Asker(Behaviour[Asked]):
    """One question, and it is done."""

    async def start(self, tick: Tick[Asked]) -> Finish:
        tick.state.answer = await tick.think("Is anybody there?")
        return Finish(result=tick.state.answer)


@pytest.mark.spec("02.8")
@pytest.mark.parametrize(("names_a_time_ms", "at_most"), [(None, 1 + 600_000 // PROVIDER_RETRY_MS), (60_000, 11)])
def test_while_the_provider_is_away_it_is_asked_now_and_then_and_not_all_the_time(
    names_a_time_ms: int | None, at_most: int
) -> None:
    asked_at_s: list[float] = []

    def answer(request: ModelRequest) -> str:
        asked_at_s.append(maestro.world.time_s())
        if asked_at_s[-1] - asked_at_s[0] < AWAY_S:
            raise ProvidersExhausted("all providers are away", retry_after_ms=names_a_time_ms)
        return "here I am"

    with Harness(Asker, answer=answer) as maestro:
        asker = maestro.start(Asker)
        tries = len(asked_at_s) - 1
        assert (asker.status, asker.result) == ("completed", "here I am")
        assert 2 <= tries <= at_most
        pauses = [later - earlier for earlier, later in itertools.pairwise(asked_at_s)]
        assert min(pauses) >= (names_a_time_ms or PROVIDER_RETRY_MS) / 1000, "no busy loop"
        assert len(asker.log) == 1, "none of it counted as a failure, and nothing was committed in between"
