"""The digest of the day is told: what people were not asked, because their attention was used up, goes to them as one.

Invariants: one event a day, under one key, whoever tells it and however often; where there is a way to people, they are
told too, under the same key, at least once; a failure is tried again at the next look, and opens no question.
What is not here: which questions those are (maestro.runtime.attention), and when they are asked after all (the fold).
"""

from dataclasses import dataclass
from typing import Any, Protocol

import orjson
import structlog

from maestro.errors import NotificationFailed
from maestro.ids import Partition, TimeMs
from maestro.mesh.event import new_event
from maestro.runtime.attention import Digest, queued
from maestro.runtime.backend import Backend
from maestro.runtime.publisher import MeshPublisher
from maestro.tick.attention import DAY_MS

log = structlog.get_logger()

SUBJECT, SENDER = "attention.digest", "herald"
LOOK_MS = 10_000  # a question that waits for tomorrow may wait so long for its digest, too


class Reader(Protocol):
    """Whoever reads digests, on the way to people."""

    async def digest(self, digest: Digest) -> None:
        """The people are told; told twice under one key is told once, where the way to them allows.

        Raises:
            NotificationFailed: they were not.
        """
        ...


@dataclass(slots=True)
class Digests:
    """Tells the digest of each day, once there is one."""

    backend: Backend
    reader: Reader | None = None
    """None where the event alone tells of it, and people look by themselves."""
    look_ms: int = LOOK_MS
    _day: int | None = None
    """Of which day it is told."""
    _next_ms: int = 0

    async def look(self) -> None:
        """What waits for attention is told, unless it was today, or somebody has looked just now."""
        now_ms = await self.backend.clock.now_ms()
        day = now_ms // DAY_MS
        if day == self._day or now_ms < self._next_ms:
            return
        self._next_ms = now_ms + self.look_ms
        questions = queued(await self._waiting())
        if questions and await self._told(Digest(day=day, questions=questions), now_ms):
            self._day = day

    async def _waiting(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for number in range(self.backend.partitions):
            rows += map(orjson.loads, (await self.backend.records.waiting(Partition(number))).values())
        return rows

    async def _told(self, digest: Digest, now_ms: int) -> bool:
        payload = digest.model_dump(mode="json")
        event = new_event(SUBJECT, SUBJECT, SENDER, digest.key, payload, TimeMs(now_ms))
        await MeshPublisher(self.backend.router, self.backend.partitions).publish(event)
        if self.reader is None:
            return True
        try:
            await self.reader.digest(digest)
        except NotificationFailed as error:
            log.warning("digest_not_told", day=digest.day, questions=len(digest.questions), error=error.message)
            return False
        return True
