"""One poll of one source: fetch, tell what is new, remember.

In that order, so that a crash in between repeats harmlessly: an item that was told but not remembered is told again
under the same key, and the publisher knows it. A fault of the source is an outcome; a fault of the store is not, and is
raised with nothing remembered.
"""

from maestro.errors import FeedError
from maestro.ids import TimeMs
from maestro.mesh.item import item_event
from maestro.mesh.source import (
    Document,
    Fault,
    Outcome,
    Publisher,
    Reader,
    SourceRecord,
    SourceRecords,
    after_poll,
    new_items,
    state_event,
)


async def poll_once(
    record: SourceRecord, reader: Reader, publisher: Publisher, records: SourceRecords, now_ms: TimeMs
) -> SourceRecord:
    """The record as saved after one poll; new items are published, and so is a change between well and degraded.

    Raises:
        StoreError: the store failed; poll again, with the same record.
    """
    outcome = await _fetch(record, reader, now_ms)
    if isinstance(outcome, Document):
        for item in new_items(record, outcome.items):
            event = item_event(item, record.subject, record.event_source, record.tenant, now_ms, record.kind)
            await publisher.publish(event)
    after = after_poll(record, outcome, now_ms)
    if (change := state_event(record, after, now_ms)) is not None:
        await publisher.publish(change)
    await records.save(after)
    return after


async def _fetch(record: SourceRecord, reader: Reader, now_ms: TimeMs) -> Outcome:
    try:
        return await reader.fetch(record.url, record.etag, record.last_modified, now_ms)
    except FeedError as error:
        status, retry_after_ms = error.facts.get("status"), error.facts.get("retry_after_ms")
        return Fault(
            reason=str(error.facts.get("reason", error.code)),
            message=error.message,
            status=status if isinstance(status, int) else None,
            retry_after_ms=retry_after_ms if isinstance(retry_after_ms, int) else None,
        )
