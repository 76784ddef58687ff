"""A run from its first process to its verdict: wound, heal, settle, export, check.

    FOLDER/history.jsonl    what the client asked for and was told (annals)
    FOLDER/exports/*.jsonl  what `maestro export` writes of every root, after everything has settled
    FOLDER/mac.key          by which the exports were sealed: private

Invariants: the verdict comes from those files alone (`judged`), read again from the disk; whatever ends a run, no
process of it is left.
"""

import asyncio
import contextlib
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import structlog
from pydantic import JsonValue

from maestro.chaos import annals as annals_of
from maestro.chaos.accounts import RULES, check
from maestro.chaos.annals import Annals
from maestro.chaos.client import CLAIMERS, Client
from maestro.chaos.evidence import Evidence, gathered
from maestro.chaos.ground import Ground, reached
from maestro.chaos.invariants import Violation
from maestro.chaos.meters import Meters, Trend
from maestro.chaos.nemesis import carry_out
from maestro.chaos.outside import Outside
from maestro.chaos.schedule import EVERY_S, Strike, draw
from maestro.continuation.envelope import Seal
from maestro.errors import Conflict, ContinuationNotFoundError, MaestroError
from maestro.home import keep_private, private_folder, read_private
from maestro.ids import ContinuationId
from maestro.runtime import freight, verbs
from maestro.runtime.verbs import Installation

BREATH_S = 1.0  # after a heal, also where the run is late
PACE_S = 0.05  # between two wishes of the client
LOOK_S = 1.0
METER_S = 5.0
SETTLE_S = 120.0
ORPHAN_S = 15.0  # PROMISES P9
EXPORT_TRIES = 20
TICKS_PER_S = 0.5  # fewer in all than this prove nothing

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run shall be."""

    profile: str
    seed: int
    minutes: float = 1.0
    every_s: float = EVERY_S
    tellers: int = 8
    resumes_within_s: float | None = None
    """How soon after a heal there must be a tick; None for what the ground says."""
    settle_s: float = SETTLE_S
    """How long a run that is over may take to come to rest."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of it."""

    violations: tuple[Violation, ...]
    figures: dict[str, JsonValue]
    trends: tuple[Trend, ...] = field(default=())

    @property
    def is_good(self) -> bool:
        """Every promise was kept, and nothing grew."""
        return not self.violations and all(trend.is_flat for trend in self.trends)


async def run(plan: Plan, ground: Ground, client: Client, annals: Annals, folder: Path, outside: Outside) -> Verdict:
    """The workload ran on `ground` under the faults of `plan`; its evidence is in `folder`, and judged."""
    strikes = draw(plan.profile, plan.seed, plan.minutes, plan.every_s, ground.name)
    length_s, meters = plan.minutes * 60, Meters()
    annals.tell(
        "plan", profile=plan.profile, seed=plan.seed, minutes=plan.minutes, ground=ground.name,
        strikes=[[strike.at_ms, strike.wound.id, strike.for_ms] for strike in strikes],
        floor_ticks=int(length_s * TICKS_PER_S),
        resumes_within_ms=int((plan.resumes_within_s or ground.resumes_within_s) * 1000),
    )  # fmt: skip
    await client.begin(plan.tellers)
    begun = time.monotonic()
    async with _background(_works(client, ground, meters, begun)):
        await _inflicted(strikes, ground, annals, begun)
        await asyncio.sleep(max(0.0, begun + length_s - time.monotonic()))
        annals.tell("workload_ends")
    await ground.restore()
    at = await reached(ground)
    try:
        await client.finish(plan.settle_s)
        await _settled(at, client, annals, plan.settle_s)
        await client.look()
        await _machine(ground, annals)
        annals.tell("outside", **outside.counted())
        await _exported(at, client.tellers, folder, annals)
    finally:
        await at.backend.close()
    return judged(folder, tuple(meters.trends()))


def judged(folder: Path, trends: tuple[Trend, ...] = ()) -> Verdict:
    """The verdict on the evidence in `folder`, and on nothing else."""
    evidence = evidence_in(folder / "history.jsonl")
    return Verdict(tuple(check(evidence)), figures_of(evidence), trends)


def evidence_in(history: Path) -> Evidence:
    """The history and the exports beside it, sealed by the key beside them where there is one."""
    key = read_private(history.parent / "mac.key") if (history.parent / "mac.key").exists() else None
    exports = (file.read_bytes() for file in sorted((history.parent / "exports").glob("*.jsonl")))
    with history.open(encoding="utf-8") as lines:
        notes = annals_of.read(lines)
    return gathered(exports, notes, Seal(key.encode()) if key else None)


def figures_of(evidence: Evidence) -> dict[str, JsonValue]:
    """What a person wants to see beside the verdict."""
    late = [
        fired - books.timers_set[name]
        for member in evidence.members
        if (books := member.books) is not None
        for name, fired in books.timers_fired.items()
        if name in books.timers_set
    ]
    outcomes: dict[str, JsonValue] = {
        name: sum(deed.outcome == name for deed in evidence.deeds) for name in ("ok", "fail", "unknown")
    }
    return {
        "invariants": list(RULES),
        "continuations": len(evidence.members),
        "ticks": sum(member.rev for member in evidence.members),
        "operations": outcomes,
        "faults": [str(note.facts.get("fault")) for note in evidence.told("heal")],
        "stale_refused": sum(1 for _ in evidence.done("stale", "fail")),
        "fenced": evidence.last("counts").get("fenced"),
        "effects": len(_rows(evidence.last("outside").get("keyed_effects"))),
        "unsafe_acts": len(_rows(evidence.last("outside").get("unsafe_calls"))),
        "asked_about": sum(1 for _ in evidence.done("answer", "ok")),
        "timer_lateness_ms": {"p50": _share(late, 0.5), "p99": _share(late, 0.99)},
        "recovery_s": recoveries(evidence),
        "settled_s": evidence.last("settled").get("took_s"),
    }


def recoveries(evidence: Evidence) -> dict[str, JsonValue]:
    """Fault -> the longest time from its strike to the first tick after its heal, in seconds."""
    commits = sorted(at_ms for member in evidence.members for at_ms in member.committed_ms[1:])
    worst: dict[str, float] = {}
    struck_ms = 0
    for note in evidence.notes:
        if note.what == "strike":
            struck_ms = note.at_ms
        elif note.what == "heal" and (place := bisect_left(commits, note.at_ms)) < len(commits):
            fault = str(note.facts.get("fault"))
            worst[fault] = max(worst.get(fault, 0.0), round((commits[place] - struck_ms) / 1000, 2))
    return dict(worst)


def _works(client: Client, ground: Ground, meters: Meters, begun: float) -> Sequence[Callable[[], Awaitable[None]]]:
    """What goes on beside the faults."""

    async def wishes() -> None:
        await client.step()
        await asyncio.sleep(PACE_S)

    async def looks() -> None:
        await client.look()
        await client.be_stale()
        await client.answer()
        await asyncio.sleep(LOOK_S)

    async def metered() -> None:
        meters.read(ground.pids("everything"), time.monotonic() - begun)
        await asyncio.sleep(METER_S)

    def claiming(claimer: int) -> Callable[[], Awaitable[None]]:
        async def claims() -> None:
            await client.claim(claimer)
            await asyncio.sleep(LOOK_S * 4)

        return claims

    return (wishes, looks, metered, *map(claiming, range(CLAIMERS)))


@contextlib.asynccontextmanager
async def _background(works: Sequence[Callable[[], Awaitable[None]]]) -> AsyncIterator[None]:
    """Each goes on again and again, whatever the store does; what else fails ends the run."""

    async def again(work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except MaestroError:
                await asyncio.sleep(0.1)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(again(work)) for work in works]
            yield
            for task in tasks:
                task.cancel()
    except* Exception as several:  # noqa: BLE001 - none is swallowed
        raise several.exceptions[0] from None  # the first is why the others were stopped


async def _inflicted(strikes: Sequence[Strike], ground: Ground, annals: Annals, begun: float) -> None:
    for strike in strikes:
        await asyncio.sleep(max(0.0, begun + strike.at_ms / 1000 - time.monotonic()))
        fault = f"{strike.wound.id} {strike.wound.does}"
        annals.tell("strike", fault=fault, for_ms=strike.for_ms)
        pagers = ground.pagers(strike.wound)
        met = await carry_out(strike, ground)
        annals.tell("heal", fault=fault, met=met, pagers_died=pagers)
        log.info("healed", fault=fault, met=met)
        await asyncio.sleep(BREATH_S)


async def _settled(at: Installation, client: Client, annals: Annals, patience_s: float) -> None:
    """Nothing is ready, held, unread or on its way, and nobody asks anything; or the patience was over."""
    begun, why = time.monotonic(), "nothing was seen"
    while time.monotonic() - begun < patience_s:
        try:
            await client.answer()
            why = await unrest(at)
            if not why:
                annals.tell("settled", quiet=True, took_s=round(time.monotonic() - begun, 1))
                return
        except MaestroError as error:
            why = str(error)
        await asyncio.sleep(0.3)
    annals.tell("settled", quiet=False, why=why)


async def unrest(at: Installation) -> str:
    """What goes on in the store; empty when nothing does."""
    for partition in verbs.partitions(at):
        counts = await at.backend.records.counts(partition)
        if busy := {name: counts[name] for name in ("outbox", "projections") if counts.get(name)}:
            return f"there are {busy}"
        for cid in await at.backend.records.ids(partition):
            glance = await verbs.glance_of(at, cid)
            if glance.holder or glance.ready_since_ms is not None or glance.error:
                return f"{cid} is {'held' if glance.holder else 'ready or to be tried again'}: {glance.error or ''}"
            if timers := (await verbs.checkpoint_of(at, cid)).timers:
                return f"{cid} has timers: {', '.join(timers)}"
    return ""


async def _machine(ground: Ground, annals: Annals) -> None:
    """What the machine runs; a process that lost its parent has ORPHAN_S to end."""
    until = time.monotonic() + ORPHAN_S
    while (ground.strays() or ground.missing()) and time.monotonic() < until:  # noqa: ASYNC110 - processes ring no bell
        await asyncio.sleep(0.5)
    annals.tell("processes", when="in the end", orphans=list(ground.strays()), missing=list(ground.missing()))


async def _exported(at: Installation, roots: Sequence[ContinuationId], folder: Path, annals: Annals) -> None:
    exports = private_folder(folder / "exports")
    for cid in roots:
        with contextlib.suppress(ContinuationNotFoundError):  # what is in no export was lost: that is for the checker
            (exports / f"{cid}.jsonl").write_bytes(await _export(at, cid))
    keep_private(folder / "mac.key", at.seal.key.decode())
    letters: list[JsonValue] = []
    counted: dict[str, int] = {}
    for partition in verbs.partitions(at):
        rows = [orjson.loads(letter) for letter in await at.backend.records.dead_letters(partition, 10_000)]
        letters += [{name: row.get(name) for name in ("id", "to", "cause")} for row in rows]
        for name, count in (await at.backend.records.counts(partition)).items():
            counted[name] = counted.get(name, 0) + count
    annals.tell("dead_letters", letters=letters)
    annals.tell("counts", **counted)


async def _export(at: Installation, cid: ContinuationId) -> bytes:
    for _ in range(EXPORT_TRIES):
        with contextlib.suppress(Conflict):
            return await freight.export(at, cid, "a checker", move=False)
        await asyncio.sleep(0.2)
    return await freight.export(at, cid, "a checker", move=False)


def _share(values: list[int], share: float) -> int | None:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else None


def _rows(value: JsonValue) -> dict[str, JsonValue]:
    return value if isinstance(value, dict) else {}
