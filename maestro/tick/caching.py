"""Results that are there already: one call for all who ask the same, wherever they run.

The key is the SHA-256 of tenant, tool, version and canonical arguments. Whoever finds no result claims to fetch it; who
finds a claim waits for it, and takes it over when its holder is gone.
Invariants: only what succeeded is kept, and only of tools that say so; tenants share nothing.

Source: spec/04 section 7 (F-34).
"""

import asyncio
from collections.abc import Awaitable, Callable

import orjson
from pydantic import JsonValue

from maestro.errors import ToolError
from maestro.tools.calls import MAX_CACHED_BYTES, ToolRecords
from maestro.tools.spec import Tool, input_hash

FIRST_LOOK_S, LAST_LOOK_S = 0.02, 0.5  # how often who waits for another looks again
GRACE_MS = 5_000  # beyond the tool's own timeout: to start its worker, and to tell

Arguments = dict[str, JsonValue]


class Cache:
    """The cache as the ticks of one tenant use it."""

    def __init__(self, records: ToolRecords, tenant: str) -> None:
        self._records = records
        self._tenant = tenant

    async def through(
        self, tool: Tool, arguments: Arguments, holder: str, run: Callable[[Arguments], Awaitable[JsonValue]]
    ) -> tuple[JsonValue, bool]:
        """The result, and whether somebody else had fetched it."""
        spec = tool.spec
        if not spec.cacheable:
            return await run(arguments), False
        key = input_hash(self._tenant, spec, arguments)
        lease_ms = int(spec.timeout_s * 1000) + GRACE_MS
        known = await self._claimed(key, holder, lease_ms)
        if known is not None:
            return orjson.loads(known), True
        try:
            result = await run(arguments)
        except (ToolError, asyncio.CancelledError):
            await self._records.let_go(key, holder)
            raise
        value = orjson.dumps(result)
        if len(value) > MAX_CACHED_BYTES:
            await self._records.let_go(key, holder)
        else:
            await self._records.keep(key, holder, value, int(spec.cache_ttl_s * 1000))
        return result, False

    async def _claimed(self, key: str, holder: str, lease_ms: int) -> bytes | None:
        """The result that is there, or will be soon; None where the claim to fetch it is now the holder's."""
        look, pause_s = await self._records.look(key, holder, lease_ms), FIRST_LOOK_S
        while look.state == "busy":
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LAST_LOOK_S)
            look = await self._records.look(key, holder, lease_ms, waited=True)
        return look.value if look.state == "hit" else None
