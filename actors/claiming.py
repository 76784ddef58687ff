"""The root's claim in the store: of two roots of one installation one supervises, and the other ends.

Ray keeps the name `root` once in a cluster; this keeps it once among clusters that share a store: one of another
machine, or one whose head was lost and whose processes live on. Who was overtaken finds out within a third of a lease.

Invariant: without the store nobody is overtaken, so that a root outlives its store.
Not here: how the root ends (`actors.root`).
"""

import asyncio
import importlib
import socket
from typing import Protocol

import structlog

from actors.names import ROOT
from actors.reporting import settings_left
from maestro import bootstrap
from maestro.errors import ClusterError, MaestroError, StoreError, StoreUnavailable
from maestro.ids import HolderId
from maestro.runtime.backend import Backend
from maestro.settings import Settings

STORE_CLAIM = "actors.claiming:StoreClaim"
AGAIN_S = 1.0
MARGIN_MS = 50  # beyond the end of a lease, so that the next look finds it over

log = structlog.get_logger()


class ClaimLost(ClusterError):
    """Another root supervises this installation."""

    code = "claim_lost"


class RootClaim(Protocol):
    """What a root asks before it starts anything; made with the incarnation of the root."""

    async def take(self) -> None:
        """The claim is ours.

        Raises:
            ClaimLost: another root holds it, and lives.
        """
        ...

    async def keep(self) -> None:
        """Never returns.

        Raises:
            ClaimLost: a later root took it.
        """
        ...

    async def let_go(self) -> None:
        """The next root need not wait."""
        ...


class NoClaim:
    """For a tree without a store: nobody else could be there."""

    async def take(self) -> None:
        """Nothing to ask."""

    async def keep(self) -> None:
        await asyncio.Event().wait()

    async def let_go(self) -> None:
        """Nothing to let go."""


class StoreClaim:
    """The claim of the installation whose settings lie in this cluster."""

    def __init__(self, incarnation: HolderId) -> None:
        self._incarnation = incarnation
        self._epoch = 0
        self._backend: Backend | None = None
        self._lease_ms = 0

    async def take(self) -> None:
        settings = Settings.from_json(await asyncio.to_thread(settings_left))
        self._backend, self._lease_ms = await _opened(settings), settings.lease_ms
        seen_until_ms = None
        while True:
            claim = await self._backend.claims.take(ROOT, self._incarnation, self.site(settings), self._lease_ms)
            if claim.granted:
                self._epoch = claim.epoch
                log.info("root claim taken", epoch=claim.epoch)
                return
            if seen_until_ms is not None and claim.until_ms > seen_until_ms:  # somebody renewed it: that one lives
                raise ClaimLost(
                    f"{claim.holder} at {claim.site} supervises this installation (claim {claim.epoch})",
                    hint="`maestro down` there, or use another store",
                )
            seen_until_ms = claim.until_ms
            log.warning("root claim is held", by=claim.holder, site=claim.site, epoch=claim.epoch)
            await asyncio.sleep((claim.until_ms - claim.now_ms + MARGIN_MS) / 1000)

    async def keep(self) -> None:
        while True:
            await asyncio.sleep(self._lease_ms / 3000)
            try:
                held = self._backend is None or await self._backend.claims.renew(ROOT, self._epoch, self._lease_ms)
            except StoreError as error:
                log.warning("root claim not renewed", error=repr(error))
                continue
            if not held:
                raise ClaimLost(f"claim {self._epoch} was overtaken by a later root")

    @staticmethod
    def site(settings: Settings) -> str:
        """Where the processes of this installation run; one cluster per site."""
        return settings.ray_address or f"{socket.gethostname()}:{settings.home}"

    async def let_go(self) -> None:
        backend, self._backend = self._backend, None  # first: nothing renews it any more
        if backend is None:
            return
        try:
            await backend.claims.let_go(ROOT, self._epoch)
            await backend.close()
        except MaestroError as error:
            log.warning("root claim not let go: its lease runs out", error=repr(error))


async def _opened(settings: Settings) -> Backend:
    """The store, as soon as it answers."""
    while True:
        try:
            return await bootstrap.open_store(settings)
        except StoreUnavailable as error:
            log.warning("the root waits for the store", error=str(error), again_in_s=AGAIN_S)
        await asyncio.sleep(AGAIN_S)


def root_claim(path: str | None, incarnation: HolderId) -> RootClaim:
    """What `module:Class` names, made for that root; None claims nothing."""
    if path is None:
        return NoClaim()
    module, _, name = path.partition(":")
    claim: RootClaim = getattr(importlib.import_module(module), name)(incarnation)
    return claim
