"""Three weeks in three seconds: a literature monitor lives through 21 announcement days, and may be cut anywhere.

Each virtual morning a paper comes, each noon a person answers what is asked. Told undisturbed, the story counts its
writes; told with a cut point, the process that makes that write dies before or after it, and is replaced.
What comes before a cut is told once for all cuts: the story forks there, and the child is cut.
Invariant: whatever the cut, the story ends in the same state: the same continuations with the same states, results,
children, ledgers and findings. How many ticks that took may differ: two mails may be read in one tick or in two. So
names that are made from the number of a tick are left out, and continuations are named by the order of their births.
"""

import asyncio
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import orjson
from pydantic import JsonValue, TypeAdapter

from maestro.budget.vector import Budget
from maestro.continuation.wait import ApprovalResolution, parts
from maestro.ids import ContinuationId
from maestro.runtime import verbs
from maestro.testing.checks import audit
from maestro.testing.faults import CutPoint
from maestro.testing.forks import ForkPoint, Forks
from maestro.testing.world import SLOW, World

KEPT = {"behaviour", "behaviour_version", "status", "stop_reason", "hold", "goal", "parent", "children"}
KEPT |= {"input", "state", "result"}
DAYS = 21
DAY_S = 86_400.0
MORNING_S, NOON_S = 6 * 3_600.0, 12 * 3_600.0
GOAL = "reinforcement learning with sparse rewards for robots"
PAPERS = (
    (
        "Sparse rewards in robot learning",
        "Reinforcement learning of robots under sparse rewards, by curiosity. It works.",
    ),
    ("A survey of medieval tapestry", "Dyes and looms of the fifteenth century. Wool was dear."),
    ("On the growth of lichens", "Lichens grow slowly. We measured them for nine years."),
    ("Robots that learn", "We train robots by reinforcement learning. It takes long, and much electricity."),
    ("Tax law and small islands", "Islands tax fishing. We compare eleven of them."),
)

Cut = tuple[int, bool]
"""The number of a call, and whether the crash comes after it."""


@dataclass(frozen=True, slots=True)
class Story:
    """How it ended."""

    cut: str | None
    writes: tuple[int, ...]
    """The numbers of the calls that changed what is stored."""
    state: str
    """A hash of what is left of it all."""
    ticks: int
    findings: int
    wrong: tuple[str, ...]


_STORY = TypeAdapter(Story)


def cuts(whole: Story) -> Iterator[Cut]:
    """Every place where the story can be cut: before and after each write."""
    for number in whole.writes:
        yield number, False
        yield number, True


def tell(cut: Cut | None = None) -> Story:
    """The story, cut there."""
    return _told(CutPoint() if cut is None else CutPoint(*cut))


def tell_all(places: Iterable[Cut], jobs: int | None = None) -> list[Story]:
    """The story, cut at each of those places: what `tell` gives for each, in so many processes at once.

    Raises:
        RuntimeError: one of them broke off; it has printed why.
    """
    forks = Forks(jobs)
    nemesis = ForkPoint(frozenset(places), forks)
    try:
        forks.told(lambda: _STORY.dump_json(_told(nemesis)))
        return [_STORY.validate_json(told) for told in forks.gathered()]
    finally:
        forks.end()


def _told(nemesis: CutPoint | ForkPoint) -> Story:
    with World(21, nemesis=nemesis, pace=SLOW) as world:
        root = world.run(_live(world))
        state, ticks = world.run(_state(world, root))
        findings = len(world.run(world.backend.records.findings(root)))
        wrong = (*world.run(audit(world)), *_unpaid(world))
        return Story(nemesis.cut, tuple(world.history.changes), state, ticks, findings, wrong)


async def _live(world: World) -> ContinuationId:
    root = await world.start("literature", GOAL, Budget(usd="2"), input={"subject": "arxiv.cs.RO"})
    for day in range(DAYS):
        await _until(world, day * DAY_S + MORNING_S)
        title, abstract = PAPERS[day % len(PAPERS)]
        paper: dict[str, JsonValue] = {"title": title, "abstract": abstract, "link": f"https://example.org/{day}"}
        await world.publish("arxiv.cs.RO", str(day), paper)
        await _until(world, day * DAY_S + NOON_S)
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
    """The hash of what is left of it all, and the number of ticks that it took."""
    cids, left, ticks = await world.ids(), list[JsonValue](), 0
    for cid in cids:
        glance, checkpoint = await verbs.glance_of(world.at, cid), await verbs.checkpoint_of(world.at, cid)
        kept = checkpoint.model_dump(mode="json", include=KEPT)
        left.append([kept, {name: repr(account) for name, account in sorted(glance.ledger.accounts.items())}])
        ticks += glance.rev
    for line in await world.backend.records.findings(root):
        finding = orjson.loads(line)
        left.append({word: finding[word] for word in ("title", "body", "links", "confidence", "continuation")})
    text = orjson.dumps(left, option=orjson.OPT_SORT_KEYS).decode()
    for number, cid in enumerate(cids):
        text = text.replace(cid, f"#{number}")
    return hashlib.sha256(text.encode()).hexdigest(), ticks


def _unpaid(world: World) -> list[str]:
    return [] if world.provider.bills else ["the provider was never asked: nothing was shown"]
