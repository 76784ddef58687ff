"""The top of the tree: a supervisor that Ray itself restarts, the only one.

Invariants:
- there is one actor named `root`: a second one cannot be made while it lives, and in another cluster of the same store
  it loses the claim and ends;
- killed, or failed itself, it is back within a second or two, finds its children by name and leaves them alone;
- what its predecessors left is mended before anything is started: what cannot be in a tree is set aside;
- it has no parent to fail to: having given up, it raises the alarm in its log and its tree, rests, and starts anew.
"""

import asyncio
import os
import time
from collections.abc import Sequence
from typing import Any

import ray
import structlog
from pydantic import JsonValue

from actors import rosters
from actors.administered import Administered
from actors.children import PENDING_CALLS
from actors.claiming import ClaimLost, root_claim
from actors.lifecycle import Lifecycle
from actors.names import NAMESPACE, ROOT
from actors.obituary import Obituaries
from actors.supervising import Supervising
from maestro import telemetry
from maestro.errors import InvalidInput
from maestro.ids import new_holder_id
from maestro.supervision.roster import Spoilt
from maestro.supervision.spec import ChildSpec, child_spec

REST_MS = 30_000  # what made the whole tree fail seldom heals faster; a person reads the alarm in the meantime
FAREWELL_S = 1.0  # whoever waits for a root that lost its claim hears why, before it is gone


class RootSupervisor(Administered):
    """Supervises the whole tree.

    Args:
        spec: the tree as JSON: a ChildSpec of type supervisor with the id `root`.
        obituary: `module:async_function`, told (incarnation, reason) of every child of the root that ended.
        rest_ms: how long it rests after having given up.
        claim: `module:Class`, a RootClaim that it takes before it starts anything.
    """

    def __init__(
        self, *, spec: str, obituary: str | None = None, rest_ms: int = REST_MS, claim: str | None = None
    ) -> None:
        telemetry.configure(process=ROOT)
        self._spec = child_spec(spec)
        self._obituaries = Obituaries(obituary)
        self._rest_ms = rest_ms
        self._life = Lifecycle(new_holder_id(ROOT))  # Ray repeats the arguments at a restart: it names itself
        self._claim = root_claim(claim, self._life.incarnation)
        self._supervising = self._fresh()
        self._spoilt: Sequence[Spoilt] = ()
        self._alarm: JsonValue = None
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
        """The whole tree, the last alarm, and what was set aside at its start."""
        spoilt: list[JsonValue] = [{"supervisor": s.supervisor, "entry": s.entry, "why": s.why} for s in self._spoilt]
        return {**await super().tree(), "alarm": self._alarm, "set_aside": spoilt}

    async def _supervise_or_die(self) -> None:
        try:
            await self._claim.take()
            self._life.run(self._keep_claim(), vital=False)
            self._spoilt = await rosters.mend(self._spec)
            await self._supervise()
            await self._claim.let_go()
        except ClaimLost as lost:
            await self._leave(lost)
        except Exception as error:  # noqa: BLE001 - whatever failed, a root that does not supervise must not live on
            telemetry.dying("the root has failed; Ray restarts it, and it finds its children", error=repr(error))
            os._exit(os.EX_SOFTWARE)  # only the death of its process makes Ray restart it

    async def _supervise(self) -> None:
        while (reason := await self._supervising.run()) is not None:
            structlog.get_logger().critical("the whole tree has failed", reason=reason, again_in_ms=self._rest_ms)
            self._alarm = {"reason": reason, "at_ms": time.time_ns() // 1_000_000}
            try:
                async with asyncio.timeout(self._rest_ms / 1000):
                    await self._life.stopping.wait()
                return
            except TimeoutError:
                self._supervising = self._fresh()

    async def _keep_claim(self) -> None:
        try:
            await self._claim.keep()
        except ClaimLost as lost:
            structlog.get_logger().critical("another root supervises now: this tree ends", reason=str(lost))
            self._life.stopping.set()
            self._supervising.stop()
            await self._leave(lost)

    async def _leave(self, lost: ClaimLost) -> None:
        """The tree below is gone, whoever waits knows why, and Ray does not start this root again."""
        self._supervising.refuse(lost)
        await self._supervising.gone()
        telemetry.dying("the root has lost its claim", error=str(lost))
        await asyncio.sleep(FAREWELL_S)
        await asyncio.to_thread(ray.kill, ray.get_runtime_context().current_actor, no_restart=True)

    def _fresh(self) -> Supervising:
        return Supervising(ROOT, self._spec, self._obituaries)


def plant(spec: ChildSpec, obituary: str | None = None, rest_ms: int = REST_MS, claim: str | None = None) -> Any:
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
    ).remote(spec=spec.model_dump_json(exclude_defaults=True), obituary=obituary, rest_ms=rest_ms, claim=claim)
    return handle


async def uproot(root: Any) -> None:
    """The whole tree has ended in order, and the root with it."""
    await root.stop.remote("shutdown")
    await asyncio.to_thread(ray.kill, root, no_restart=True)
