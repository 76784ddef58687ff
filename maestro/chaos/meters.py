"""Memory and open files of processes over a run, and whether they are flat.

A slope is the median of all slopes between two samples (Theil and Sen): one spike does not tilt it. Judged is who lived
for JUDGED_S at least, on what came after its first WARM_S: a process that a fault ended young has no slope, and a run
that is shorter than that judges nobody.
"""

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

import psutil

WARM_S = 60.0  # of a life: modules are read, caches and pools fill
JUDGED_S = 240.0
MB = 1 << 20
LIMIT_MB = 12.0  # of growth over a judged life, beside LIMIT_SHARE of what it had: allocators keep what they had once
LIMIT_SHARE = 0.08
LIMIT_FILES = 12  # beside LIMIT_FILES_SHARE of what it had: a raylet has some for each worker, and their number moves
LIMIT_FILES_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Sample:
    at_s: float
    rss_bytes: int
    files: int


@dataclass(frozen=True, slots=True)
class Trend:
    """One process over its judged life."""

    pid: int
    name: str
    lived_s: float
    rss_mb: float
    slope_mb_per_h: float
    grown_mb: float
    files: float
    files_grown: float

    @property
    def is_flat(self) -> bool:
        files_may_grow = LIMIT_FILES + LIMIT_FILES_SHARE * self.files
        return self.grown_mb <= LIMIT_MB + LIMIT_SHARE * self.rss_mb and self.files_grown <= files_may_grow

    def told(self) -> dict[str, str | int | float | bool | None]:
        return {
            "pid": self.pid, "name": self.name, "lived_s": round(self.lived_s), "rss_mb": round(self.rss_mb, 1),
            "slope_mb_per_h": round(self.slope_mb_per_h, 2), "grown_mb": round(self.grown_mb, 2),
            "files": self.files, "files_grown": self.files_grown, "flat": self.is_flat,
        }  # fmt: skip


@dataclass(slots=True)
class Meters:
    """Samples by process."""

    samples: dict[tuple[int, str], list[Sample]] = field(default_factory=dict)

    def read(self, pids: Iterable[int], at_s: float) -> None:
        """One sample of each that lives."""
        for pid in pids:
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                sample = Sample(at_s, process.memory_info().rss, process.num_fds())
                self.samples.setdefault((pid, process.name()), []).append(sample)

    def trends(self) -> list[Trend]:
        """Of each that lived long enough to be judged."""
        return [
            trend(pid, name, samples)
            for (pid, name), samples in self.samples.items()
            if samples[-1].at_s - samples[0].at_s >= JUDGED_S
        ]


def trend(pid: int, name: str, samples: Sequence[Sample]) -> Trend:
    """How its memory and files moved once it was warm."""
    warm = [sample for sample in samples if sample.at_s - samples[0].at_s >= WARM_S]
    slopes = [
        (later.rss_bytes - earlier.rss_bytes) / (later.at_s - earlier.at_s)
        for n, earlier in enumerate(warm)
        for later in warm[n + 1 :]
        if later.at_s > earlier.at_s
    ]
    slope = median(slopes) if slopes else 0.0
    span_s, third = warm[-1].at_s - warm[0].at_s, max(1, len(warm) // 3)
    files = median(s.files for s in warm[:third])
    files_grown = median(s.files for s in warm[-third:]) - files
    rss_mb = median(s.rss_bytes for s in warm) / MB
    lived_s = samples[-1].at_s - samples[0].at_s
    return Trend(pid, name, lived_s, rss_mb, slope * 3600 / MB, slope * span_s / MB, files, files_grown)
