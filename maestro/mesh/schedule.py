"""Schedules: when a cron line or a period is due, on the wall clock of a named zone, as milliseconds of UTC.

    cron:0 9 * * 1-5?zone=Europe/Berlin     five fields; without a zone UTC
    every:900                               each 900 seconds since 1970

Invariants:
- pure: `latest` and `following` are functions of the schedule and the moment;
- a line with a fixed hour is due once a day whatever the clocks do: a time that a change of the clocks leaves out is
  due at the moment of the change, one that comes twice is due the first time; a line for every hour follows real time;
- a line that is never due (30 February) is refused when it is written, as is anything more often than 10 s;
- leap seconds do not exist (POSIX), and no moment is beyond what a 64-bit count of milliseconds holds.

Source: PROMISES F61, B38, B39; Vixie cron on changes of the clocks.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from croniter import CroniterError, croniter

from maestro.errors import InvalidInput
from maestro.ids import TimeMs

MIN_PERIOD_S = 10
MAX_PERIOD_S = 366 * 86_400
FIELDS = 5
_LOOK_AROUND = timedelta(hours=3)  # no clock is changed by more, of those that still are
_CRON = re.compile(r"cron:(?P<line>[0-9A-Za-z*/,#? -]{9,120}?)(\?zone=(?P<zone>[A-Za-z0-9_+/-]{1,64}))?")
_EVERY = re.compile(r"every:(?P<seconds>[0-9]{1,9})")


@dataclass(frozen=True, slots=True)
class Every:
    """Due each `seconds` since 1970."""

    seconds: int

    def latest(self, now_ms: TimeMs) -> TimeMs:
        period_ms = self.seconds * 1000
        return TimeMs(now_ms // period_ms * period_ms)

    def following(self, now_ms: TimeMs) -> TimeMs:
        return TimeMs(self.latest(now_ms) + self.seconds * 1000)


@dataclass(frozen=True, slots=True)
class Cron:
    """Due by a line of cron in a zone."""

    line: str
    zone: ZoneInfo

    def latest(self, now_ms: TimeMs) -> TimeMs:
        """The last moment at or before `now_ms` at which it was due."""
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        start = now.astimezone(self.zone).replace(tzinfo=None) + _LOOK_AROUND
        return TimeMs(max(at for at in self._around(start, forward=False, bound=now_ms) if at <= now_ms))

    def following(self, now_ms: TimeMs) -> TimeMs:
        """The first moment after `now_ms` at which it is due."""
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        start = now.astimezone(self.zone).replace(tzinfo=None) - _LOOK_AROUND
        return TimeMs(min(at for at in self._around(start, forward=True, bound=now_ms) if at > now_ms))

    @property
    def is_hourly(self) -> bool:
        return self.line.split()[1] == "*"

    def _around(self, start: datetime, *, forward: bool, bound: TimeMs) -> Iterator[int]:
        """The due moments from `start` on, up to all that could be the nearest beyond `bound`."""
        lines = croniter(self.line, start)
        margin_ms = int(_LOOK_AROUND.total_seconds() * 1000)
        found = False
        while True:
            wall: datetime = lines.get_next(datetime) if forward else lines.get_prev(datetime)
            moments = self._moments(wall)
            yield from moments
            found = found or any((at > bound) if forward else (at <= bound) for at in moments)
            plain = _ms(wall, self.zone, 0)
            if found and (plain > bound + margin_ms if forward else plain < bound - margin_ms):
                return

    def _moments(self, wall: datetime) -> tuple[int, ...]:
        """What one reading of the wall clock means: no moment, one or two."""
        first, second = _ms(wall, self.zone, 0), _ms(wall, self.zone, 1)
        if first == second:
            return (first,)
        if first < second:  # the reading comes twice
            return (first, second) if self.is_hourly else (first,)
        return () if self.is_hourly else (_change_ms(self.zone, second, first),)


Schedule = Every | Cron


def parse_schedule(address: str) -> Schedule:
    """The schedule that `address` writes down.

    Raises:
        InvalidInput: it is none, it is never due, or more often than each 10 seconds.
    """
    if (every := _EVERY.fullmatch(address)) is not None:
        seconds = int(every["seconds"])
        if not MIN_PERIOD_S <= seconds <= MAX_PERIOD_S:
            raise _wrong(address, f"give {MIN_PERIOD_S} to {MAX_PERIOD_S} seconds")
        return Every(seconds)
    cron = _CRON.fullmatch(address)
    if cron is None or len(cron["line"].split()) != FIELDS:
        raise _wrong(address, "write cron:MINUTE HOUR DAY MONTH WEEKDAY?zone=Europe/Berlin, or every:SECONDS")
    try:
        zone = ZoneInfo(cron["zone"] or "UTC")
    except (KeyError, OSError, ValueError):
        raise _wrong(address, f"{cron['zone']} is no time zone: write one such as Europe/Berlin") from None
    line = " ".join(cron["line"].split())
    if re.search(r"\b[hr]\b", line, re.IGNORECASE):
        raise _wrong(address, "write the minute and the hour: a schedule is not drawn by chance")
    try:
        croniter(line, datetime(2000, 1, 1)).get_next(datetime)  # noqa: DTZ001 - a wall clock has no zone yet
    except (CroniterError, ValueError, OverflowError) as error:
        raise _wrong(address, f"it is never due, or no line of cron: {error}") from None
    return Cron(line, zone)


def _wrong(address: str, hint: str) -> InvalidInput:
    return InvalidInput(f"{address[:80]!r} is no schedule", field="url", hint=hint)


def _ms(wall: datetime, zone: ZoneInfo, fold: int) -> int:
    return int(wall.replace(tzinfo=zone, fold=fold).timestamp()) * 1000


def _change_ms(zone: ZoneInfo, before_ms: int, after_ms: int) -> int:
    """The moment between the two at which the clocks of `zone` change, to the second."""
    low, high = before_ms // 1000, after_ms // 1000
    offset = _offset(zone, low)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset(zone, middle) == offset else (low, middle)
    return high * 1000


def _offset(zone: ZoneInfo, seconds: int) -> timedelta | None:
    return datetime.fromtimestamp(seconds, zone).utcoffset()
