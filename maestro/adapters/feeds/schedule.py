"""The reader of schedules: the last moment that was due is the one item of `cron:` and `every:`.

Moments that passed while nobody looked are one item, the last of them: a source that was away does not catch up in a
burst. A timer of a continuation says by itself how it catches up (tick.every).
"""

from datetime import UTC, datetime

from maestro.ids import TimeMs
from maestro.mesh.item import Item
from maestro.mesh.schedule import parse_schedule
from maestro.mesh.source import Document, Fetched


class ScheduleReader:
    """maestro.mesh.source.Reader over the store's clock."""

    async def fetch(self, url: str, etag: str | None, last_modified: str | None, now_ms: TimeMs) -> Fetched:
        due_ms = parse_schedule(url).latest(now_ms)
        at = datetime.fromtimestamp(due_ms / 1000, UTC).isoformat()
        return Document((Item(title=f"{url} was due at {at}", guid=f"due:{due_ms}", published_ms=due_ms),))
