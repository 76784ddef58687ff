"""What is remembered of a store outside it, and what is done when the store has forgotten more than that.

A store that was emptied, exchanged, or restored from an old backup answers as if nothing had happened. So which one it
was and how far it had come is kept beside it, and compared at every look (one a second) and at every start.

Invariants: nothing that was remembered is overwritten by less, but for an incarnation that somebody began knowingly;
nobody goes on with an older store unasked, but for the second that `everysec` may lose; whoever held something in what
was lost is fenced for good.
Source: PROMISES 0b.10, P3, F3, F8, F9.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

import orjson
import structlog

from maestro.errors import StoreWentBack
from maestro.runtime.identity import WHAT_TO_DO, Identity, Standing

log = structlog.get_logger()

EVERYSEC_LOSES_MS = 2_000  # a second, two when the disk stalls (PROMISES P1)
NOTE = "the store went back: what this tick did outside may be done twice"

Kind = Literal["empty", "another", "older", "second"]


@dataclass(frozen=True, slots=True)
class Loss:
    """What a store does not know any more."""

    kind: Kind
    """`second`: at most what `everysec` may lose when the power goes; everything goes on unasked."""
    from_ms: int
    to_ms: int
    commits: int
    """So many at least."""

    def text(self) -> str:
        match self.kind:
            case "empty":
                return f"the store is empty; {self.commits} commits were seen in it"
            case "another":
                return f"another store answers; in the one that was here, {self.commits} commits were seen"
            case "older":
                return f"the store went back: {self.commits} commits or more are gone that were acknowledged"
            case "second":
                return "the store was started anew; with fsync everysec its last second may be lost"


class Marks(Protocol):
    """Where it is remembered: outside the store."""

    def read(self) -> Standing | None: ...

    def keep(self, standing: Standing) -> None: ...


def judge(mark: Standing, found: Standing, everysec: bool) -> Loss | None:
    """What is lost of what `mark` remembers; None when nothing need be."""
    behind = found.writes < mark.writes or found.told_ms < mark.told_ms
    lost = (min(found.told_ms, mark.told_ms), mark.told_ms, max(0, mark.committed - found.committed))
    if found.store is None:
        return Loss("empty", 0, mark.told_ms, mark.committed)
    if found.store != mark.store:
        return Loss("another", 0, mark.told_ms, mark.committed)
    if found.incarnation > mark.incarnation and not found.shut:
        return None  # begun by somebody who knew
    if found.shut or found.incarnation < mark.incarnation:
        return Loss("older", *lost)
    if everysec and found.server != mark.server and mark.told_ms - found.told_ms <= EVERYSEC_LOSES_MS:
        return Loss("second", *lost)
    return Loss("older", *lost) if behind else None


@dataclass(frozen=True, slots=True)
class Landmarks:
    """Looks at a store and at what is remembered of it."""

    identity: Identity
    marks: Marks
    everysec: bool = False

    async def look(self, accept: bool = False) -> Loss | None:
        """What is remembered is what is there; returns the loss with which a new incarnation began, if one did.

        Args:
            accept: a person goes on with what there is, whatever is lost.

        Raises:
            StoreWentBack: more is lost than may be without being asked; nobody can write from now on.
        """
        mark = self.marks.read()
        found = await self.identity.read()
        loss = None if mark is None else judge(mark, found, self.everysec)
        if mark is None or loss is None:
            if found.store is not None and found != mark:
                self.marks.keep(found)
            return None
        if loss.kind != "second" and not accept:
            if loss.kind == "older":
                await self.identity.shut()
            raise StoreWentBack(loss.text(), hint=WHAT_TO_DO, loss=loss.kind)
        await self._go_on(mark, found, loss)
        return loss

    async def _go_on(self, mark: Standing, found: Standing, loss: Loss) -> None:
        incarnation = max(mark.incarnation, found.incarnation) + 1
        told = {"loss": loss.kind, "from_ms": loss.from_ms, "to_ms": loss.to_ms, "commits": loss.commits}
        fact = orjson.dumps({"type": "store_went_back", "incarnation": incarnation, "effects": "maybe_twice", **told})
        store = found.store or mark.store or ""
        handed_back = await self.identity.incarnate(store, incarnation, NOTE, fact)
        log.warning("store_went_back", incarnation=incarnation, handed_back=handed_back, text=loss.text(), **told)
        self.marks.keep(await self.identity.read())


async def check_not_older(mark: Standing | None, identity: Identity, everysec: bool) -> None:
    """The store knows all that is remembered of it, up to the second that `everysec` may lose.

    Raises:
        StoreWentBack: it does not.
    """
    loss = None if mark is None else judge(mark, await identity.read(), everysec)
    if loss is not None and loss.kind != "second":
        raise StoreWentBack(loss.text(), hint=WHAT_TO_DO, loss=loss.kind)
