"""What the feed of a partition tells of one continuation."""

import orjson
from pydantic import JsonValue

from maestro.ids import ContinuationId, partition_of
from maestro.tick.records import Records


async def facts_of(records: Records, cid: ContinuationId, after: str = "0-0") -> list[dict[str, JsonValue]]:
    """All facts of `cid` behind that position, oldest first, each with its own."""
    facts: list[dict[str, JsonValue]] = []
    while batch := await records.feed(partition_of(cid), after):
        facts += [{**orjson.loads(fact.body), "position": fact.position} for fact in batch]
        after = batch[-1].position
    return [fact for fact in facts if fact.get("cid") == cid]
