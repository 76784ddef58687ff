"""Sweeping: blocks that nothing refers to any more are gone.

Mark and sweep over one partition: every log and every open journal is read, what they refer to stays, and of the rest
whatever has not been put for a day goes. A tick that refers to a block has put it within the hour (see
maestro.tick.blocks), so nothing that is about to be referred to is swept. Running it never harms: `maestro sweep` does,
and no loop, since it reads every log.
"""

from functools import partial

from maestro.continuation.artifact import refs_in
from maestro.continuation.blocks import names_under
from maestro.ids import ContinuationId, Partition, TimeMs
from maestro.runtime.verbs import Installation, records
from maestro.runtime.verification import refs_of
from maestro.tick.blocks import SPARED_MS


async def sweep(at: Installation, partition: Partition) -> int:
    """How many blocks of the partition were referred to by nothing, and are gone.

    Raises:
        IntegrityError: a log is damaged: as long as that is so nothing of its partition is swept.
    """
    before_ms = TimeMs(await at.backend.clock.now_ms() - SPARED_MS)
    old = await at.backend.blocks.names(partition, before_ms)
    if not old:
        return 0
    marked: set[str] = set()
    for cid in await at.backend.records.ids(partition):
        marked |= await _marked(at, cid)
    unmarked = [name for name in old if name not in marked]
    return await at.backend.blocks.drop(partition, unmarked, before_ms)


async def _marked(at: Installation, cid: ContinuationId) -> set[str]:
    noted = [ref for record in await records(at, cid) for ref in refs_of(record)]
    journal = await at.backend.journals.entries(cid)
    intended = [ref for entry in journal for ref in (entry.asked, entry.question, *refs_in(entry.answer))]
    return await names_under([*noted, *intended], partial(at.backend.blocks.get, cid))
