"""The port Notices on Redis: one sorted set of targets by the end of their cooldown, in the first partition."""

from collections.abc import Sequence

from maestro.adapters.redis.store import Keys
from maestro.ids import Partition
from maestro.pager.notices import Notice


class RedisNotices:
    """maestro.pager.notices.Notices on Redis."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    async def read(self, targets: Sequence[str]) -> Notice:
        braked, *left_ms = await self._ask(0, *targets)
        return Notice(bool(braked), dict(zip(targets, left_ms, strict=True)))

    async def cool(self, target: str, span_ms: int) -> None:
        await self._ask(span_ms, target)

    async def _ask(self, span_ms: int, *targets: str) -> list[int]:
        reply = await self._keys.wire.script("notices", self._keys.partition(Partition(0)), span_ms, *targets)
        return [int(number) for number in reply]
