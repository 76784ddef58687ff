"""Waiting, a little, until a field has what was told before it is read.

Invariants: whoever reads waits no longer than he said; a field that has not come so far by then is read as it is, and
says so. Nobody waits on the way to a wake: it is the first reading of a tick that may.

Source: spec/03 section 4 "freshness".
"""

import asyncio

from maestro.field.shelf import Mark, Shelf
from maestro.ids import ContinuationId

LOOK_MS = 5


async def fresh(shelf: Shelf, cid: ContinuationId, wait_ms: int) -> Mark:
    """How far the field has come, after `wait_ms` at most for what was told by now."""
    first = mark = await shelf.mark(cid)
    if wait_ms <= 0 or first.has_all_of(first):
        return mark
    if first.looked is not None and first.looked < first.told:
        await shelf.ask(cid)
    until = asyncio.get_running_loop().time() + wait_ms / 1000
    while not mark.has_all_of(first) and asyncio.get_running_loop().time() < until:
        await asyncio.sleep(LOOK_MS / 1000)
        mark = await shelf.mark(cid)
    return mark
