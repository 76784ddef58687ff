"""What the policy kernel does not let be called is not called, not reserved, and says by which rule."""

from dataclasses import replace

from maestro.adapters.memory.backend import backend_over, empty_memory
from maestro.clock import ManualClock
from maestro.continuation.directive import Closing, Sleep
from maestro.continuation.mail import Mail
from maestro.errors import Declined
from maestro.policy.gradient import Tier
from maestro.policy.question import PolicyConfig
from maestro.tick.behaviour import Behaviour, NoState
from maestro.tick.blocks import Keeper
from maestro.tick.context import Tick
from maestro.tick.journal import Journal
from maestro.tick.mind import Faculties, ThinkingMind
from maestro.tick.store import Adopted
from tests.stage import PRICES, Stage

HEARD: list[Declined] = []


class Asker(Behaviour[NoState]):
    async def start(self, tick: Tick[NoState]) -> Closing | None:
        try:
            await tick.think("is it so?", step="haiku")
        except Declined as refused:
            HEARD.append(refused)
        return Sleep.until_woken()


async def test_a_step_that_no_tier_allows_is_declined_before_anything_is_reserved() -> None:
    stage = Stage(backend_over(empty_memory(1, ManualClock())), Asker)
    backend = stage.backend
    opus_only = PolicyConfig(allowed_tiers=frozenset({Tier.OPUS}))
    faculties = Faculties(backend.shelf, stage, PRICES, opus_only, Keeper(backend.blocks))

    def mind(adopted: Adopted, before: object, journal: Journal, inbox: tuple[Mail, ...]) -> ThinkingMind:
        return ThinkingMind(faculties, adopted, before, journal, inbox)  # type: ignore[arg-type]

    stage.around = replace(stage.around, make_mind=mind)
    cid = await stage.start(Asker)
    await stage.committed()
    (refused,) = HEARD
    assert refused.facts == {"reason": "not_allowed"}
    assert stage.model.asked == 0
    assert not (await stage.ledger(cid)).spent
