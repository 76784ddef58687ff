"""The state of an installation in one look; the shape of its JSON is stable.

What does not answer is told as such, and does not keep the rest from being told.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from pydantic import JsonValue
from rich.console import RenderableType
from rich.text import Text

from maestro.adapters.redis.checks import facts_of
from maestro.bootstrap import store_url
from maestro.cli.command import Call
from maestro.cli.index import index_line, index_told
from maestro.cli.inert import inert
from maestro.cli.kernel import kernel_line, kernel_told
from maestro.cli.mesh import source_row
from maestro.cli.output import Column, facts
from maestro.cli.pane import pane_line, pane_told
from maestro.cli.words import distance, moment, span, state
from maestro.client import Maestro
from maestro.errors import ClusterError, MaestroError, NotFound
from maestro.mesh.account import Account, account_of
from maestro.runtime import verbs
from maestro.runtime.artifacts import room_used
from maestro.runtime.capacity import Room, lacking_in, pools_told, room_of
from maestro.settings import Settings
from maestro.tools.calls import CacheFigures

LARGEST = ("clock_ahead_ms", "clock_doubted_ms", "incarnations")
"""Of all partitions; the rest are sums."""
TROUBLES = ("clock_set_back", "clock_doubted", "incarnations")
TOTALS = ("created", "committed", "adopted", "fenced", "reclaimed", "published", "matched", "timers_fired", *TROUBLES)
DEPTHS = (
    "clock_ahead_ms",
    "clock_doubted_ms",
    "awake",
    "timers",
    "outbox",
    "projections",
    "waiting",
    "dead_letters",
    "leases",
    "events",
    "continuations",
)
FIGURES_S = 5.0
TIMEKEEPER = "timekeeper"
Json = dict[str, JsonValue]


def status(call: Call, tree: Annotated[bool, typer.Option("--tree", help="The supervisor tree, too.")] = False) -> None:
    """Store, Ray, queues, sources and supervisors at a glance. Exit 4 when the store or Ray does not answer."""
    settings = call.settings
    store, failed = _store(settings)
    told: Json = {"store": store, "tenant": settings.tenant, "home": str(settings.home)}
    if failed is None:
        told |= asyncio.run(_stored(call))
    told |= _ray(settings)
    told["heart"] = _heart(settings)
    shown: list[RenderableType] = [facts(_lines(told))]
    if tree and told["supervisors"]:
        shown += [Text(), Text("\n").join(_branches(told["supervisors"], 0))]
    call.out.record(told, *shown)
    ray = _object(told["ray"])
    if failed is not None:
        raise failed
    if not ray["running"]:
        raise ClusterError(str(ray["error"]), hint="run `maestro up`")


def pools(call: Call) -> None:
    """Who waits for an actor in each pool, for how long, and how many actors it has: null where Ray does not run."""
    told = asyncio.run(_stored(call))
    actors = _actors(_object(_ray(call.settings)["supervisors"]))
    ready = {pool: _object(figures) for pool, figures in _object(told["ready"]).items()}
    rows: list[Json] = [
        {
            "pool": pool,
            "ready": ready.get(pool, {}).get("depth", 0),
            "oldest_ms": ready.get(pool, {}).get("age_ms", 0),
            "busy": ready.get(pool, {}).get("busy", 0),
            "places": ready.get(pool, {}).get("places"),
            "most": ready.get(pool, {}).get("most"),
            "actors": None if actors is None else actors[pool, "running"],
            "waiting_to_restart": None if actors is None else actors[pool, "waiting to restart"],
        }
        for pool in sorted({*ready, *(pool for pool, _ in actors or ())})
    ]
    columns = [
        Column("POOL", lambda row: str(row["pool"]), whole=True),
        Column("READY", lambda row: str(row["ready"]), right=True),
        Column("THE OLDEST FOR", lambda row: span(int(str(row["oldest_ms"]))) if row["ready"] else "-"),
        Column("PLACES", _places, whole=True),
        Column("ACTORS", lambda row: "?" if row["actors"] is None else str(row["actors"]), right=True),
        Column("WAITING TO RESTART", lambda row: str(row["waiting_to_restart"] or "-"), right=True),
    ]
    call.out.rows(rows, columns, "No pool has had work yet.")


def _places(row: Mapping[str, JsonValue]) -> str:
    """Such as `2 of 3 busy, it may grow to 8`."""
    places, most = row["places"], row["most"]
    known = isinstance(places, int) and isinstance(most, int)
    return Room(int(str(row["busy"])), int(str(places)), int(str(most))).told() if known else "-"


def _actors(node: Json) -> Counter[tuple[str, str]] | None:
    """(pool, state) -> how many of its actors; None where there is no tree to ask."""
    if not node:
        return None
    found: Counter[tuple[str, str]] = Counter()
    kind, _, rest = str(node["id"]).partition("/")
    if kind == "pool":
        found[rest.rpartition("/")[0], str(node["state"])] += 1
    below = node.get("children")
    for child in below if isinstance(below, list) else ():
        found += _actors(_object(child)) or Counter()
    return found


def _store(settings: Settings) -> tuple[Json, MaestroError | None]:
    """What is known of the store; and the failure, where it does not answer."""
    known: Json = {"kind": "embedded" if settings.redis_url is None else "external", "address": settings.redis_url}
    try:
        url = store_url(settings)
        return {**known, "answers": True, **facts_of(url), "durability": settings.durability}, None
    except MaestroError as error:
        return {**known, "answers": False, "error": str(error)}, error


async def _stored(call: Call) -> Json:
    try:
        return await _told_by(await call.maestro(), call.settings.artifact_mib_per_tenant << 20)
    finally:
        await call.close()


async def _told_by(maestro: Maestro, artifact_bytes: int) -> Json:
    """All that the store itself tells: counts, depths, totals, sources; `artifact_bytes` may be kept of artifacts."""
    at = maestro.installation
    counts: Counter[str] = Counter()
    ages: dict[str, int] = {}
    for partition in verbs.partitions(at):
        for name, value in (await at.backend.records.counts(partition)).items():
            if name.startswith("ready_age_ms:"):
                pool = name.partition(":")[2]
                ages[pool] = max(ages.get(pool, 0), value)
            elif name in LARGEST:
                counts[name] = max(counts[name], value)
            else:
                counts[name] += value
    rows = await maestro.alist()
    return {
        "now_ms": await at.backend.clock.now_ms(),
        "by_activity": dict(Counter(str(row["activity"]) for row in rows)),
        "by_behaviour": dict(Counter(str(row["behaviour"]) for row in rows)),
        "by_status": {
            name.partition(":")[2]: n for name, n in sorted(counts.items()) if name.startswith("status:") and n
        },
        "ready": {pool: _queue(counts, pool, ages.get(pool, 0)) for pool in sorted({*ages, *pools_told(counts)})},
        "lacking_room": lacking_in(counts)[0],
        **{name: counts[name] for name in DEPTHS},
        "totals": {name: counts[name] for name in TOTALS},
        "mesh": dict(account_of(counts).told()),
        "tool_cache": CacheFigures.of(counts).told(),
        "artifacts": {**(await room_used(at.backend)).told(), "limit_bytes": artifact_bytes},
        "index": await index_told(at.backend),
        "sources": [dict(source_row(record)) for record in await at.backend.sources.list()],
    }


def _queue(counts: Mapping[str, int], pool: str, age_ms: int) -> Json:
    room = room_of(counts, pool)
    waits: Json = {"depth": counts.get(f"ready:{pool}", 0), "age_ms": age_ms}
    return {**waits, "busy": room.awake, "places": room.places, "most": room.most}


def _ray(settings: Settings) -> Json:
    """What Ray tells: the cluster, the tree, and what only a loop's process knows. Ray wants the main thread."""
    from actors import cluster, installation  # a second to import: only where Ray is asked

    address: str | None = settings.ray_address
    dashboard: str | None = None
    try:
        if address is None:
            info = cluster.running(settings)
            if info is None:
                raise ClusterError("no local Ray cluster runs here")
            address, dashboard = info.address, info.dashboard_url
        told: Json = {"supervisors": installation.tree(settings), "lateness_ms": _lateness(settings)}
        told |= {"kernel": kernel_told(settings), "pane": pane_told(settings)}
        return {"ray": {"running": True, "address": address, "dashboard_url": dashboard, "error": None}, **told}
    except MaestroError as error:
        ray: Json = {"running": False, "address": address, "dashboard_url": dashboard, "error": error.message}
        return {"ray": ray, "supervisors": None, "lateness_ms": None, "kernel": None, "pane": None}


def _heart(settings: Settings) -> JsonValue:
    """What keeps Redis and Ray of this machine alive says of itself; None where nothing does."""
    from actors import keeping

    heard = keeping.heard_of(settings.home)
    if heard is None:
        return None
    told, beats = heard
    return {
        "beats": beats,
        "pid": told.pid if beats else None,
        "state": told.state if beats else "dead",
        "reason": told.reason,
        "restarts": told.restarts,
        "last_restart_ms": told.last_restart_ms,
        "since_ms": told.since_ms,
    }


def _lateness(settings: Settings) -> JsonValue:
    """How late the latest timer fired since the timekeeper began; None when it does not answer."""
    from actors.cluster import RayCluster

    try:
        asked: Any = RayCluster(settings).actor(TIMEKEEPER).figures.remote()
        figures: Mapping[str, int] = asked.future().result(FIGURES_S)
    except (NotFound, ClusterError, TimeoutError):
        return None
    return figures.get("worst_lateness_ms")


def _lines(told: Json) -> Sequence[tuple[str, str | Text]]:
    store, ray = _object(told["store"]), _object(told["ray"])
    lines: list[tuple[str, str | Text]] = [("store", _store_line(store)), ("Ray", _ray_line(ray))]
    if told["heart"] is not None:
        lines.append(("heart", _heart_line(_object(told["heart"]))))
    if told["kernel"] is not None:
        lines.append(("kernel", kernel_line(_object(told["kernel"]))))
    if told["pane"] is not None:
        lines.append(("pane", pane_line(_object(told["pane"]))))
    if not store["answers"]:
        return lines
    totals = _object(told["totals"])
    lines += [
        ("clock", f"{moment(told['now_ms'])} UTC{_clock_trouble(told)}"),
        ("continuations", _counted(told["by_activity"]) or "none"),
        ("behaviours", _counted(told["by_behaviour"])),
        ("ready", _ready(_object(told["ready"])) + _lacking(told["lacking_room"])),
        ("timers", f"{told['timers']} set, {totals['timers_fired']} fired" + _late(told["lateness_ms"])),
        ("on the way", f"{told['outbox']} in the outbox, {told['projections']} to be scored"),
        ("events", f"{_account(told)}; {told['dead_letters']} dead letters"),
        (
            "ticks",
            f"{totals['committed']} committed, {totals['fenced']} stale refused, {totals['reclaimed']} taken back",
        ),
        ("people", f"{told['waiting']} wait for you: `maestro waits`" if told["waiting"] else "nobody waits for you"),
    ]
    if told["index"] is not None:
        lines.append(("index", index_line(_object(told["index"]))))
    if (cached := _cached(_object(told["tool_cache"]))) is not None:
        lines.append(("tools", cached))
    if (kept := _artifacts(_object(told["artifacts"]))) is not None:
        lines.append(("artifacts", kept))
    now_ms = told["now_ms"] if isinstance(told["now_ms"], int) else 0
    rows = told["sources"] if isinstance(told["sources"], list) else []
    lines += [("source", _source_line(_object(row), now_ms)) for row in rows]
    return lines


def _cached(figures: Json) -> str | None:
    """How often cacheable calls were carried out by nobody; None before the first."""
    rate = figures["rate"]
    if not isinstance(rate, float):
        return None
    return f"{rate:.0%} of cacheable calls found their result, {figures['shared']} of them waited for another"


def _artifacts(room: Json) -> str | None:
    """How much is kept of what tools returned, and how much may be; None before the first."""
    kept, most = (int(str(room[name])) / 2**20 for name in ("bytes", "limit_bytes"))
    return f"{room['artifacts']} kept, {kept:.1f} of {most:,.0f} MiB" if room["artifacts"] else None


def _clock_trouble(told: Json) -> str:
    """What is wrong with the clock of the store's machine, in words; nothing when nothing is."""
    ahead_ms, doubted_ms = int(str(told["clock_ahead_ms"])), int(str(told["clock_doubted_ms"]))
    if doubted_ms:
        return f"; stands still: the store's machine says {span(doubted_ms)} later, and no other clock agrees"
    return f"; {span(ahead_ms)} ahead of the store's machine, whose clock was set back" if ahead_ms else ""


def _lacking(actors: JsonValue) -> str:
    return f"; {actors} actors find no room on any node (MAESTRO_MAX_RESIDENT)" if actors else ""


def _account(told: Json) -> Account:
    figures = {name: value for name, value in _object(told["mesh"]).items() if isinstance(value, int)}
    figures.pop("pending")  # which follows from the others
    return Account(**figures)


def _store_line(store: Json) -> Text:
    if not store["answers"]:
        return Text("does not answer: ", style="bold red").append(inert(str(store["error"])), style="not bold")
    kept = store["durability"] if store["durability"] == store["fsync"] else f"{store['fsync']}, {store['durability']}"
    return Text(f"{store['kind']}, {store['server']} {store['version']}, fsync {kept}, at {store['address']}")


def _ray_line(ray: Json) -> Text:
    if not ray["running"]:
        return Text("not running: ", style="bold red").append(inert(str(ray["error"])), style="not bold")
    dashboard = f", dashboard {ray['dashboard_url']}" if ray["dashboard_url"] else ""
    return Text(f"{ray['address']}{dashboard}")


def _heart_line(heart: Json) -> Text:
    """Whether what dies here is started again, and what was."""
    again = f"restarts: {heart['restarts']}" + (f", the last because {heart['reason']}" if heart["reason"] else "")
    match heart["state"]:
        case "keeping":
            return Text(f"keeps this alive, pid {heart['pid']}; " + inert(again))
        case "gave_up":
            return Text("has given up: ", style="bold red").append(inert(f"{heart['reason']}: `maestro up`"))
        case "dead":
            return Text("is dead: what dies now stays dead until `maestro up`", style="bold red")
        case _:
            return Text(f"is {heart['state']}, pid {heart['pid']}; " + inert(again))


def _counted(counts: JsonValue) -> str:
    return ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in sorted(_object(counts).items()))


def _ready(pools: Json) -> str:
    queued = {pool: _object(figures) for pool, figures in pools.items()}
    waiting = [
        f"{figures['depth']} in pool {pool}, the oldest for {span(int(str(figures['age_ms'])))}: {_places(figures)}"
        for pool, figures in queued.items()
        if figures["depth"]
    ]
    return "; ".join(waiting) or "nobody waits for an actor"


def _late(lateness_ms: JsonValue) -> str:
    return f", the latest {span(lateness_ms)} late" if isinstance(lateness_ms, int) else ""


def _source_line(row: Json, now_ms: int) -> Text:
    failed = f", {row['last_error']}" if row["last_error"] else ""
    due = row["next_poll_ms"]
    poll = f"next poll {distance(due, now_ms)}" if isinstance(due, int) and due > now_ms else "due now"
    rest = inert(f"{row['name']}: {row['items_published']} items, {poll}{failed}  ")
    return Text(rest).append_text(state(row["state"]))


def _branches(node: JsonValue, depth: int) -> list[Text]:
    """The tree, one line per supervisor or worker."""
    told = _object(node)
    if not told:
        return []
    line = Text(f"{'  ' * depth}{told['id']}  ").append_text(state(told["state"]))
    rest = [f"pid {told['pid']}" if told.get("pid") else "", str(told.get("strategy") or "")]
    rest.append(f"node {str(told['node'])[:8]}" if told.get("node") else "")
    rest += [f"{told['restarts']} restarts" if told.get("restarts") else "", _exit(_object(told.get("last_exit")))]
    line.append("  " + inert("  ".join(filter(None, rest))), style="dim")
    children = told.get("children")
    below = children if isinstance(children, list) else []
    return [line, *(branch for child in below for branch in _branches(child, depth + 1))]


def _exit(last: Json) -> str:
    return f"last exit: {last['kind']} {last['text']}" if last else ""


def _object(value: JsonValue) -> Json:
    return value if isinstance(value, dict) else {}
