"""Entries for the tests of this folder."""

from maestro.field.entry import Entry, EntryState, SourceKind, entry_id
from maestro.ids import TimeMs

NOW = TimeMs(1_721_001_600_000)
DAY_MS = 86_400_000


def after(wait_ms: int) -> TimeMs:
    """The time `wait_ms` from now."""
    return TimeMs(NOW + wait_ms)


def an_entry(
    name: str,
    *,
    at_ms: int = NOW,
    score: float = 0.5,
    kind: SourceKind = SourceKind.FEED,
    state: EntryState = EntryState.SHOWN,
    body: str = "",
    source: str = "arxiv",
) -> Entry:
    """An entry titled `name`, made and last reinforced at `at_ms`."""
    return Entry(
        id=entry_id(source, name),
        source=source,
        kind=kind,
        title=name,
        body=body,
        created_at_ms=TimeMs(at_ms),
        last_reinforced_at_ms=TimeMs(at_ms),
        score=score,
        state=state,
    )
