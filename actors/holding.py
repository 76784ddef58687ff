"""The place of an actor of a pool, such as `pool/default/2`: the latest process that took it has it.

A supervisor ends whom it replaces, and Ray's name table knows one bearer of a name. Both can be wrong: a control store
that was restarted forgets a process that lives on (PROMISES F27). So each takes a numbered claim to its place in the
store, and whoever finds a later one there ends itself.

Invariants: it is asked once a lease whether the place is still its own; without the store nobody is overtaken.
Not here: what it holds. A lease that ran out, or was taken, costs it that continuation and no more
(`maestro.runtime.host`): a store that stood still for a while must not end a whole pool.
"""

import asyncio

import structlog

from maestro.errors import StoreError
from maestro.ids import HolderId
from maestro.runtime.claims import Claims

EXIT_OVERTAKEN = 73
_ONE_SITE = "pools"  # of two who claim a place the later one is right, wherever it runs

log = structlog.get_logger()


class Held:
    """One process in one place."""

    def __init__(self, claims: Claims, incarnation: HolderId, lease_ms: int) -> None:
        self._claims = claims
        self._incarnation = incarnation
        self._place = incarnation.partition("#")[0]
        self._lease_ms = lease_ms
        self._epoch = 0

    async def take(self) -> None:
        """The place is this process', and whoever had it before finds out."""
        claim = await self._claims.take(self._place, self._incarnation, _ONE_SITE, self._lease_ms)
        self._epoch = claim.epoch

    async def lost(self) -> None:
        """Returns when a later process has taken the place."""
        while True:
            await asyncio.sleep(self._lease_ms / 1000)
            try:
                if not await self._claims.renew(self._place, self._epoch, self._lease_ms):
                    return
            except StoreError as error:
                log.warning("place not looked at", place=self._place, error=repr(error))
