"""What people do to continuations beside talking to them: start, freeze, fork, merge, end, pay, brake.

Strays are those that nobody relies on: they are branched, joined and ended at any moment, under the same bad luck as
everybody. Their books may be copied and cut short; their money may not, and none may be left in limbo.
Invariant: what was acknowledged is counted in `Deeds.money`, so that the roots' grants can be added up at the end.
"""

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from pydantic import JsonValue

from maestro.budget.vector import USD, BudgetVector
from maestro.errors import MaestroError, StoreUnavailable
from maestro.ids import ContinuationId
from maestro.runtime import steer, verbs
from maestro.testing.checks import Deeds
from maestro.testing.world import World

AT_MOST = 5
PURSE = BudgetVector({USD: 200_000})
NOTHING = BudgetVector({})
FATES = (None, "stop", "orphan", "adopt")
POLICIES = ("linked", "detached", "adopt_up")
OUTCOMES = ("expire", "escalate", "approve", "deny", "resume")


class Strays:
    """The strays of one run, and who steers them and the others."""

    def __init__(self, world: World, random: Random, deeds: Deeds) -> None:
        self._world = world
        self._random = random
        self._deeds = deeds
        self._all: list[ContinuationId] = []
        self._told: dict[ContinuationId, int] = {}

    async def act(self, number: int) -> None:
        """One deed; that it is refused, because its object has ended meanwhile or has no money, is fine."""
        if len(self._all) < 2:
            await self._begin()
            return
        random, people = self._random, self._world.people
        cid, anybody = random.choice(self._all), random.choice([*self._all, *self._deeds.tallies])
        match random.randrange(10):
            case 0:
                await self._begin()
            case 1 | 2:
                await self._tell(cid, _wish(random, int(self._world.time_s())))
            case 3:
                tree, frozen = random.random() < 0.5, random.random() < 0.6
                what = steer.freeze if frozen else steer.thaw
                await self._try(lambda: what(people, anybody, tree=tree, reason=f"deed {number}"))
            case 4 | 5:
                await self._fork(cid, f"fork {number}")
            case 6:
                heir = random.choice(self._all)
                await self._try(lambda: steer.merge(people, [cid], heir))
            case 7:
                end = random.choice((steer.cancel, steer.kill))
                fate = random.choice(FATES)
                await self._try(lambda: end(people, cid, children=fate, key=f"end {number}"))
            case 8:
                await self._pay(anybody, random.randrange(1, 5_000), random.choice((0, 0, 3_000)), f"pay {number}")
            case _:
                on = random.random() < 0.5
                await self._try(lambda: (steer.freeze_all if on else steer.thaw_all)(people))

    async def relent(self) -> None:
        """Nothing is frozen any more."""
        await self._try(lambda: steer.thaw_all(self._world.people))
        for cid in await self._world.ids():
            if (await verbs.glance_of(self._world.at, cid)).frozen:
                await self._try(lambda c=cid: steer.thaw(self._world.people, c))  # type: ignore[misc]

    async def end(self) -> None:
        """Every stray will end."""
        for cid in self._all:
            await self._try(lambda c=cid: steer.cancel(self._world.people, c))  # type: ignore[misc]

    async def _begin(self) -> None:
        if len(self._all) < AT_MOST:
            cid = await self._world.start("stray", "go astray", PURSE)
            self._deeds.money += PURSE[USD]
            self._all.append(cid)

    async def _fork(self, cid: ContinuationId, key: str) -> None:
        rev = self._random.choice((None, None, 0, 1))
        share = self._random.choice((0.0, 0.3, 1.0))
        branch = await self._try(lambda: steer.fork(self._world.people, cid, rev, share, key))
        if branch is not None and len(self._all) < 2 * AT_MOST:
            self._all.append(branch)

    async def _pay(self, cid: ContinuationId, more: int, less: int, key: str) -> None:
        change = BudgetVector({USD: more}), BudgetVector({USD: less}) if less else NOTHING
        if await self._try(lambda: steer.rebudget(self._world.people, cid, *change, key=key)) is not None:
            self._deeds.money += more - less

    async def _tell(self, cid: ContinuationId, wish: dict[str, JsonValue]) -> None:
        """A message, once."""
        self._told[cid] = told = self._told.get(cid, 0) + 1
        await self._try(lambda: verbs.send(self._world.people, cid, wish, key=f"wish {told}"))

    async def _try(self, act: Callable[[], Awaitable[Any]]) -> Any:
        """The outcome, once it is known; None where it was refused."""
        try:
            return await self._world.known(act)
        except StoreUnavailable:
            raise
        except MaestroError:
            return None


def _wish(random: Random, now_s: int) -> dict[str, JsonValue]:
    """What a stray is told to do."""
    wishes: tuple[dict[str, JsonValue], ...] = (
        {"think": "what now?"},
        {"spawn": random.choice(POLICIES)},
        {"timer_ms": random.randrange(10, 30_000)},
        {"ask": "go on", "ttl_ms": random.randrange(1_000, 60_000), "on_timeout": random.choice(OUTCOMES)},
        {"fail_until_s": now_s + random.choice((1, 5, 30))},
    )
    return random.choice((*wishes, {"wait": random.choice(("reply", "moment", "children"))}))
