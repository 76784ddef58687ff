"""A scout in four versions, as if its source had been edited three times, and what a store holds of one continuation.

version 1   {"only": title}                          3   {"papers": [{"title": title}], "read": n}
version 2   {"titles": [title, ...]}                 4   {"papers": [{"title", "kept"}], "read": n}
"""

from typing import Any

import redis
from pydantic import BaseModel, ConfigDict

from maestro.adapters.memory.state import Memory
from maestro.continuation.directive import Closing
from maestro.continuation.mail import Mail
from maestro.ids import ContinuationId, partition_of
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from maestro.tick.migration import RawState, migrates

HOUR_MS = 3_600_000


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Only(Strict):
    only: str = ""


class Titles(Strict):
    titles: list[str] = []


class Paper(Strict):
    title: str
    kept: bool | None = None


class Papers(Strict):
    papers: list[Paper] = []
    read: int = 0


class Scout1(Behaviour[Only]):
    """Sleeps with all that a sleeper can have: a subscription, a timer and a child."""

    name = "scout"

    async def start(self, tick: Tick[Only]) -> Closing | None:
        tick.state.only = tick.goal.goal
        tick.subscribe("papers.cs")
        tick.set_timer("late", tick.now_ms + 1_000 * HOUR_MS)
        tick.spawn(Pupil, goal="read", budget=tick.budget.share(0.1))
        return None


class Pupil(Behaviour[Only]):
    """Sleeps."""


class Scout2(Behaviour[Titles]):
    name, version = "scout", 2

    @migrates(1)
    def more_than_one(state: RawState) -> RawState:  # type: ignore[misc]  # noqa: N805 - a step has no self
        return {"titles": [state["only"]]}


def papers(state: RawState) -> RawState:
    titles = state["titles"]
    assert isinstance(titles, list)
    return {"papers": [{"title": title} for title in titles], "read": 0}


def ruined(state: RawState) -> RawState:
    """Destroys what it was given, then fails."""
    state.clear()
    raise KeyError("titles")


class Scout3(Behaviour[Papers]):
    name, version = "scout", 3
    one, two = Scout2.chain.steps[1], migrates(2)(papers)


def kept(state: RawState) -> RawState:
    read: Any = state["papers"]
    return {**state, "papers": [{**paper, "kept": True} for paper in read]}


class Scout4(Behaviour[Papers]):
    name, version = "scout", 4
    one, two, three = Scout2.chain.steps[1], migrates(2)(papers), migrates(3)(kept)

    async def on_message(self, tick: Tick[Papers], message: Mail) -> Closing | None:
        tick.state.read += 1
        return None


class Broken4(Scout4):
    """The second of the three steps is wrong."""

    name, version = "scout", 4
    two = migrates(2)(ruined)


class Ranger(Scout4):
    """A scout by another name."""

    aliases = ("scout",)


def everything_in_redis(url: str, tenant: str, cid: ContinuationId) -> dict[str, Any]:
    """Each key of `cid` byte for byte, its place in what its partition shares, and of its control state what lasts."""
    place = f"maestro:{tenant}:{{{partition_of(cid)}}}:"
    with redis.Redis.from_url(url) as client:
        own = {key.decode(): client.dump(key) for key in client.scan_iter(f"{place}*{cid}*") if b":x:" not in key}
        assert {f"{place}{kind}:{cid}" for kind in "clmb"} <= set(own), "the search looks in the wrong place"
        shared = {name: client.dump(f"{place}{name}") for name in ("timers", "s:papers.cs", "all", "names", "outbox")}
        assert shared["timers"], "it has a timer"
        assert shared["s:papers.cs"], "it has a subscription"
        lasting: Any = client.hmget(f"{place}x:{cid}", "rev", "ce", "wk", "pl", "st", "jn", "fr", "pa")
    return {**own, **shared, "x": lasting}


def everything_in_memory(memory: Memory, cid: ContinuationId) -> dict[str, Any]:
    """The same of a store in memory; repr, so that nothing compared is shared with what changes."""
    state = memory.at(partition_of(cid))
    row, timers = state.rows[cid], sorted(state.rows[cid].vigil.timers)
    assert bool(row.vigil.interests) is bool(timers) is bool(row.mail) is True
    parts = (row.checkpoint, row.log, row.mail, row.controls, row.ledger, row.scratch, row.status, row.rev, row.name)
    watch = (row.vigil.wake_keys, row.vigil.join, timers, sorted(row.vigil.interests), dict(state.interests))
    return {"row": repr(parts), "watch": repr(watch), "due": repr([state.timers.time_of((cid, t)) for t in timers])}
