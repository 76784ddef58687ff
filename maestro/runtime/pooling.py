"""How many actors a pool has, and where: a pure decision, made again at each look.

    wanted : (Pool, Size, Demand, now) -> Size       how many, from how much waits and for how long
    plan   : (Pool, wanted, members, ground) -> moves who is started where, and who retires

Invariants: of those that take work never fewer than `min`, never more than `max`; a pool grows only while somebody has
waited for GROW_AFTER_MS and there is no room; it shrinks only to what its last `shrink_after_ms` needed at most, so
that the load that made it grow does not find it too small again; members stand evenly on the nodes that have room
for them, where there is a choice on the less loaded, and nobody moves only because others have come or gone.

Not here: who looks, starts and retires (`actors.pool_keeper`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from maestro.supervision.spec import Resources

GROW_AFTER_MS = 1_000  # a start is 0.6 s of a core: who waits less is served before a new actor is up
MOVES_AT_ONCE = 4  # a supervisor starts one child after the other; what has changed meanwhile is seen at the next look
NAME = r"[a-z][a-z0-9_-]{0,31}"


class Pool(BaseModel):
    """What a pool is to be: `[pools.NAME]` in maestro.toml, or MAESTRO_POOLS as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min: int = Field(default=1, ge=0, le=1_000)
    """Actors that are always there."""
    max: int | None = Field(default=None, ge=1, le=1_000)
    """Actors at most; None is `min`, a pool of a fixed size."""
    slots: int = Field(default=1, ge=1, le=4_096)
    """Continuations awake in one actor at once."""
    linger_ms: int = Field(default=30_000, ge=0, le=86_400_000)
    """How long an actor keeps what was awake in it, and is the first to be roused for it."""
    shrink_after_ms: int = Field(default=60_000, ge=1_000, le=86_400_000)
    """How long some of its actors were not needed before they end."""
    resources: Resources = Resources()
    """What each of its actors takes, and the labels and the runtime_env of the node and process that it runs in."""

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        if self.most < max(self.min, 1):
            raise ValueError(f"max {self.max} is below min {self.min}: raise max, or leave it out for a fixed size")
        return self

    @property
    def most(self) -> int:
        return max(self.min, 1) if self.max is None else self.max


@dataclass(frozen=True, slots=True)
class Demand:
    """What a pool is asked for now."""

    ready: int
    """How many wait for a place."""
    oldest_ms: int
    """How long the first of them has waited."""
    awake: int
    """How many have a place."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a pool is to be, and what that was decided on."""

    wanted: int
    peak: int = 0
    """The most that was needed since `since_ms`."""
    since_ms: int = 0
    """When the stretch began after which it may shrink."""


def needed(pool: Pool, demand: Demand) -> int:
    """How many actors would have a place for all."""
    return -(-(demand.ready + demand.awake) // pool.slots)


def first(pool: Pool, now_ms: int) -> Size:
    """As it starts."""
    return Size(pool.min, 0, now_ms)


def wanted(pool: Pool, size: Size, demand: Demand, now_ms: int) -> Size:
    """How large it is to be from now on."""
    least, most = pool.min, pool.most
    need = needed(pool, demand)
    size = replace(size, wanted=min(most, max(least, size.wanted)), peak=max(size.peak, need))
    if need >= size.wanted and demand.ready == 0:
        return replace(size, peak=need, since_ms=now_ms)
    if demand.ready and demand.oldest_ms >= GROW_AFTER_MS and need > size.wanted:
        return Size(min(most, need), need, now_ms)
    if now_ms - size.since_ms < pool.shrink_after_ms:
        return size
    return Size(min(size.wanted, max(least, size.peak)), need, now_ms)


@dataclass(frozen=True, slots=True)
class Member:
    """One actor of a pool as its supervisor knows it."""

    id: str
    state: str
    """`running`; `retiring`: it takes no more work; `stopped`: it has retired; or it is on its way up."""
    node: str | None = None
    awake: int = 0

    @property
    def takes_work(self) -> bool:
        return self.state not in ("retiring", "stopped")


@dataclass(frozen=True, slots=True)
class Move:
    """One thing to do about a member; `node` says where, None that it does not matter."""

    act: Literal["start", "retire", "forget"]
    id: str
    node: str | None = None


@dataclass(frozen=True, slots=True)
class Ground:
    """One node as a pool sees it."""

    node: str
    others: int = 0
    """Actors of continuations there that are not of this pool."""
    room: int | None = None
    """How many members it may have; None: as many as come."""


def plan(name: str, count: int, members: Sequence[Member], ground: Sequence[Ground]) -> tuple[Move, ...]:
    """What makes the members `count`, or as many as there is room for, spread over the nodes.

    Who stands where nobody may, or where too many do, retires, the idle first, and is replaced at a later look.

    Args:
        ground: the nodes that may have members; none leaves where they are to Ray.
    """
    here = [member for member in members if member.takes_work]
    shares = shares_of(count, ground, Counter(member.node for member in here))
    count = sum(shares.values()) if ground else count
    forgotten = [Move("forget", member.id) for member in members if member.state == "stopped"]
    surplus = [member for member in _surplus(here, count, shares) if member.state == "running"]
    outcast = [member for member in surplus if shares and member.node not in shares]
    crowded = [member for member in surplus if member not in outcast]
    most = max(len(outcast), len(here) - count, int(len(here) == count))
    retired = [Move("retire", member.id) for member in (*outcast, *crowded)[:most]]
    return tuple([*forgotten, *_starts(name, count - len(here), members, shares), *retired][:MOVES_AT_ONCE])


def _starts(name: str, missing: int, members: Sequence[Member], shares: Mapping[str, int]) -> list[Move]:
    held = Counter(member.node for member in members if member.takes_work)
    free = [node for node in sorted(shares) for _ in range(shares[node] - held[node])]
    taken = {member.id for member in members}
    ids = [f"pool/{name}/{n}" for n in range(1, len(members) + missing + 1)]
    fresh = [member_id for member_id in ids if member_id not in taken]
    places = [*free, *[None] * max(0, missing)][: max(0, missing)]
    return [Move("start", member_id, node) for member_id, node in zip(fresh, places, strict=False)]


def shares_of(count: int, ground: Sequence[Ground], held: Mapping[str | None, int]) -> Mapping[str, int]:
    """How many members each node is to have: equal shares, as far as there is room.

    The rest goes to where members stand already, then to the least loaded.
    """
    shares = {each.node: 0 for each in ground}
    for _ in range(count):
        free = [each for each in ground if each.room is None or shares[each.node] < each.room]
        if not free:
            break
        chosen = min(
            free,
            key=lambda each: (
                shares[each.node],
                shares[each.node] >= held.get(each.node, 0),
                each.others,
                each.node,
            ),
        )
        shares[chosen.node] += 1
    return shares


def _surplus(here: Sequence[Member], count: int, shares: Mapping[str, int]) -> list[Member]:
    """Who is to retire, the idle first: whoever stands on a node beyond its share; without nodes, anybody."""
    busiest_first = sorted(here, key=lambda member: (-member.awake, _number(member)))
    if not shares:
        return busiest_first[count:][::-1]
    nodes = {member.node for member in here if member.node is not None}
    crowds = ([member for member in busiest_first if member.node == node][shares.get(node, 0) :] for node in nodes)
    beyond = {member.id for crowd in crowds for member in crowd}
    return [member for member in busiest_first[::-1] if member.id in beyond]


def _number(member: Member) -> int:
    last = member.id.rpartition("/")[2]
    return int(last) if last.isdigit() else 0
