"""The top of the tree: a supervisor that Ray itself restarts, the only one.

Invariants:
- there is one actor named `root`: a second one cannot be made while it lives;
- killed, or failed itself, it is back within a second or two, finds its children by name and leaves them alone;
- it has no parent to fail to: having given up, it raises the alarm in its log, rests, and starts the tree anew.
"""

import asyncio
import os
from functools import partial
from typing import Any

import ray
import structlog
from pydantic import JsonValue

from actors import tree
from actors.children import PENDING_CALLS
from actors.lifecycle import Lifecycle
from actors.names import NAMESPACE, ROOT
from actors.obituary import Obituaries
from actors.supervising import Supervising
from maestro import telemetry
from maestro.errors import InvalidInput
from maestro.ids import new_holder_id
from maestro.supervision import machine
from maestro.supervision.spec import ChildSpec, child_spec

REST_MS = 30_000  # what made the whole tree fail seldom heals faster; a person reads the alarm in the meantime


class RootSupervisor:
    """Supervises the whole tree.

    Args:
        spec: the tree as JSON: a ChildSpec of type supervisor with the id `root`.
        obituary: `module:async_function`, told (incarnation, reason) of every child of the root that ended.
        rest_ms: how long it rests after having given up.
    """

    def __init__(self, *, spec: str, obituary: str | None = None, rest_ms: int = REST_MS) -> None:
        telemetry.configure(process=ROOT)
        self._spec = child_spec(spec)
        self._obituaries = Obituaries(obituary)
        self._rest_ms = rest_ms
        self._life = Lifecycle(new_holder_id(ROOT))  # Ray repeats the arguments at a restart: it names itself
        self._supervising = self._fresh()
        self._life.run(self._supervise_or_die())

    async def ready(self) -> dict[str, JsonValue]:
        await self._supervising.up()
        return self._life.identity()

    async def watch(self) -> None:
        await self._life.ended()

    async def stop(self, reason: str) -> None:
        self._life.stopping.set()
        self._supervising.stop()
        await self._life.ended()

    async def tree(self) -> dict[str, JsonValue]:
        """The whole tree: states, processes, nodes, restarts, last exits."""
        return await tree.whole(self._spec, self._life, self._supervising)

    async def which_children(self) -> list[JsonValue]:
        """Id, incarnation, type and state of every child, in start order."""
        return tree.flat(self._supervising)

    async def start_child(self, spec_json: str) -> None:
        """The child that `spec_json` describes runs, as the last one; a failed start leaves nothing."""
        await self._supervising.ask(partial(machine.start_child, spec=child_spec(spec_json)))

    async def terminate_child(self, child_id: str) -> None:
        """The child is stopped and stays so."""
        await self._supervising.ask(partial(machine.terminate_child, child_id=child_id))

    async def _supervise_or_die(self) -> None:
        try:
            await self._supervise()
        except Exception as error:  # noqa: BLE001 - whatever failed, a root that does not supervise must not live on
            telemetry.dying("the root has failed; Ray restarts it, and it finds its children", error=repr(error))
            os._exit(os.EX_SOFTWARE)  # only the death of its process makes Ray restart it

    async def _supervise(self) -> None:
        while (reason := await self._supervising.run()) is not None:
            structlog.get_logger().critical("the whole tree has failed", reason=reason, again_in_ms=self._rest_ms)
            try:
                async with asyncio.timeout(self._rest_ms / 1000):
                    await self._life.stopping.wait()
                return
            except TimeoutError:
                self._supervising = self._fresh()

    def _fresh(self) -> Supervising:
        return Supervising(ROOT, self._spec, self._obituaries)


def plant(spec: ChildSpec, obituary: str | None = None, rest_ms: int = REST_MS) -> Any:
    """The living root of this cluster, made from `spec` where there is none; the caller awaits its `ready()`.

    Raises:
        InvalidInput: `spec` is not that of a root.
    """
    if spec.id != ROOT or spec.type != "supervisor":
        raise InvalidInput(f"{spec.type} {spec.id!r} is no root", field="id", hint="use type supervisor and id root")
    actor_class: Any = ray.remote(RootSupervisor)
    handle: Any = actor_class.options(
        name=ROOT,
        namespace=NAMESPACE,
        lifetime="detached",
        get_if_exists=True,
        max_restarts=-1,
        max_task_retries=0,
        max_concurrency=PENDING_CALLS,
        num_cpus=0,
    ).remote(spec=spec.model_dump_json(exclude_defaults=True), obituary=obituary, rest_ms=rest_ms)
    return handle


async def uproot(root: Any) -> None:
    """The whole tree has ended in order, and the root with it."""
    await root.stop.remote("shutdown")
    await asyncio.to_thread(ray.kill, root, no_restart=True)
