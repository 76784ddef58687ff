"""The notifier by webhook: one POST per notice or digest, tried a few times, under one key however often.

What is not here: who is told, and what follows from an outcome (maestro.runtime.herald).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import httpx

from maestro.errors import NotificationFailed
from maestro.runtime.alarms import Alarm
from maestro.runtime.attention import Digest
from maestro.runtime.herald import Notice

TIMEOUT_S = 10.0
PAUSES_S = (0.2, 1.0)  # between the tries; a receiver that is away for longer is told of by the mark on the wait


class WebhookNotifier:
    """maestro.runtime.herald.Notifier on an address that takes JSON."""

    def __init__(self, url: str, client: httpx.AsyncClient | None = None, pauses_s: Sequence[float] = PAUSES_S) -> None:
        self._url = url
        self._pauses_s = pauses_s
        self._client = client or httpx.AsyncClient(timeout=TIMEOUT_S)

    async def notify(self, notice: Notice) -> None:
        await self._tell(notice.key, asdict(notice))

    async def digest(self, digest: Digest) -> None:
        await self._tell(digest.key, {"kind": "attention.digest", "key": digest.key, **digest.model_dump(mode="json")})

    async def alarm(self, alarm: Alarm) -> None:
        await self._tell(alarm.key, {"kind": "budget.alert", "text": alarm.text, **alarm.model_dump(mode="json")})

    async def _tell(self, key: str, body: dict[str, Any]) -> None:
        for pause_s in (*self._pauses_s, None):
            problem = await self._post(key, body)
            if problem is None:
                return
            if pause_s is None:
                raise NotificationFailed(f"the webhook did not take it: {problem}", hint="see MAESTRO_NOTIFY_URL")
            await asyncio.sleep(pause_s)

    async def _post(self, key: str, body: dict[str, Any]) -> str | None:
        """None when it was taken, else what went wrong."""
        try:
            answer = await self._client.post(self._url, json=body, headers={"Idempotency-Key": key})
        except httpx.HTTPError as error:
            return f"{type(error).__name__}: {error}"
        return None if answer.is_success else f"HTTP {answer.status_code}"
