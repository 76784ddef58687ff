"""The supervisor tree of an installation, as one value.

    root                                                  one_for_one
    ├─ system   one_for_one    timekeeper · relay · reaper · projector · warehouse (· herald)
    ├─ node-keeper             empties nodes that are drained
    ├─ kernel-keeper           has Serve run the context kernel, where that is on
    ├─ pane-keeper             has Serve host the HTTP API and the pane, where they are on
    ├─ pager                   the only process with litellm and the providers' keys
    ├─ pools    one_for_one    pool/<name>/n, continuation/<id> (dedicated), placer, pool-keeper
    ├─ sources  one_for_one    source-keeper, source/<name>
    └─ own      one_for_one    actors of your own, where there are any (actors.supervised)

Not here: how a tree is started (actors.root) and what a restart is (maestro.supervision).
"""

from pydantic import JsonValue

from actors.loops import LOOP_ACTOR
from actors.names import (
    HERALD,
    KERNEL_KEEPER,
    NODE_KEEPER,
    PAGER,
    PANE_KEEPER,
    PLACER,
    POOL_KEEPER,
    PROJECTOR,
    REAPER,
    RELAY,
    ROOT,
    SOURCE_KEEPER,
    TIMEKEEPER,
    WAREHOUSE,
    pool_actor,
)
from actors.node_keeper import NODE_KEEPER_ACTOR
from actors.pager import PAGER as PAGER_ACTOR
from actors.placing import PLACER_ACTOR
from actors.pool_keeper import POOL_KEEPER_ACTOR, member
from actors.reporting import REPORT
from actors.source_keeper import SOURCE_KEEPER_ACTOR
from actors.supervised import own_specs, own_supervisor
from actors.supervisor import SUPERVISOR
from maestro.settings import Settings
from maestro.supervision.spec import ChildSpec, Intensity, Pace

KERNEL_KEEPER_ACTOR = "actors.kernel_keeper:KernelKeeperActor"  # by name: Serve is imported only where it is on
KERNEL_APP = "serve_apps.context_kernel:build"
PANE_KEEPER_ACTOR = "actors.pane_keeper:PaneKeeperActor"
PANE_APP = "serve_apps.api:build"
MASS_DEATH = Intensity(max_restarts=1_000, max_seconds=60)  # a lost node ends a whole pool at once: no crash loop
OFTEN = Intensity(max_restarts=10, max_seconds=60)
PACE = Pace(at_once=8, per_second=20)  # a start is 0.6 s of a core here: more at once only make each other late


def tree(settings: Settings) -> ChildSpec:
    """The root with everything below it."""
    text = settings.to_json()
    return ChildSpec(
        id=ROOT,
        start="actors.root:RootSupervisor",
        type="supervisor",
        intensity=OFTEN,
        starts_together=True,
        children=(
            _system(settings, text),
            _nodes(text),
            *_kernel(settings, text),
            *_pane(settings, text),
            _pager(text),
            _pools(settings, text),
            _sources(text),
            *_own(settings),
        ),
    )


def _system(settings: Settings, text: str) -> ChildSpec:
    roles = (TIMEKEEPER, RELAY, REAPER, PROJECTOR, WAREHOUSE, *((HERALD,) if settings.notify_url else ()))
    loops = tuple(ChildSpec(id=role, start=LOOP_ACTOR, args={"settings": text, "role": role}) for role in roles)
    return ChildSpec(
        id="system", start=SUPERVISOR, type="supervisor", intensity=OFTEN, starts_together=True, children=loops
    )


def _pager(text: str) -> ChildSpec:
    return ChildSpec(id=PAGER, start=PAGER_ACTOR, args={"settings": text})


def _nodes(text: str) -> ChildSpec:
    return ChildSpec(id=NODE_KEEPER, start=NODE_KEEPER_ACTOR, args={"settings": text})


def _kernel(settings: Settings, text: str) -> tuple[ChildSpec, ...]:
    spec = ChildSpec(id=KERNEL_KEEPER, start=KERNEL_KEEPER_ACTOR, args={"settings": text, "app": KERNEL_APP})
    return (spec,) if settings.kernel == "serve" else ()


def _pane(settings: Settings, text: str) -> tuple[ChildSpec, ...]:
    spec = ChildSpec(id=PANE_KEEPER, start=PANE_KEEPER_ACTOR, args={"settings": text, "app": PANE_APP})
    return (spec,) if settings.pane == "serve" else ()


def _pools(settings: Settings, text: str) -> ChildSpec:
    told: dict[str, JsonValue] = {"settings": text, "supervisor": "supervisor/pools"}
    warm = [
        member(name, pool, pool_actor(name, place), text)
        for name, pool in settings.all_pools.items()
        for place in range(1, pool.min + 1)
    ]
    placer = ChildSpec(id=PLACER, start=PLACER_ACTOR, args=told)
    keeper = ChildSpec(id=POOL_KEEPER, start=POOL_KEEPER_ACTOR, args=told)
    return ChildSpec(
        id="pools",
        start=SUPERVISOR,
        type="supervisor",
        args={"obituary": REPORT},
        intensity=MASS_DEATH,
        pace=PACE,
        starts_together=True,
        children=(*warm, placer, keeper),
    )


def _sources(text: str) -> ChildSpec:
    args: dict[str, JsonValue] = {"settings": text, "supervisor": "supervisor/sources"}
    keeper = ChildSpec(id=SOURCE_KEEPER, start=SOURCE_KEEPER_ACTOR, args=args)
    return ChildSpec(
        id="sources", start=SUPERVISOR, type="supervisor", intensity=MASS_DEATH, pace=PACE, children=(keeper,)
    )


def _own(settings: Settings) -> tuple[ChildSpec, ...]:
    specs = own_specs(settings.supervised)
    return (own_supervisor(specs),) if specs else ()
