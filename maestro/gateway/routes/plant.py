"""The installation: its pools, nodes, sources and queues; what was spent; and whether the API itself is well."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import JsonValue

from maestro.errors import InvalidInput, MaestroError
from maestro.gateway.gate import Gate, Gated, Looker
from maestro.gateway.problems import NotAllowed, NotReady
from maestro.gateway.shapes import CostKey, Counts
from maestro.gateway.tidings import CostRow, Costs, Health, NodeSeen, PoolSeen, SourceSeen, System
from maestro.gateway.wishes import Filter
from maestro.mesh.account import account_of
from maestro.mesh.source import SourceRecord
from maestro.runtime import residence
from maestro.runtime.artifacts import room_used
from maestro.runtime.capacity import counted, pools_told, room_of

router = APIRouter(tags=["plant"])
DEPTHS = ("awake", "timers", "outbox", "projections", "waiting", "dead_letters", "leases", "events", "continuations")
TOTALS = (
    "created",
    "committed",
    "adopted",
    "fenced",
    "reclaimed",
    "published",
    "matched",
    "timers_fired",
    "incarnations",
)
AGE, MOST_ROWS = "ready_age_ms:", 2_000
COST_KEYS = frozenset(CostKey.__args__)  # type: ignore[attr-defined]  # of a Literal


@router.get("/v1/system")
async def system(gate: Gated, asker: Looker) -> System:
    """What `maestro status` tells."""
    counts = await counted(gate.at.backend)
    plant = await _plant(gate)
    lateness = plant.get("lateness_ms")
    return System(
        now_ms=await gate.at.backend.clock.now_ms(),
        frozen=(await gate.at.backend.notices.read([])).braked,
        counts=(await gate.directory.counted(Filter(), asker.subtree))[0],
        depths={name: counts.get(name, 0) for name in DEPTHS},
        totals={name: counts.get(name, 0) for name in TOTALS},
        mesh=account_of(counts).told(),
        artifacts=(await room_used(gate.at.backend)).told(),
        pools=_pools(counts),
        nodes=await _nodes(gate),
        sources=[_source(record) for record in await gate.at.backend.sources.list()],
        supervisors=plant.get("supervisors"),
        lateness_ms=lateness if isinstance(lateness, int) else None,
        presence=sorted(name for name, n in gate.present.items() if n),
    )


@router.get("/v1/costs")
async def costs(gate: Gated, asker: Looker, by: Annotated[str, Query(max_length=200)] = "behaviour,tier") -> Costs:
    """What was spent, summed, and held against the ledgers."""
    keys = list(dict.fromkeys(key.strip() for key in by.split(",")))
    for key in keys:
        if key not in COST_KEYS:
            told = f"cannot sum by {key[:40]!r}"
            raise InvalidInput(told, field="by", hint=f"use one or more of {', '.join(sorted(COST_KEYS))}")
    if asker.subtree is not None:
        raise NotAllowed("a token with a subtree sees no sums of all", field="subtree", hint="see its `budget`")
    rows = [] if gate.spending is None else await gate.spending.by(keys)
    items = [_cost(keys, row) for row in rows]
    total, ledgers = sum(item.usd_micros for item in items), gate.directory.spent_usd_micros
    sums = {"total_usd_micros": total, "ledger_usd_micros": ledgers, "open_usd_micros": ledgers - total}
    left_out = max(0, len(items) - MOST_ROWS)
    return Costs(by=keys, items=items[:MOST_ROWS], left_out=left_out, **sums)  # type: ignore[arg-type]  # looked at


@router.get("/healthz")
async def healthz() -> Health:
    """The process answers."""
    return Health(ok=True)


@router.get("/readyz", responses={503: {"model": Health}})
async def readyz(gate: Gated, response: Response) -> Health:
    """The store answers, and the lists are whole."""
    try:
        await gate.at.backend.clock.now_ms()
        gate.whole()
    except (MaestroError, NotReady) as error:
        response.status_code = 503
        return Health(ok=False, detail=error.message)
    return Health(ok=True)


@router.get("/metrics", response_class=Response)
async def metrics(gate: Gated) -> Response:
    """Gauges of the API's own process, as Prometheus reads them; nothing of anybody's work."""
    counts: Mapping[str, int] = gate.directory.counts
    lines = [
        "# TYPE maestro_api_continuations gauge",
        *(f'maestro_api_continuations{{group="{group}"}} {counts[group]}' for group in Counts.model_fields),
        "# TYPE maestro_api_facts_read counter",
        f"maestro_api_facts_read {gate.tail.read}",
        "# TYPE maestro_api_streams gauge",
        f"maestro_api_streams {sum(gate.present.values()) + sum(gate.watched.values())}",
        "# TYPE maestro_api_complete gauge",
        f"maestro_api_complete {int(gate.directory.complete)}",
    ]
    return Response("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")


async def _plant(gate: Gate) -> Mapping[str, JsonValue]:
    """What Ray tells; nothing where it does not answer."""
    if gate.plant is None:
        return {}
    try:
        return await gate.plant()
    except MaestroError:
        return {}


def _pools(counts: Mapping[str, int]) -> list[PoolSeen]:
    ready = {name.removeprefix(AGE) for name in counts if name.startswith(AGE)}
    found = []
    for pool in sorted(ready | pools_told(counts)):
        room = room_of(counts, pool)
        depth, age = counts.get(f"ready:{pool}", 0), counts.get(AGE + pool, 0)
        found.append(
            PoolSeen(pool=pool, ready=depth, oldest_ms=age, busy=room.awake, places=room.places, most=room.most)
        )
    return found


async def _nodes(gate: Gate) -> list[NodeSeen]:
    nodes = gate.at.backend.nodes
    census, draining = await nodes.census(), await nodes.draining()
    if census is None:
        return []
    fresh = await gate.at.backend.clock.now_ms() - census.at_ms <= residence.STALE_MS
    found = []
    for node in census.nodes:
        drain = draining.get(node.name)
        state = "lost" if not node.alive else "draining" if drain else "up"
        labels = ", ".join(f"{k}={v}" for k, v in sorted(node.labels.items()) if not k.startswith("ray.io/"))
        told: dict[str, Any] = {
            "reason": residence.leaving(drain) if drain else node.leaving,
            "actors": list(node.actors),
        }
        found.append(NodeSeen(name=node.name, state=state if fresh else "unknown", labels=labels, **told))
    return found


def _source(record: SourceRecord) -> SourceSeen:
    told: dict[str, Any] = {name: getattr(record, name) for name in SourceSeen.model_fields}
    return SourceSeen(**{**told, "state": str(told["state"])})


def _cost(keys: list[str], row: Mapping[str, JsonValue]) -> CostRow:
    sums = {name: int(str(row[name])) for name in ("calls", "tokens", "usd_micros")}
    return CostRow(by={key: str(row[key]) for key in keys}, **sums)
