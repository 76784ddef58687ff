"""Trying again what was held for want of code: the other half of a deployment, after the code is there."""

import asyncio

from maestro.continuation.lifecycle import WANTS_CODE
from maestro.continuation.mail import Control
from maestro.errors import ContinuationAlreadyTerminalError
from maestro.ids import ContinuationId
from maestro.runtime.verbs import Installation, checkpoint_of, glance_of, order, partitions
from maestro.tick.behaviour import Repertoire

AT_ONCE = 100  # orders on their way together


async def try_held_again(at: Installation, known: Repertoire) -> int:
    """Who is held for want of code, and whose behaviour is known now, is thawed; returns how many.

    One whose migration still fails is held again, as it was.
    """
    thawed = 0
    for partition in partitions(at):
        asked = list(await at.backend.records.waiting(partition))
        for first in range(0, len(asked), AT_ONCE):
            tried = await asyncio.gather(*(_try_again(at, known, cid) for cid in asked[first : first + AT_ONCE]))
            thawed += sum(tried)
    return thawed


async def _try_again(at: Installation, known: Repertoire, cid: ContinuationId) -> bool:
    glance = await glance_of(at, cid)
    if glance.hold not in WANTS_CODE or (await checkpoint_of(at, cid)).behaviour not in known:
        return False
    try:
        await order(at, cid, Control.THAW)
    except ContinuationAlreadyTerminalError:  # somebody ended it between the look and the order
        return False
    return True
