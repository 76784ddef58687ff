"""Minding the root: asked whether it is there, and ended with its process where it says nothing for too long.

Every other supervisor is asked by its own (`actors.hanging`); above the root there is only Ray, which brings back what
died and does not notice what stands still (PROMISES R3). Its process is told by Ray's own table of actors, so that a
root that never said a word can be ended too. Once it is dead, Ray starts it again, and it finds its tree.
"""

import asyncio
from typing import Any

import ray
from ray._private.state import state as ray_state
from ray.exceptions import RayError

from actors.hanging import ASKS, end_process, log
from actors.names import NAMESPACE, ROOT


async def mind_root(hung_after_ms: int) -> None:
    """Never returns; a root that does not answer for `hung_after_ms` gets kill -9, by pid."""
    while True:
        await asyncio.sleep(hung_after_ms / 1000 / ASKS)
        try:
            root: Any = await asyncio.to_thread(ray.get_actor, ROOT, NAMESPACE)
        except ValueError:  # on its way back, or stopped for good
            continue
        try:
            async with asyncio.timeout(hung_after_ms / 1000):
                await root.count_children.remote()
        except TimeoutError:
            await _end(root, hung_after_ms)
        except RayError:
            continue  # an answer, or a death that Ray has seen


async def _end(root: Any, silent_ms: int) -> None:
    told = await asyncio.to_thread(_told, root._actor_id.hex())  # noqa: SLF001 - a handle says it in no other way
    if told is None:
        return
    pid, node = told
    log.critical("the root hangs: kill -9", pid=pid, node=node, silent_ms=silent_ms)
    await end_process(pid, node, ROOT)


def _told(actor_id: str) -> tuple[int, str] | None:
    """The process of that actor and its node, as Ray's table has them."""
    row: dict[str, Any] = ray_state.actor_table(actor_id)
    return (int(row["Pid"]), str(row["Address"]["NodeID"])) if row else None
