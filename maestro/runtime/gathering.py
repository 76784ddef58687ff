"""Looking for what nobody asked for: what is near a goal, and what is linked with what matters to it.

    events told -> followed into index and graph           a field that is about to be read asks -> its goal is looked
                                                           for in the index -> what is new to it is ranked; from the
                                                           best of the field along the graph -> ranked, and shelved

Invariants:
- a field is looked through when somebody reads it and something was told since, never while its owner sleeps; bursts
  are one look, and a look ranks only what is new since the one before, unless the goal is another;
- what is found wakes nobody, and is as old as it is;
- findings are found by their family, everything else by all of the tenant.

What is not here: the index itself (`maestro.field.index`), the graph (`linking`), and what subscriptions bring
(`loops.Projector`).
Source: spec/03 sections 3, 4 and 10.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

import structlog
from pydantic import ValidationError

from maestro.continuation.checkpoint import Checkpoint
from maestro.continuation.envelope import Seal
from maestro.continuation.goal import GoalFrame
from maestro.field.decay import EVICT_FLOOR, half_life_ms, rank_key
from maestro.field.embedding import Embedder
from maestro.field.entry import Entry, Provenance, entry_id
from maestro.field.index import EVERYBODY, Document, Index
from maestro.field.ranker import RELEVANT, Ranker
from maestro.field.steady import DEADLINE_MS, rank
from maestro.field.vectors import Header, IndexTold, Place
from maestro.ids import ContinuationId, EntryId, Partition, partition_of
from maestro.mesh.event import Event
from maestro.runtime.backend import Backend
from maestro.runtime.entries import FINDING, entry_told_by, finding_told_by
from maestro.runtime.goals import checkpoints_of
from maestro.runtime.linking import MOST, SEEDS, Linker
from maestro.runtime.ports import GATHER, Asked, Shelve

NEAREST = 50  # candidates of one look: more than a prompt shows, so that the ranker has a choice
LOG_BATCH = 256
LOOK_MS = 1_000  # how far the index may be behind while nobody asks
SAVE_AFTER = 1_000  # documents; as many are embedded again after a death, which takes a second or two

log = structlog.get_logger()


@dataclass(slots=True)
class Gatherer:
    """The loop that keeps the index and looks in it."""

    backend: Backend
    seal: Seal
    ranker: Ranker
    index: Index
    wanted: Embedder | None = None
    """Who shall make the vectors; where another made them, they are made anew in the background."""
    deadline_ms: int = DEADLINE_MS
    nearest: int = NEAREST
    look_ms: int = LOOK_MS
    indexed: int = 0
    looks: int = 0
    ranked: int = 0
    gathered: int = 0
    swapping: "asyncio.Task[Header] | None" = field(default=None, init=False)
    """The swap that is under way."""
    _told: IndexTold | None = field(default=None, init=False)

    @property
    def linker(self) -> Linker:
        return Linker(self.backend.gatherings.graph)

    async def step(self) -> int:
        await self._tell()
        self._swap_if_wanted()
        partitions = [Partition(number) for number in range(self.backend.partitions)]
        behind = [await self._follow(partition) for partition in partitions]
        served = [await self._serve(partition) for partition in partitions]
        if self.index.unsaved >= SAVE_AFTER:
            await self.index.save()
        await self._tell()
        return 0 if any(behind) or any(served) else self.look_ms

    async def _tell(self) -> None:
        """Fields wait for looks, and people know what the index holds."""
        if (told := self.index.told()) != self._told:
            self._told = told
            await self.backend.gatherings.open(told.model_dump_json())

    async def wait(self, pause_ms: int) -> None:
        await self.backend.signals.wait(GATHER, pause_ms)

    async def swap(self, embedder: Embedder) -> Header:
        """All vectors are made by `embedder`; until then looks go on in those that there are."""
        return await self.index.swap(embedder, self._texts)

    def _swap_if_wanted(self) -> None:
        """The vectors are those that are wanted, or are being made."""
        if self.swapping is not None and self.swapping.done():
            error = self.swapping.exception()
            if error is not None:
                log.error("index_not_swapped", error=repr(error))
            self.swapping = None
        if self.swapping is None and self.wanted is not None and self.wanted.name != self.index.header.model:
            self.swapping = asyncio.create_task(self.swap(self.wanted))

    async def _follow(self, partition: Partition) -> bool:
        """The index has what the log tells, or a batch of it; True where there may be more."""
        facts = await self.backend.gatherings.log(partition, self.index.reached(partition), LOG_BATCH)
        if not facts:
            return False
        told = [(fact.position, event) for fact in facts if (event := _event(fact.body)) is not None]
        families = await self._families([event for _, event in told])
        entries = [
            (position, entry, event)
            for position, event in told
            if event.id in families and (entry := entry_told_by(event)) is not None
        ]
        documents = [
            Document(Place(entry.id, families[event.id], partition, position), _text(entry))
            for position, entry, event in entries
        ]
        await self.linker.follow(partition, [(entry, event) for _, entry, event in entries])
        self.indexed += await self.index.add(documents, partition, facts[-1].position)
        await self.forget([name for _, event in told if (name := self._overtaken(event, families)) is not None])
        return len(facts) == LOG_BATCH

    async def _families(self, told: Sequence[Event]) -> dict[str, str]:
        """Event -> whose affair it is, of those that have something to say; a finding is its finder's family's."""
        finders = {ContinuationId(event.source) for event in told if finding_told_by(event) is not None}
        roots = {str(cid): str(it.root) for cid, it in (await checkpoints_of(self.backend, self.seal, finders)).items()}
        scopes: dict[str, str] = {}
        for event in told:
            finding = finding_told_by(event)
            if finding is not None and roots.get(event.source) == finding["root"]:
                scopes[event.id] = finding["root"]
            elif event.type != FINDING and isinstance(event.payload, dict) and event.payload.get("title"):
                scopes[event.id] = EVERYBODY  # what has no title is for whoever asked for it
        return scopes

    def _overtaken(self, event: Event, families: Mapping[str, str]) -> EntryId | None:
        """The finding that this one takes the place of, if it is of the same family."""
        finding = finding_told_by(event)
        if finding is None or not finding.get("supersedes"):
            return None
        name = entry_id(FINDING, str(finding["supersedes"]))
        return name if self.index.scope_of(name) == families.get(event.id) else None

    async def _serve(self, partition: Partition) -> int:
        """The fields that asked are complete up to when they were seen; returns how many."""
        asked = await self.backend.gatherings.asked(partition)
        if not asked:
            return 0
        while await self._follow(partition):
            pass
        checkpoints = await checkpoints_of(self.backend, self.seal, [each.cid for each in asked])
        for each in asked:
            await self._look(each, checkpoints.get(each.cid))
        return len(asked)

    async def _look(self, asked: Asked, checkpoint: Checkpoint | None) -> None:
        if checkpoint is None:
            await self.backend.gatherings.gathered(asked, "", ())
            return
        self.looks += 1
        goal, scopes = checkpoint.goal, (EVERYBODY, str(checkpoint.root))
        before = _Look.loads(asked.kept)
        after = before.number if before.goal_version == goal.version else 0
        found = await self.index.near(goal.text, self.nearest, scopes, after)
        came = {each.place: Provenance(found="near") for each in found.nearest}
        near = await self._ranked(asked, goal, came)
        linked = await self._ranked(asked, goal, await self._linked(asked, near, came, scopes, after))
        kept = _Look(found.newest, goal.version).dumps()
        shelved = [_shelve(entry) for entry in (*near, *linked) if entry.score >= EVICT_FLOOR]
        self.gathered += await self.backend.gatherings.gathered(asked, kept, shelved)

    async def _ranked(self, asked: Asked, goal: GoalFrame, came: Mapping[Place, Provenance]) -> list[Entry]:
        """The entries at these places that are new to the field, with their scores and how they came."""
        entries = await self._new_to(asked, came)
        ranking = await rank(self.ranker, goal, entries, deadline_ms=self.deadline_ms)
        self.ranked += len(entries)
        marks = {"degraded": ranking.degraded is not None}
        pairs = zip(entries, ranking.scores, strict=True)
        return [entry.model_copy(update={"score": score, **marks}) for entry, score in pairs]

    async def _linked(
        self, asked: Asked, near: Sequence[Entry], known: Collection[Place], scopes: Collection[str], after: int
    ) -> Mapping[Place, Provenance]:
        """What is linked with what matters: the top of the field, and what was found near and is worth a wake.

        Of two that are linked, one is new since the last look.
        """
        top = await self.backend.shelf.top(asked.cid, SEEDS, await self.backend.clock.now_ms())
        best = sorted((entry for entry in near if entry.score >= RELEVANT), key=lambda entry: -entry.score)
        matters = [each.entry.id for each in top] + [entry.id for entry in best[:SEEDS]]
        fresh = {entry.id for entry in near}
        found: dict[Place, Provenance] = {}
        for neighbour in await self.linker.around(partition_of(asked.cid), matters):
            number, place = self.index.document(neighbour.id) or (0, None)
            other, _ = self.index.document(neighbour.of) or (0, None)
            is_new = number > after or other > after or neighbour.of in fresh
            if place is not None and is_new and place.scope in scopes and place not in known:
                found[place] = Provenance(found="linked", via=neighbour.via)
        return dict(islice(found.items(), MOST))

    async def forget(self, names: Collection[EntryId]) -> None:
        """Nothing of these is left, in the index and in the graph, in memory and on disk."""
        if names:
            await self.index.forget(names)
            await self.linker.cut(self.backend.partitions, names)

    async def _new_to(self, asked: Asked, came: Mapping[Place, Provenance]) -> list[Entry]:
        """The entries at these places that the field does not hold; what the log has dropped is forgotten."""
        held = await self.backend.gatherings.held(asked.cid, [place.id for place in came])
        wanted = [place for place in came if place.id not in held]
        events = await self._events(wanted)
        await self.forget([place.id for place in wanted if place.id not in events])
        told = {place: entry for place in wanted if place.id in events and (entry := entry_told_by(events[place.id]))}
        return [_came(entry, came[place]) for place, entry in told.items()]

    async def _texts(self, places: Sequence[Place]) -> Mapping[EntryId, str]:
        entries = {name: entry_told_by(event) for name, event in (await self._events(places)).items()}
        return {name: _text(entry) for name, entry in entries.items() if entry is not None}

    async def _events(self, places: Sequence[Place]) -> dict[EntryId, Event]:
        """The events at these places, those that the log still has."""
        found: dict[EntryId, Event] = {}
        for partition in {place.partition for place in places}:
            here = [place for place in places if place.partition == partition]
            positions = [place.position for place in here]
            bodies = await self.backend.gatherings.texts(Partition(partition), positions)
            told = {place.id: _event(bodies[place.position]) for place in here if place.position in bodies}
            found |= {name: event for name, event in told.items() if event is not None}
        return found


@dataclass(frozen=True, slots=True)
class _Look:
    """What is kept of a look: up to which number, and for which goal."""

    number: int
    goal_version: int

    @classmethod
    def loads(cls, kept: str) -> "_Look":
        number, _, version = kept.partition(" ")
        return cls(int(number or 0), int(version or 0))

    def dumps(self) -> str:
        return f"{self.number} {self.goal_version}"


def _event(body: bytes) -> Event | None:
    try:
        return Event.model_validate_json(body)
    except ValidationError as error:  # of another release; nobody else's text is lost
        log.warning("not_indexed", errors=error.error_count())
        return None


def _came(entry: Entry, how: Provenance) -> Entry:
    told = entry.provenance.model_copy(update={"found": how.found, "via": how.via})
    return entry.model_copy(update={"provenance": told})


def _text(entry: Entry) -> str:
    return f"{entry.title}. {entry.body}"


def _shelve(entry: Entry) -> Shelve:
    half_life = half_life_ms(entry.kind)
    key = rank_key(entry.score, entry.reinforcements, entry.last_reinforced_at_ms, half_life)
    return Shelve(half_life, key, entry.id, entry.model_dump_json().encode())
