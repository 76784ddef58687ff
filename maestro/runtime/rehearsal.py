"""Rehearsal: today's code tried on every sleeper before one of them wakes under it.

    for each that has not ended: checkpoint -> (behaviour, version, state) -> trial: migrated, and fitted to the model

Invariants: nothing is written, nobody wakes, no model is called; user code runs in the trial and never here; a sleeper
that cannot even be opened is told of like one that would fail.

What is not here: the process that user code runs in (maestro.adapters.sandbox).
"""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from pydantic import JsonValue, ValidationError

from maestro.continuation.checkpoint import Checkpoint
from maestro.errors import IntegrityError, Unservable
from maestro.ids import ContinuationId
from maestro.runtime.verbs import Installation, partitions
from maestro.tick.records import Living

PAGE = 500  # checkpoints per round trip: half a megabyte at 1 KB of state each, some milliseconds of the store's time
FEW = 3  # how many an error names; all others are one command away
UNKNOWN = "?"
"""The behaviour of one whose checkpoint cannot be opened."""


@dataclass(frozen=True, slots=True)
class Sleeper:
    """What a trial must know of a continuation."""

    cid: ContinuationId
    behaviour: str
    version: int
    state: JsonValue
    is_held: bool = False
    """It waits already for a person or for code: no code can make that worse."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What would become of a sleeper: it would run under `to_version`, or fail with `error`."""

    to_version: int | None
    error: str | None = None
    """One line."""
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """One who would fail, and why."""

    sleeper: Sleeper
    verdict: Verdict

    def told(self) -> dict[str, JsonValue]:
        """As `maestro rehearse -o jsonl` writes it; the shape is stable."""
        return {
            "id": self.sleeper.cid,
            "behaviour": self.sleeper.behaviour,
            "from_version": self.sleeper.version,
            "to_version": self.verdict.to_version,
            "error": self.verdict.error,
            "hint": self.verdict.hint,
            "held": self.sleeper.is_held,
        }


@dataclass(frozen=True, slots=True)
class Kind:
    """All sleepers of one behaviour with a state of one version."""

    behaviour: str
    version: int
    sleepers: int
    would_fail: int


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What today's code would do to all sleepers."""

    kinds: tuple[Kind, ...]
    failures: tuple[Failure, ...]
    duration_ms: int

    @property
    def sleepers(self) -> int:
        return sum(kind.sleepers for kind in self.kinds)

    @property
    def newly_held(self) -> tuple[Failure, ...]:
        """Those who would fail and sleep well today."""
        return tuple(failure for failure in self.failures if not failure.sleeper.is_held)


class Trial(Protocol):
    """Where user code may do what it likes."""

    async def judge(self, sleepers: Sequence[Sleeper]) -> Sequence[Verdict]:
        """A verdict on each, in the same order."""
        ...


async def rehearse(at: Installation, trial: Trial) -> Rehearsal:
    """Every sleeper of the store has been tried.

    Raises:
        InvalidInput: the code itself cannot be loaded.
    """
    began = monotonic()
    failures: list[Failure] = []
    count: Counter[tuple[str, int]] = Counter()
    async for page in _pages(at):
        sleepers, failed = _opened(at, page)
        verdicts = await trial.judge(sleepers) if sleepers else ()
        failed += [Failure(*both) for both in zip(sleepers, verdicts, strict=True) if both[1].error is not None]
        count.update((sleeper.behaviour, sleeper.version) for sleeper in sleepers)
        count.update((failure.sleeper.behaviour, 0) for failure in failed if failure.sleeper.behaviour == UNKNOWN)
        failures += failed
    failing = Counter((failure.sleeper.behaviour, failure.sleeper.version) for failure in failures)
    kinds = tuple(Kind(*kind, sleepers=n, would_fail=failing[kind]) for kind, n in sorted(count.items()))
    return Rehearsal(kinds, tuple(failures), round((monotonic() - began) * 1000))


def check_nobody_stranded(rehearsal: Rehearsal, hint: str) -> None:
    """All who sleep well today would wake under this code.

    Raises:
        Unservable: some would be held; names the first few.
    """
    stranded = rehearsal.newly_held
    if not stranded:
        return
    few = "; ".join(_line(failure) for failure in stranded[:FEW])
    more = f"; and {len(stranded) - FEW} more" if len(stranded) > FEW else ""
    raise Unservable(
        f"{len(stranded)} of {rehearsal.sleepers} sleepers would be held under this code: {few}{more}",
        field="behaviours",
        hint=hint,
    )


def _line(failure: Failure) -> str:
    sleeper = failure.sleeper
    return f"{sleeper.cid} ({sleeper.behaviour}, version {sleeper.version}): {failure.verdict.error}"


async def _pages(at: Installation) -> AsyncIterator[Living]:
    for partition in partitions(at):
        first = 0
        while (page := await at.backend.records.living(partition, first, PAGE)).looked_at:
            first += page.looked_at
            yield page


def _opened(at: Installation, page: Living) -> tuple[list[Sleeper], list[Failure]]:
    """Those of a page who can be tried, and those whose bytes are damaged."""
    sleepers: list[Sleeper] = []
    damaged: list[Failure] = []
    for cid, sealed in page.checkpoints:
        try:
            body = at.seal.open(sealed, "checkpoint", cid, at.tenant).body
            c = Checkpoint.model_validate_json(body)
        except (IntegrityError, ValidationError) as error:
            told = Verdict(None, " ".join(str(error).split())[:500], "restore it from an export")
            damaged.append(Failure(Sleeper(cid, UNKNOWN, 0, None, is_held=True), told))
        else:
            sleepers.append(Sleeper(cid, c.behaviour, c.behaviour_version, c.state, is_held=cid in page.held))
    return sleepers, damaged
