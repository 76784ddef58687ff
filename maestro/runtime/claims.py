"""The claim to be the root of an installation: held by one process at a time, numbered, and let go by its lease.

The store knows one claimant per name. Its epoch rises with every one that takes it, so that whoever was overtaken finds
out at its next renewal and ends. From the same site a newer claimant is always right: there the cluster itself sees to
it that the older one is dead, or cut off. From another site it waits until the lease is over.
Not here: what a claimant does when it lost (`actors.claiming`).
"""

from dataclasses import dataclass
from typing import Protocol

from maestro.ids import HolderId, TimeMs


@dataclass(frozen=True, slots=True)
class Claim:
    """Who holds a name, as a claimant was told."""

    granted: bool
    epoch: int
    holder: HolderId
    site: str
    until_ms: TimeMs
    now_ms: TimeMs


class Claims(Protocol):
    async def take(self, name: str, holder: HolderId, site: str, lease_ms: int) -> Claim:
        """The name is the holder's under epoch + 1; refused while another site's lease on it lives."""
        ...

    async def renew(self, name: str, epoch: int, lease_ms: int) -> bool:
        """The lease runs anew; False where a later epoch holds the name: whoever asked has been overtaken."""
        ...

    async def let_go(self, name: str, epoch: int) -> None:
        """The lease is over now, if that epoch still held it."""
        ...
