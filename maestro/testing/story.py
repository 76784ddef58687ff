"""Three weeks in three seconds: a literature monitor lives through 21 announcement days, and may be cut anywhere.

Twenty-one virtual days: each morning some papers, each evening a person who answers what is asked. Told undisturbed it
counts its writes; told with a cut point, the process that makes that write dies before or after it, and is replaced.
Invariant: whatever the cut, the story ends in the same state, to the byte.
"""

import asyncio
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from maestro.budget.vector import Budget
from maestro.continuation.wait import ApprovalResolution, parts
from maestro.ids import ContinuationId
from maestro.runtime import verbs
from maestro.testing.checks import audit
from maestro.testing.faults import CutPoint
from maestro.testing.world import SLOW, World

DAYS = 21
DAY_S = 86_400.0
MORNING_S, EVENING_S = 6 * 3_600.0, 12 * 3_600.0
GOAL = "reinforcement learning with sparse rewards for robots"
ABOUT = (
    ("Sparse rewards in robot learning", "Reinforcement learning of robots under sparse rewards, by curiosity. It works."),
    ("Robots learn from sparse rewards", "We train robots by reinforcement learning. Rewards are sparse. It is slow."),
)
ELSE = (
    ("A survey of medieval tapestry", "Dyes and looms of the fifteenth century. Wool was dear."),
    ("On the growth of lichens", "Lichens grow slowly. We measured them for nine years."),
    ("Tax law and small islands", "Islands tax fishing. We compare eleven of them."),
)

Cut = tuple[int, bool]
"""The number of a write, and whether the crash comes after it."""


@dataclass(frozen=True, slots=True)
class Story:
    """How it ended."""

    cut: str | None
    writes: int
    state: str
    """A hash of every checkpoint, every ledger and every finding."""
    ticks: int
    findings: int
    wrong: tuple[str, ...]


def cuts(whole: Story) -> Iterator[Cut]:
    """Every place where the story can be cut: before and after each write."""
    for number in range(1, whole.writes + 1):
        yield number, False
        yield number, True


def tell(cut: Cut | None = None) -> Story:
    """The story, cut there."""
    nemesis = CutPoint(None) if cut is None else CutPoint(*cut)
    with World(21, nemesis=nemesis, pace=SLOW) as world:
        root = world.run(_live(world))
        state, ticks = world.run(_state(world, root))
        findings = len(world.run(world.backend.records.findings(root)))
        wrong = (*world.run(audit(world)), *_unpaid(world))
        return Story(nemesis.cut, nemesis.writes, state, ticks, findings, wrong)


async def _live(world: World) -> ContinuationId:
    random = Random("papers")
    root = await world.start("literature", GOAL, Budget(usd="2"), input={"subject": "arxiv.cs.RO"})
    for day in range(DAYS):
        await _until(world, day * DAY_S + MORNING_S)
        for number in range(random.randrange(1, 3)):
            title, abstract = random.choice(ABOUT if random.random() < 0.4 else ELSE)
            paper = {"title": title, "abstract": abstract, "link": f"https://example.org/{day}.{number}"}
            await world.publish("arxiv.cs.RO", f"{day}.{number}", paper)
        await _until(world, day * DAY_S + EVENING_S)
        await _answer(world, root, approved=day % 2 == 0)
    await _until(world, DAYS * DAY_S)
    return root


async def _until(world: World, at_s: float) -> None:
    await asyncio.sleep(at_s - world.time_s())


async def _answer(world: World, root: ContinuationId, approved: bool) -> None:
    wait = (await verbs.checkpoint_of(world.at, root)).wait
    for part in parts(wait) if wait is not None else ():
        if isinstance(part, ApprovalResolution):
            await verbs.decide(world.people, root, part.approval_id, approved)


async def _state(world: World, root: ContinuationId) -> tuple[str, int]:
    """What is left of it all, and the number of ticks: when each happened, and under which epoch, is left out."""
    whole, ticks = hashlib.sha256(), 0
    for cid in await world.ids():
        glance = await verbs.glance_of(world.at, cid)
        checkpoint = await verbs.checkpoint_of(world.at, cid)
        whole.update(checkpoint.body() + repr(sorted(glance.ledger.accounts.items())).encode())
        ticks += glance.rev
    for finding in await world.backend.records.findings(root):
        whole.update(finding)
    return whole.hexdigest(), ticks


def _unpaid(world: World) -> list[str]:
    return [] if world.provider.bills else ["the provider was never asked: nothing was shown"]
