"""When schedules are due: changes of the clocks, leap days, the year 2038, and what is never due (F61)."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from maestro.errors import InvalidInput
from maestro.ids import TimeMs
from maestro.mesh.schedule import parse_schedule

BERLIN = ZoneInfo("Europe/Berlin")


def ms(text: str) -> TimeMs:
    return TimeMs(int(datetime.fromisoformat(text).timestamp()) * 1000)


def due(address: str, after: str, count: int) -> list[str]:
    """The next moments in UTC."""
    schedule, at, found = parse_schedule(address), ms(f"{after}+00:00"), []
    for _ in range(count):
        at = schedule.following(at)
        found.append(datetime.fromtimestamp(at / 1000, ZoneInfo("UTC")).strftime("%Y-%m-%d %H:%M"))
    return found


@pytest.mark.parametrize(
    ("address", "after", "moments"),
    [
        # the clocks go forward at 01:00 UTC: 02:30 does not exist, and is due at the change
        ("cron:30 2 * * *?zone=Europe/Berlin", "2026-03-28T12:00", ["2026-03-29 01:00", "2026-03-30 00:30"]),
        # the clocks go back at 01:00 UTC: 02:30 comes twice, and is due the first time
        ("cron:30 2 * * *?zone=Europe/Berlin", "2026-10-24T12:00", ["2026-10-25 00:30", "2026-10-26 01:30"]),
        # each half hour follows the real time through both
        ("cron:*/30 * * * *?zone=Europe/Berlin", "2026-03-29T00:31", ["2026-03-29 01:00", "2026-03-29 01:30"]),
        (
            "cron:*/30 * * * *?zone=Europe/Berlin", "2026-10-25T00:01",
            ["2026-10-25 00:30", "2026-10-25 01:00", "2026-10-25 01:30", "2026-10-25 02:00"],
        ),
        # half an hour of daylight saving
        ("cron:15 2 * * *?zone=Australia/Lord_Howe", "2026-10-03T00:00", ["2026-10-03 15:30", "2026-10-04 15:15"]),
        ("cron:0 9 * * 1-5", "2026-11-20T10:00", ["2026-11-23 09:00"]),
        ("cron:0 0 29 2 *", "2026-03-01T00:00", ["2028-02-29 00:00"]),
        ("cron:0 0 31 * *", "2026-11-01T00:00", ["2026-12-31 00:00", "2027-01-31 00:00"]),
        ("cron:14 3 19 1 *", "2038-01-19T03:13", ["2038-01-19 03:14", "2039-01-19 03:14"]),
        ("every:900", "2026-11-20T10:01", ["2026-11-20 10:15", "2026-11-20 10:30"]),
    ],
)  # fmt: skip
def test_moments(address: str, after: str, moments: list[str]) -> None:
    assert due(address, after, len(moments)) == moments


@pytest.mark.parametrize(
    "address", ["cron:30 2 * * *?zone=Europe/Berlin", "cron:7 * * * *?zone=Asia/Kolkata", "every:60"]
)
def test_the_latest_is_the_one_before_the_following(address: str) -> None:
    schedule, at = parse_schedule(address), ms("2026-03-27T00:00:00+00:00")
    for _ in range(100):
        following = schedule.following(at)
        assert schedule.latest(TimeMs(following - 1)) == schedule.latest(at)
        assert schedule.latest(following) == following > at
        at = following


@pytest.mark.parametrize(
    "address",
    [
        "cron:0 0 30 2 *", "cron:0 0 31 4 *", "cron:* * * * * *", "cron:0 0 * *", "cron:99 0 * * *", "cron:@daily",
        "cron:0 0 * * *?zone=Mars/Olympus", "cron:0 0 * * *?zone=../../etc/passwd", "cron:H H * * *", "cron:R 0 * * *",
        "every:9", "every:0", "every:-5", "every:1.5", "every:999999999", "every:", "cron:", "cron:" + "1," * 200,
    ],
)  # fmt: skip
def test_what_is_never_due_or_too_often_is_refused(address: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_schedule(address)
    assert caught.value.field == "url"
