"""Operating an installation: up, down, rehearse, demo.

These are plain functions: Ray wants a main thread without an event loop.
"""

import asyncio
import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Annotated

import typer
from pydantic import JsonValue
from rich.text import Text

from maestro.adapters.otel.seam import check_tracing
from maestro.bootstrap import install, rehearsed
from maestro.cli.command import Call
from maestro.cli.output import Column, facts
from maestro.cli.pane import keep_place, pane_ready, served
from maestro.cli.tiers import warnings
from maestro.errors import InvalidInput, NotFound, Unservable
from maestro.settings import Settings

STORY = "maestro.cli.demo.story"
KINDS = (
    Column("BEHAVIOUR", lambda kind: str(kind["behaviour"])),
    Column("VERSION", lambda kind: str(kind["version"]), right=True),
    Column("SLEEPERS", lambda kind: f"{kind['sleepers']:,}", right=True),
    Column("WOULD FAIL", lambda kind: f"{kind['would_fail']:,}", right=True),
)
FAILURES = (
    Column("ID", lambda row: str(row["id"]), whole=True),
    Column("BEHAVIOUR", lambda row: str(row["behaviour"])),
    Column("FROM", lambda row: str(row["from_version"]), right=True),
    Column("TO", lambda row: str(row["to_version"] or "?"), right=True),
    Column("HELD", lambda row: "already" if row["held"] else ""),
    Column("WHY", lambda row: f"{row['error']}" + (f" ({row['hint']})" if row["hint"] else "")),
)
Modules = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODULE", help="A module with behaviours; comma between two, or repeat it.", show_default=False
    ),
]
Port = Annotated[
    int | None,
    typer.Option(min=0, max=65535, help="Serve the pane at this port of 127.0.0.1; 0: any free.", show_default=False),
]
NoPane = Annotated[bool, typer.Option("--no-pane", help="Serve neither the pane nor the HTTP API.")]


def up(
    call: Call,
    redis_url: Annotated[
        str | None, typer.Option(help="The store to use; else an embedded server.", show_default=False)
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="The Ray cluster to use; else a local one.", show_default=False)
    ] = None,
    pane_port: Port = None,
    no_pane: NoPane = False,
    behaviours: Modules = None,
    accept_holds: Annotated[
        bool, typer.Option("--accept-holds", help="Go on although sleepers would be held under this code.")
    ] = False,
    accept_older_store: Annotated[
        bool, typer.Option("--accept-older-store", help="Go on with a store that is empty, another, or went back.")
    ] = False,
) -> None:
    """Start what is missing: store, Ray, supervisor tree. Return when ready; again, it changes nothing.

    First the code is tried on every sleeper, as `maestro rehearse` does.
    """
    from actors import fitness, installation  # Ray takes a second to import: only where it is used

    flags = call.flags
    settings = Settings.load(
        home=flags.home,
        tenant=flags.tenant,
        redis_url=redis_url or flags.redis_url,
        ray_address=address,
        pane=None if pane_port is None else "serve",
        pane_port=pane_port,
        behaviours=_joined(behaviours),
    )
    settings = served(settings, on=not no_pane)
    check_tracing(settings)
    for warning in (*(f"All the same: {wrong}" for wrong in fitness.check_fit(settings)), *warnings(settings)):
        call.out.note(warning)
    call.out.note("Starting what is missing; this takes up to a minute.")
    info = installation.up_and_kept(settings, accept_holds, accept_older_store)
    store = settings.redis_url or f"embedded, below {settings.home / 'redis'}"
    told: dict[str, JsonValue] = {**info, "store": store, "home": str(settings.home), "warnings": [*warnings(settings)]}
    told |= _pane_of(settings)
    call.out.record(told, facts(_up_lines(told)))
    if redis_url is not None:
        call.out.note(f"The other commands find this store with MAESTRO_REDIS_URL={settings.redis_url}")


def _up_lines(told: Mapping[str, JsonValue]) -> list[tuple[str, str | Text]]:
    return [
        ("ready", "started" if told["started"] else "ran already"),
        ("store", str(told["store"])),
        ("Ray", str(told["address"])),
        ("dashboard", str(told["dashboard_url"] or "where the cluster was started")),
        *([] if told["pane_state"] is None else [("pane", _pane_words(told))]),
        ("next", "maestro start literature --goal 'what you want to know'"),
    ]


def down(
    call: Call,
    purge: Annotated[bool, typer.Option("--purge", help="Also delete everything that is stored.")] = False,
) -> None:
    """Stop in order: ticks end or are handed back. What is stored stays, unless --purge."""
    from actors import installation
    from maestro.adapters.redis import server

    settings = call.settings
    if purge and settings.redis_url is not None:
        hint = "delete its keys maestro:* there"
        raise InvalidInput(f"the store at {settings.redis_url} is not ours to delete", field="purge", hint=hint)
    installation.down(settings)
    if purge:
        server.purge(settings.home)
    elif settings.redis_url is None:
        server.stop(settings.home)
    stays = "deleted" if purge else settings.redis_url or str(settings.home / "redis")
    call.out.record({"down": True, "purged": purge, "store": stays}, Text(f"Down. What was stored: {stays}"))


async def rehearse(call: Call, behaviours: Modules = None) -> None:
    """Try today's code on every sleeper, in a process of its own: migrate the state, fit it to its model.

    Nothing is written, nobody wakes, no model is called. Exit 1 if any would fail.
    """
    flags = call.flags
    settings = Settings.load(
        home=flags.home, tenant=flags.tenant, redis_url=flags.redis_url, behaviours=_joined(behaviours)
    )
    tried = await rehearsed(settings, eager=True)
    failures = [failure.told() for failure in tried.failures]
    kinds: list[dict[str, JsonValue]] = [asdict(kind) for kind in tried.kinds]
    whole: JsonValue = {
        "sleepers": tried.sleepers,
        "would_fail": len(failures),
        "duration_ms": tried.duration_ms,
        "kinds": list(kinds),
        "failures": list(failures),
    }
    if call.out.for_people:
        call.out.rows(kinds, KINDS, "Nobody sleeps here.")
    if failures or not call.out.for_people:
        call.out.rows(failures, FAILURES, "", whole)
    call.out.note(f"{tried.sleepers:,} tried in {tried.duration_ms / 1000:.1f} s; nothing was written.")
    if failures:
        few = "one" if len(failures) == 1 else f"{len(failures):,}"
        hint = "mend the migration and rehearse again; their states are untouched"
        raise Unservable(f"{few} of {tried.sleepers:,} would fail", field="behaviours", hint=hint)


def demo(
    call: Call,
    pane: Annotated[
        bool, typer.Option("--pane", help="Show it in the researcher pane, too, and let me approve.")
    ] = False,
) -> None:
    """The main job, offline, from nothing, in under two minutes; exit 0 only if every step really happened."""
    if importlib.util.find_spec(STORY) is None:
        raise NotFound("the demo is not part of this installation", hint="install the whole wheel")
    tell: Callable[[Settings, bool], int] = importlib.import_module(STORY).main
    status = tell(call.settings, pane)
    if status:
        raise typer.Exit(status)


def _pane_of(settings: Settings) -> dict[str, JsonValue]:
    """A link that lets a browser in, once, and what Serve says of the pane; nothing where none is served."""
    seen = pane_ready(settings)
    if seen is None:
        return {"pane": None, "pane_state": None}
    keep_place(settings, str(seen["url"]))
    return {"pane": asyncio.run(_link(settings)), "pane_state": f"{seen['state']} {seen['message']}".strip()}


def _pane_words(told: Mapping[str, JsonValue]) -> str:
    rest = "" if told["pane_state"] == "RUNNING" else f"; {told['pane_state']}, `maestro status` tells when it answers"
    return f"{told['pane']} (once, within ten minutes; later `maestro login`){rest}"


async def _link(settings: Settings) -> str:
    from maestro.cli.tokens import link_of

    at = await install(settings)
    try:
        return await link_of(at, settings)
    finally:
        await at.backend.close()


def _joined(modules: list[str] | None) -> str | None:
    return ",".join(modules) if modules else None
