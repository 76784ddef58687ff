"""The herald: whoever may approve is told that an approval waits.

Invariants: what is asked is told at least once, under one key per asking, also by a herald that came after; the outcome
is an event and a mark on the wait; a failure closes nothing and approves nothing.
No cursor is kept: an open approval without a mark has not been told of yet.

Source: spec/01 section 5 (A-101).
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
import structlog
from pydantic import JsonValue

from maestro.continuation.mail import Control, Kind, Mail
from maestro.errors import ContinuationAlreadyTerminalError, NotFound, NotificationFailed
from maestro.ids import ContinuationId, MailId, derived_token
from maestro.mesh.event import new_event
from maestro.runtime.alarms import Crier
from maestro.runtime.backend import Backend
from maestro.runtime.digests import Reader
from maestro.runtime.loops import partitions_of
from maestro.runtime.publisher import MeshPublisher

log = structlog.get_logger()

LOOK_MS = 2_000  # how soon people are told; a look is one read of what people are asked, however many sleep
SENDER = "herald"


@dataclass(frozen=True, slots=True)
class Notice:
    """What is told of one approval."""

    key: str
    continuation: str
    behaviour: str
    approval_id: str
    action: str
    arguments: JsonValue
    approvers: tuple[str, ...]
    until_ms: int | None
    on_timeout: str


class Notifier(Reader, Crier, Protocol):
    async def notify(self, notice: Notice) -> None:
        """The approvers are told; told twice under one key is told once, where the way to them allows.

        Raises:
            NotificationFailed: they were not.
        """
        ...


@dataclass(slots=True)
class Herald:
    """Open approvals are told of, each once as far as can be known."""

    backend: Backend
    notifier: Notifier
    look_ms: int = LOOK_MS
    told: int = 0
    failed: int = 0

    async def step(self) -> int:
        for partition in partitions_of(self.backend):
            rows = (await self.backend.records.waiting(partition)).values()
            opened = [orjson.loads(row) for row in rows]
            await asyncio.gather(*(self._tell(notice) for row in opened for notice in untold(row)))
        return self.look_ms

    async def wait(self, pause_ms: int) -> None:
        await asyncio.sleep(pause_ms / 1000)

    async def _tell(self, notice: Notice) -> None:
        try:
            await self.notifier.notify(notice)
        except NotificationFailed as error:
            log.warning("notification_failed", continuation=notice.continuation, approval=notice.approval_id)
            self.failed += 1
            await self._mark(notice, f"failed: {error.message}")
        else:
            self.told += 1
            await self._mark(notice, "told")

    async def _mark(self, notice: Notice, outcome: str) -> None:
        """The outcome is an event, and a mark on the wait that the next commit makes part of the checkpoint."""
        now_ms = await self.backend.clock.now_ms()
        payload: JsonValue = {
            "approval_id": notice.approval_id,
            "outcome": outcome,
            "approvers": list(notice.approvers),
        }
        kind = "notification.told" if outcome == "told" else "notification.failed"
        event = new_event(f"notification.{notice.continuation}", kind, SENDER, notice.key, payload, now_ms)
        await MeshPublisher(self.backend.router, self.backend.partitions).publish(event)
        mark = Mail(
            id=MailId(notice.key),
            kind=Kind.CONTROL,
            sender=SENDER,
            subject=Control.NOTIFIED,
            body={"approval_id": notice.approval_id, "outcome": outcome},
            sent_ms=now_ms,
        )
        try:
            await self.backend.store.deliver(ContinuationId(notice.continuation), mark)
        except (ContinuationAlreadyTerminalError, NotFound):
            return  # it ended meanwhile: there is no wait any more


def untold(row: dict[str, Any]) -> Iterator[Notice]:
    """The approvals in one row of what people are asked that carry no mark yet."""
    for part in row["asked"]:
        if part["type"] == "approval_resolution" and part.get("notified") is None:
            asked = f"{part['approval_id']} {part['opened_ms']} {part['escalated']}"
            yield Notice(
                key=derived_token("notice", row["id"], asked),
                continuation=row["id"],
                behaviour=row["behaviour"],
                approval_id=part["approval_id"],
                action=part["action"],
                arguments=part["arguments"],
                approvers=tuple(part["approvers"]),
                until_ms=part["expires_at_ms"],
                on_timeout=part["on_timeout"],
            )
