"""The doctor: every setting that a promise rests on, looked at now; each failure with its fix.

Source: PROMISES M1-M4, B85, B86, B91, B93-B95; section 5.3.
"""

import asyncio
import importlib.metadata
import platform
import sys
from collections.abc import Callable, Iterator, Sequence

import psutil
from pydantic import JsonValue
from rich.text import Text

from actors.fitness import TESTED_RAY, is_loopback
from maestro.adapters.files.policies import PolicyFile
from maestro.adapters.litellm.profiles import chains_of
from maestro.adapters.mcp.shelf import ServerShelf
from maestro.adapters.otel.seam import check_tracing
from maestro.adapters.redis import server
from maestro.adapters.redis.backend import open_backend
from maestro.adapters.redis.checks import StoreFinding, findings_at
from maestro.bootstrap import repertoire, store_url
from maestro.cli.command import Call
from maestro.cli.index import index_missing
from maestro.cli.output import Column
from maestro.cli.tiers import WANTED, without_target
from maestro.continuation.envelope import Seal
from maestro.errors import MaestroError, StoreUnavailable, StoreWentBack
from maestro.home import private_folder, read_private
from maestro.ids import TenantId
from maestro.pager.targets import REHEARSAL, Target
from maestro.runtime.verbs import Installation, partitions
from maestro.runtime.verification import verified
from maestro.settings import Settings, unknown_environment

PYTHONS = ((3, 11), (3, 12))
STOLEN = {"litellm": ("1.82.7", "1.82.8")}  # releases that carried a credential stealer (PROMISES 5.8)
TESTED = {"ray": TESTED_RAY}
LOGS = 200
"""How many the doctor looks at; `maestro verify` looks at all."""
PACKAGES = ("ray", "redis", "pydantic", "litellm")


def doctor(call: Call) -> None:
    """Check every setting that a promise rests on; exit 1 names each failure."""
    settings = call.settings
    found = [
        *_settings(settings),
        *_versions(),
        *_policy(settings),
        *_mcp(settings),
        *_kernel(settings),
        *_index(settings),
        *_behaviours(settings),
        *_tiers(settings),
        *_store(settings),
        *_logs(settings),
        *_rays_store(settings),
        *_network(settings),
    ]
    rows: list[dict[str, JsonValue]] = [
        {"check": f.check, "ok": f.ok, "seen": f.seen, "wanted": f.wanted, "fix": None if f.ok else f.fix}
        for f in found
    ]
    columns = [
        Column("CHECK", lambda row: str(row["check"]), whole=True),
        Column(
            "", lambda row: Text("ok", style="green") if row["ok"] else Text("FAILED", style="bold red"), whole=True
        ),
        Column("SEEN", lambda row: str(row["seen"]), most=72),
        Column("FIX", lambda row: f"{row['fix']} (wanted: {row['wanted']})" if row["fix"] else ""),
    ]
    whole: JsonValue = {"ok": all(f.ok for f in found), "checks": list(rows), "settings": dict(settings.shown())}
    call.out.rows(rows, columns, "nothing was checked", whole)
    failed = [f.check for f in found if not f.ok]
    if failed:
        raise MaestroError(
            f"{len(failed)} of {len(found)} checks failed: {', '.join(failed)}", hint="see the fix of each"
        )


def _settings(settings: Settings) -> Iterator[StoreFinding]:
    unknown = unknown_environment()
    yield StoreFinding(
        "environment", not unknown, "; ".join(unknown) or "every MAESTRO_* is known", "known names", "unset it"
    )
    yield _tried("home", lambda: str(private_folder(settings.home)), "a private folder", f"chmod 700 {settings.home}")
    if settings.redis_url is None and (settings.home / "redis").exists():
        yield _tried("embedded server", lambda: _embedded(settings), "private files", "take the rights of others away")
    if settings.otel_endpoint is not None:
        yield _tried("traces", lambda: _traced(settings), "what sends them is installed", "install the extra otel")
    key = settings.home / "mac.key"
    if settings.mac_key is None and settings.mac_key_file is None and key.exists():
        yield _tried(
            "seal key", lambda: f"{len(read_private(key))} characters in {key}", "a private file", f"chmod 600 {key}"
        )


def _traced(settings: Settings) -> str:
    check_tracing(settings)
    return f"sent to {settings.otel_endpoint}"


def _policy(settings: Settings) -> Iterator[StoreFinding]:
    if settings.policy_file is not None:
        fix = f"`maestro policy check {settings.policy_file}`; until it is good, processes keep what they have"
        yield _tried("policy", lambda: PolicyFile(settings.policy_file).now().policy, "a policy that can be read", fix)


def _mcp(settings: Settings) -> Iterator[StoreFinding]:
    if settings.mcp_file is not None:
        fix = "docs/how-to/use-an-mcp-server.md"
        yield _tried(
            "MCP servers", lambda: ", ".join(ServerShelf(settings.mcp_file).servers), "a file that can be read", fix
        )


def _kernel(settings: Settings) -> Iterator[StoreFinding]:
    """What a context kernel would miss on this machine, and what Serve says of the one that runs."""
    if settings.kernel == "off":
        return
    from maestro.cli.kernel import kernel_told, missing_here

    missing = missing_here(settings)
    how = "docs/how-to/rank-on-a-gpu.md"
    seen = missing or f"engine {settings.kernel_engine}"
    yield StoreFinding("kernel engine", not missing, seen, "what the engine needs", how)
    told = kernel_told(settings)
    if told is not None:
        ok, seen = told["state"] == "RUNNING", f"{told['state']} {told['message']}".strip()
        yield StoreFinding("kernel on Serve", ok, seen, "RUNNING", f"{how}; until then words rank, marked degraded")


def _index(settings: Settings) -> Iterator[StoreFinding]:
    """What the index would miss on this machine: without it fields find nothing that they did not ask for."""
    if settings.index != "off":
        missing = index_missing(settings)
        how = "docs/how-to/find-what-is-near.md"
        yield StoreFinding("index", not missing, missing or f"made by {settings.index}", "what makes its vectors", how)


def _embedded(settings: Settings) -> str:
    """Raises InvalidInput where something of the embedded server is open to others."""
    folder = private_folder(settings.home / "redis")
    read_private(folder / "password")
    private_folder(folder / "data")
    return f"only this user may enter {folder}"


def _versions() -> Iterator[StoreFinding]:
    wanted = " or ".join(f"{major}.{minor}" for major, minor in PYTHONS)
    yield StoreFinding(
        "python", sys.version_info[:2] in PYTHONS, platform.python_version(), wanted, f"use Python {wanted}"
    )
    for package in PACKAGES:
        seen = importlib.metadata.version(package)
        bad, line = STOLEN.get(package, ()), TESTED.get(package)
        wanted = f"{line}.*" if line else f"not {' or '.join(bad)}" if bad else "any"
        ok = seen not in bad and (line is None or seen.startswith(f"{line}."))
        yield StoreFinding(package, ok, seen, wanted, "install from the lock")


def _behaviours(settings: Settings) -> Iterator[StoreFinding]:
    fix = "correct MAESTRO_BEHAVIOURS, or the module"
    yield _tried("behaviours", lambda: ", ".join(repertoire(settings).names), "importable modules", fix)


def _tiers(settings: Settings) -> Iterator[StoreFinding]:
    try:
        chains = chains_of(settings.tier_settings())
    except MaestroError as error:
        yield StoreFinding(
            "tiers", False, error.message, "targets that can be read", error.hint or "see MAESTRO_TIER_*"
        )
        return
    for tier, fix in without_target(chains):
        yield StoreFinding(f"tier {tier}", False, "no target is set", WANTED, fix)
    listed = [
        target for chain in chains.values() for target in chain if target.price is None and target.provider != REHEARSAL
    ]
    priced = _listed_prices(listed)
    for tier, chain in chains.items():
        without = [target.name for target in chain if target in listed and not priced[target]]
        seen = f"no list price: {', '.join(without)}" if without else ", ".join(target.name for target in chain)
        fix = f"set MAESTRO_TIER_{tier.upper()}_PRICE=IN/OUT; until then it is charged as the dearest, or refused"
        yield StoreFinding(f"tier {tier}", not without, seen, "a price for every target", fix)


def _listed_prices(targets: Sequence[Target]) -> dict[Target, bool]:
    """Which of these have a usable list price. The list is litellm's, which takes seconds to import: only if needed."""
    if not targets:
        return {}
    from maestro.adapters.litellm import UNKNOWN_PRICE
    from maestro.adapters.litellm.dispatch import price_table
    from maestro.policy.gradient import Tier

    tables = {target: price_table({Tier.OPUS: (target,)}, UNKNOWN_PRICE) for target in targets}
    return {
        target: not table.refused and table.tiers[Tier.OPUS][0].price.source != UNKNOWN_PRICE.source
        for target, table in tables.items()
    }


def _store(settings: Settings) -> Iterator[StoreFinding]:
    try:
        url = store_url(settings)
    except MaestroError as error:
        yield StoreFinding("store", False, error.message, "an answer", error.hint or "see `maestro status`")
        return
    tenant = TenantId(settings.tenant)
    for finding in findings_at(url, settings.redis_fsync, tenant, settings.redis_replicas):
        yield StoreFinding(f"store {finding.check}", finding.ok, finding.seen, finding.wanted, finding.fix)


def _logs(settings: Settings) -> Iterator[StoreFinding]:
    """The logs of those who have lived longest are whole; in a store where nobody ever lived there are none."""
    wanted, fix = (
        "whole, and leading to their checkpoints",
        "`maestro verify --quarantine`, then restore it from an export",
    )
    try:
        looked_at, damaged = asyncio.run(_verified(settings))
    except (StoreUnavailable, StoreWentBack):
        return  # told by the checks of the store
    except MaestroError as error:
        yield StoreFinding("logs", False, error.message, wanted, error.hint or fix)
        return
    seen = f"{len(damaged)} of {looked_at} looked at are damaged: {', '.join(damaged)}" if damaged else "whole"
    yield StoreFinding("logs", not damaged, seen, wanted, fix)


async def _verified(settings: Settings) -> tuple[int, Sequence[str]]:
    """How many of the living were looked at, and which of them are damaged; a store is not made for that."""
    tenant, virtual = TenantId(settings.tenant), settings.clock == "virtual"
    store = await open_backend(store_url(settings), tenant, settings.partitions, virtual, known=True)
    at = Installation(store, Seal(settings.mac_key_bytes()), settings.default_budget)
    try:
        cids = [cid for p in partitions(at) for cid, _ in (await store.records.living(p, 0, LOGS)).checkpoints]
        found = [await verified(at, cid) for cid in cids[:LOGS]]
        return len(found), [each.cid for each in found if each.damages]
    finally:
        await store.close()


def _rays_store(settings: Settings) -> Iterator[StoreFinding]:
    """Ray's own state lies in a server of its own: one fault must not be two."""
    if settings.gcs_redis_url is None:
        return
    from actors.gcs_store import GcsStore

    def look() -> str:
        store = GcsStore.of(settings)
        return store.check_apart(store_url(settings)) if store else ""

    yield _tried("Ray's store", look, "another server than ours", "see MAESTRO_GCS_REDIS_URL")


def _network(settings: Settings) -> Iterator[StoreFinding]:
    """No process of ours listens beyond this machine."""
    from actors.local_ray import Place
    from actors.processes import find

    processes = list(find(Place.of(settings).signs())) if settings.ray_address is None else []
    info = _quietly_running(settings)
    if info is not None and psutil.pid_exists(info.pid):
        processes.append(psutil.Process(info.pid))
    open_ = [where for process in processes for where in _open_listeners(process)]
    seen = "; ".join(open_) or f"{len(processes)} processes of ours, none reachable from outside"
    fix = "`maestro down`, then look for RAY_* and redis settings that bind another address"
    yield StoreFinding("listeners", not open_, seen, "loopback or sockets only", fix)


def _quietly_running(settings: Settings) -> server.ServerInfo | None:
    try:
        return server.running(settings.home) if settings.redis_url is None else None
    except MaestroError:
        return None  # told by the checks of the store


def _open_listeners(process: psutil.Process) -> list[str]:
    try:
        sockets = process.net_connections(kind="inet")
        name = process.name()
    except psutil.Error:
        return []  # it ended while we looked
    listening = [socket.laddr for socket in sockets if socket.status == psutil.CONN_LISTEN]
    return [f"{name} {process.pid} at {a.ip}:{a.port}" for a in listening if not is_loopback(a.ip)]


def _tried(check: str, look: Callable[[], str], wanted: str, fix: str) -> StoreFinding:
    try:
        return StoreFinding(check, True, look(), wanted, fix)
    except MaestroError as error:
        return StoreFinding(check, False, error.message, wanted, error.hint or fix)
