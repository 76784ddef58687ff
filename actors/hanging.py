"""Children that hang: asked whether they are there, and ended with their process where they say nothing for too long.

Ray restarts what dies and does not notice what stands still (PROMISES R3): a stopped process, an endless loop, a call
into C that never returns. A supervisor asks each of its children every few seconds; who does not answer in time gets
kill -9, by pid, on its node. The death is then seen as any other.

Not here: the root, which has no supervisor (`actors.root_watch`), what follows from a death (`actors.wards`), the
watchdog that an actor of a pool carries itself (`actors.watchdog`).
"""

import asyncio
import os
import signal

import psutil
import ray
import structlog
from ray.exceptions import RayActorError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.children import Living
from actors.exits import unreachable_only

ASKS = 3  # questions in the time that a child has to answer one
KILL_S = 10.0  # for a task on another node; one that is cut off has nothing to be ended any more

log = structlog.get_logger()


async def end_if_it_hangs(living: Living, hung_after_ms: int) -> None:
    """Returns when the child did not answer for `hung_after_ms`, and its process got kill -9; or it ended by itself."""
    while True:
        await asyncio.sleep(hung_after_ms / 1000 / ASKS)
        try:
            async with asyncio.timeout(hung_after_ms / 1000):
                await living.handle.ready.remote()
        except TimeoutError:
            break
        except RayActorError as error:
            if not unreachable_only(error):  # it is gone: its watch tells
                return
        except RayError:
            continue  # an answer all the same
    log.error("child hangs: kill -9", child=living.spec.id, pid=living.pid, node=living.node, silent_ms=hung_after_ms)
    await end_process(living.pid, living.node, living.spec.id)


async def end_process(pid: int, node: str, name: str) -> None:
    """The worker of that pid on that node got kill -9, where the node can be reached."""
    if node == ray.get_runtime_context().get_node_id():
        kill_worker(pid)
        return
    there = NodeAffinitySchedulingStrategy(node, soft=False)
    task = ray.remote(kill_worker).options(num_cpus=0, max_retries=0, scheduling_strategy=there)
    try:
        async with asyncio.timeout(KILL_S):
            await task.remote(pid)
    except (TimeoutError, RayError) as error:
        log.warning("hung process not killed", actor=name, pid=pid, error=repr(error))


def kill_worker(pid: int) -> None:
    """The process got kill -9, if it is a worker of Ray's: a pid may be another's by now."""
    try:
        if psutil.Process(pid).cmdline()[0].startswith("ray::"):
            os.kill(pid, signal.SIGKILL)
    except (psutil.Error, ProcessLookupError, IndexError):
        return
