"""One seed of the simulation: a world, people who do things in it, bad luck, and the checks.

Two phases. *Safety*: deeds and faults, with audits in between. *Liveness*: faults are over; people answer what they are
asked; all work must finish within a bounded virtual time.
Invariant: `simulate(seed)` twice gives the same verdict, to the byte.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from pydantic import JsonValue

from maestro.adapters.memory.backend import backend_over
from maestro.adapters.memory.state import Memory
from maestro.budget.vector import USD, Budget, BudgetVector
from maestro.continuation.checkpoint import Checkpoint
from maestro.continuation.lifecycle import TERMINAL
from maestro.continuation.mail import Control
from maestro.continuation.wait import ApprovalResolution, BudgetGrant, UserReply, parts
from maestro.errors import Conflict, ContinuationAlreadyTerminalError, ContinuationTriggerMismatchError
from maestro.ids import ContinuationId
from maestro.runtime import verbs
from maestro.runtime.backend import Backend
from maestro.testing.billing import BillingProvider
from maestro.testing.checks import Deeds, audit, settled
from maestro.testing.crew import WEEKS, Pace
from maestro.testing.faults import Profile, Storm
from maestro.testing.loop import Standstill
from maestro.testing.strays import Strays
from maestro.testing.tally import SUBJECT
from maestro.testing.world import World

DEEDS = 18
FINISH_WITHIN_S = 3_600.0
SLOW_FINISH_WITHIN_S = 4 * 86_400.0
PAPER = {
    "title": "Sparse rewards and sleeping computations",
    "abstract": "We study computations that sleep for weeks. Sparse rewards wake them.",
    "link": "https://example.org/1",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a seed ended."""

    seed: int
    options: str
    violations: tuple[str, ...]
    fingerprint: str
    virtual_s: float
    ticks: int
    fenced: int
    faults: int
    reasons: tuple[tuple[str, int], ...] = ()
    """Why continuations were as they were, and how often that was looked at."""


def simulate(seed: int, build: Callable[[Memory], Backend] = backend_over) -> Verdict:
    """The verdict on one seed, over the store that `build` makes."""
    random = Random(f"deeds {seed}")
    storm = Storm(Random(f"storm {seed}"), Profile.drawn(random))
    slow = random.random() < 0.2
    pace = replace(WEEKS if slow else Pace(), hosts=random.choice((1, 2, 3)), slots=random.choice((1, 2)))
    provider = BillingProvider(Random(f"provider {seed}"), random.choice((0.0, 3.0)), 50, 30)
    with World(seed, nemesis=storm, pace=pace, provider=provider, build=build) as world:
        run = _Run(world, storm, random, slow)
        try:
            world.run(run.live())
        except Standstill as error:
            run.wrong.append(f"I12: {error}")
        counts = world.run(run.counts())
        return Verdict(
            seed=seed,
            options=f"{pace} {storm.profile}",
            violations=tuple(dict.fromkeys(run.wrong)),
            fingerprint=world.run(world.fingerprint()),
            virtual_s=world.time_s(),
            ticks=counts["committed"],
            fenced=counts["fenced"],
            faults=sum(storm.struck.values()),
            reasons=tuple(sorted(world.watch.reasons.items())),
        )


class _Run:
    """What people do in one world."""

    def __init__(self, world: World, storm: Storm, random: Random, slow: bool) -> None:
        self.wrong: list[str] = []
        self._world = world
        self._storm = storm
        self._random = random
        self._slow = slow
        self._patience_s = SLOW_FINISH_WITHIN_S if slow else FINISH_WITHIN_S
        self._deeds = Deeds()
        self._strays = Strays(world, random, self._deeds)
        self._done = 0
        self._read: dict[ContinuationId, tuple[int, Checkpoint]] = {}

    async def live(self) -> None:
        """Both phases."""
        try:
            async with asyncio.timeout(self._patience_s):
                await self._found()
        except TimeoutError:
            self.wrong += ["I12: the roots have not begun", *await audit(self._world)]
            return
        for number in range(DEEDS):
            await asyncio.sleep(self._random.random() ** 2 * (7_200 if self._slow else 8))
            await self._act(number)
            if number == DEEDS // 2:
                self.wrong += await audit(self._world)
        await asyncio.sleep(self._random.random() * 5)
        self.wrong += await audit(self._world)
        self._storm.over = True
        self._world.provider.heal()
        finished = await self._finish()
        self.wrong += await audit(self._world)
        if finished:
            self.wrong += await settled(self._world, self._deeds)

    async def counts(self) -> dict[str, int]:
        totals = {"committed": 0, "fenced": 0}
        for partition in verbs.partitions(self._world.at):
            counts = await self._world.backend.records.counts(partition)
            totals = {name: total + counts.get(name, 0) for name, total in totals.items()}
        return totals

    async def _found(self) -> None:
        """The roots are there, and subscribed."""
        world = self._world
        for number in range(3):
            budget = BudgetVector({USD: 900}) if number == 0 else Budget(usd="1")
            cid = await world.start("tally", "hold units", budget, input={"units": 100})
            self._deeds.tallies.append(cid)
            self._deeds.units += 100
            self._deeds.money += budget[USD]
        self._monitor = await world.start(
            "literature", "computations that sleep, sparse rewards", Budget(usd="0.5"), input={"subject": "papers"}
        )
        self._deeds.money += Budget(usd="0.5")[USD]
        for cid in (*self._deeds.tallies, self._monitor):
            while not (await self._checkpoint(cid)).interests:
                await self._answer([cid])  # three deaths in a row put even a first tick on hold
                await asyncio.sleep(1)

    async def _rev(self, cid: ContinuationId) -> int:
        return (await verbs.glance_of(self._world.at, cid)).rev

    async def _act(self, number: int) -> None:
        """One deed of a person, acknowledged."""
        random, world = self._random, self._world
        who = random.choice(self._deeds.tallies)
        peer = random.choice([cid for cid in self._deeds.tallies if cid != who])
        match random.randrange(17):
            case 0 | 1:
                await world.publish(SUBJECT, f"e{number}")
                self._deeds.events.add(f"e{number}")
            case 2:
                await world.publish("papers", f"p{number}", {**PAPER, "link": f"https://example.org/{number}"})
            case 3:
                await self._answer(await self._open())
            case 4 | 5:
                await self._tell(who, {"give": random.randrange(1, 10), "to": peer})
            case 6:
                await self._tell(who, {"think": f"what of {number}?", "doze_ms": random.choice((0, 0, 2_000))})
            case 7:
                await self._tell(who, {"spawn": random.randrange(1, 5), "publish": f"x{number}"})
            case 8:
                ahead_ms = random.randrange(10, 86_400_000 if self._slow else 30_000)
                await self._tell(who, {"timer_ms": ahead_ms, "publish": f"x{number}"})
            case 9:
                await self._tell(who, {"ask": f"action {number}", "give": 1, "to": peer})
            case 10 | 11 | 12 | 13 | 14 | 15:
                await self._strays.act(number)
            case _:
                until_s = int(world.time_s()) + random.choice((1, 5, 30))
                await self._tell(who, {"stumble_until_s": until_s})

    async def _tell(self, cid: ContinuationId, deed: dict[str, JsonValue]) -> None:
        seq = self._deeds.messages[cid] + 1
        await self._world.known(lambda: verbs.send(self._world.people, cid, {**deed, "seq": seq}, key=f"m{seq}"))
        self._deeds.messages[cid] = seq

    async def _finish(self) -> bool:
        """Everything comes to its end in time, once people do their part."""
        deadline_s = self._world.time_s() + self._patience_s
        pause_s, told = 2.0, False
        await self._strays.relent()
        while open_ := await self._open():
            if self._world.time_s() > deadline_s:
                self.wrong += [f"I12: {await self._why(cid)}" for cid in open_]
                return False
            answered = await self._answer(open_)
            if not answered and not told and await self._at_rest():
                told = True
                await self._strays.end()
                for cid in self._deeds.tallies:
                    await self._tell(cid, {"finish": True})
                await self._world.known(
                    lambda: verbs.order(self._world.people, self._monitor, Control.CANCEL, "the story is over")
                )
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.5, 3_600.0 if self._slow else 20.0)
        return True

    async def _why(self, cid: ContinuationId) -> str:
        checkpoint = await verbs.checkpoint_of(self._world.at, cid)
        glance = await verbs.glance_of(self._world.at, cid)
        return f"{checkpoint.behaviour} {cid} is not done: {checkpoint.wait} {checkpoint.hold_detail} {glance.error}"

    async def _open(self) -> list[ContinuationId]:
        return [cid for cid in await self._world.ids() if (await self._checkpoint(cid)).status not in TERMINAL]

    async def _checkpoint(self, cid: ContinuationId) -> Checkpoint:
        """The checkpoint of `cid`, read again only when there is a new one."""
        rev = await self._rev(cid)
        if cid not in self._read or self._read[cid][0] != rev:
            self._read[cid] = (rev, await verbs.checkpoint_of(self._world.at, cid))
        return self._read[cid][1]

    async def _at_rest(self) -> bool:
        """Nothing is on its way, no timer is set. No time passes while this is found out."""
        if not await self._world.is_quiet():
            return False
        for partition in verbs.partitions(self._world.at):
            if (await self._world.backend.records.counts(partition))["timers"]:
                return False
        return True

    async def _answer(self, open_: list[ContinuationId]) -> bool:
        """People did what they are waited for; True if anybody was waited for."""
        world, answered = self._world, False
        for cid in open_:
            checkpoint = await self._checkpoint(cid)
            if checkpoint.hold is not None:
                await world.known(lambda c=cid: verbs.order(world.people, c, Control.THAW))  # type: ignore[misc]
                answered = True
            for wait in parts(checkpoint.wait) if checkpoint.wait is not None else ():
                if isinstance(wait, ApprovalResolution):
                    await self._decide(cid, wait.approval_id)
                    answered = True
                elif isinstance(wait, BudgetGrant):
                    more, key = BudgetVector({wait.resource: max(1_000, wait.asked)}), f"r{self._done}"
                    self._done += 1
                    await world.known(
                        lambda c=cid, m=more, k=key: verbs.rebudget(world.people, c, m, BudgetVector({}), k)  # type: ignore[misc]
                    )
                    self._deeds.money += more[USD]
                    answered = True
                elif isinstance(wait, UserReply):
                    await self._reply(cid)
                    answered = True
        return answered

    async def _reply(self, cid: ContinuationId) -> None:
        """A question of a merge is answered: this side's value stays."""
        try:
            await self._world.known(lambda: verbs.reply(self._world.people, cid, "ours"))
        except (Conflict, ContinuationTriggerMismatchError, ContinuationAlreadyTerminalError):
            return

    async def _decide(self, cid: ContinuationId, approval_id: str) -> None:
        """A word is given; that it was given before, or is not waited for any more, is fine."""
        approved = self._random.random() < 0.7
        try:
            await self._world.known(lambda: verbs.decide(self._world.people, cid, approval_id, approved))
        except (Conflict, ContinuationTriggerMismatchError, ContinuationAlreadyTerminalError):
            return
