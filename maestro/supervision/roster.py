"""What a supervisor leaves to its successor, and what becomes of it when somebody spoilt it.

A roster is read back by whoever comes after a supervisor that was killed, perhaps after a whole store was restored or
edited by hand. So the root surveys all rosters before it starts anything: what cannot be in a tree is set aside, with
its reason, and the rest starts.

Invariants: after `survey`, every kept supervisor is reached from the root once; no id stands twice in the tree.
Not here: where rosters lie (`actors.rosters`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from maestro.supervision.machine import Alive, supervisor
from maestro.supervision.spec import ChildSpec
from maestro.supervision.state import Child, SupervisorState


class RosterEntry(BaseModel):
    """One child as a supervisor remembers it beyond its own death."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    spec: ChildSpec
    stopped: bool


Roster = tuple[RosterEntry, ...]
_ENTRIES: TypeAdapter[Roster] = TypeAdapter(Roster)


@dataclass(frozen=True, slots=True)
class Spoilt:
    """A roster, or one entry of one, that cannot be in the tree."""

    supervisor: str
    entry: str | None
    """Id of the child; None for a whole roster."""
    why: str


@dataclass(frozen=True, slots=True)
class Survey:
    kept: Mapping[str, Roster]
    """By id of the supervisor: what its incarnations of today may read."""
    spoilt: tuple[Spoilt, ...]


def roster(state: SupervisorState) -> Roster:
    """What a successor needs to know."""
    return tuple(RosterEntry(spec=c.spec, stopped=c.standing == "stopped") for c in state.children)


def recall(spec: ChildSpec, left: Sequence[RosterEntry], alive: Alive) -> tuple[SupervisorState, frozenset[str]]:
    """A supervisor as its predecessor left it, and the ids that the predecessor had stopped.

    A temporary child that died unattended is forgotten: it is never restarted.
    """
    kept = [entry for entry in left if entry.spec.restart != "temporary" or entry.spec.id in alive]
    numbers = [int(number) for entry in left if (number := entry.spec.id.rpartition("/")[2]).isdecimal()]
    state = replace(
        supervisor(spec),
        children=tuple(Child(entry.spec) for entry in kept),
        made=max(numbers, default=0) if spec.template else 0,
    )
    return state, frozenset(entry.spec.id for entry in kept if entry.stopped and entry.spec.id not in alive)


def parse(data: bytes | str) -> Roster:
    """The roster that `data` holds.

    Raises:
        ValueError: it holds none.
    """
    try:
        return _ENTRIES.validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "roster"
        raise ValueError(f"{where}: {first['msg']}"[:200]) from None


def render(entries: Roster) -> bytes:
    """What `parse` reads."""
    return _ENTRIES.dump_json(entries, exclude_defaults=True)


def survey(root: ChildSpec, found: Mapping[str, bytes]) -> Survey:
    """Which of the rosters found may be read, walking down from the root; the others are spoilt, each for a reason.

    Args:
        root: the spec of the root.
        found: the rosters as they lie in the store, by id of their supervisor.
    """
    kept: dict[str, Roster] = {}
    spoilt: list[Spoilt] = []
    parents: dict[str, str | None] = {root.id: None}
    todo = [root]
    while todo:
        above = todo.pop(0)
        entries = _entries(above, found, spoilt)
        good = tuple(entry for entry in entries if _belongs(entry.spec, above, parents, spoilt))
        if above.id in found or good != entries:
            kept[above.id] = good
        todo += [entry.spec for entry in good if entry.spec.type == "supervisor"]
    dangling = [name for name in found if name not in parents]
    spoilt += [Spoilt(name, None, "dangling: no supervisor of the tree has this id") for name in dangling]
    return Survey(kept, tuple(spoilt))


def _entries(above: ChildSpec, found: Mapping[str, bytes], spoilt: list[Spoilt]) -> Roster:
    if above.id in found:
        try:
            return parse(found[above.id])
        except ValueError as error:
            spoilt.append(Spoilt(above.id, None, f"unreadable: {error}"))
    return tuple(RosterEntry(spec=child, stopped=False) for child in above.children)


def _belongs(child: ChildSpec, above: ChildSpec, parents: dict[str, str | None], spoilt: list[Spoilt]) -> bool:
    """True when it can be a child there, and is one from then on."""
    if child.id in _upwards(above.id, parents):
        why = f"cycle: {child.id} would be below itself"
    elif child.id in parents:
        why = f"twice in the tree: it is a child of {parents[child.id]}"
    elif child.significant and above.auto_shutdown == "never":
        why = "significant under a supervisor that never shuts down by itself"
    else:
        parents[child.id] = above.id
        return True
    spoilt.append(Spoilt(above.id, child.id, why))
    return False


def _upwards(child_id: str, parents: Mapping[str, str | None]) -> list[str]:
    path = [child_id]
    while (above := parents[path[-1]]) is not None:
        path.append(above)
    return path
