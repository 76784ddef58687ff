"""Operating an installation: up, down, demo.

These are plain functions: Ray wants a main thread without an event loop.
"""

import importlib
import importlib.util
from collections.abc import Callable
from typing import Annotated

import typer
from rich.text import Text

from maestro.cli.command import Call
from maestro.cli.output import facts
from maestro.errors import InvalidInput, NotFound
from maestro.settings import Settings

STORY = "maestro.cli.demo.story"
Port = Annotated[int | None, typer.Option(min=0, max=65535, help="Port of the pane.", show_default=False)]


def up(
    call: Call,
    redis_url: Annotated[
        str | None, typer.Option(help="The store to use; else an embedded server.", show_default=False)
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="The Ray cluster to use; else a local one.", show_default=False)
    ] = None,
    pane_port: Port = None,
    behaviours: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODULE", help="A module with behaviours; comma between two, or repeat it.", show_default=False
        ),
    ] = None,
) -> None:
    """Start what is missing: store, Ray, supervisor tree. Return when ready; again, it changes nothing."""
    from actors import installation  # Ray takes a second to import: only where it is used

    flags = call.flags
    settings = Settings.load(
        home=flags.home,
        tenant=flags.tenant,
        redis_url=redis_url or flags.redis_url,
        ray_address=address,
        pane_port=pane_port,
        behaviours=",".join(behaviours) if behaviours else None,
    )
    call.out.note("Starting what is missing; this takes up to a minute.")
    info = installation.up(settings)
    store = settings.redis_url or f"embedded, below {settings.home / 'redis'}"
    told = {**info, "store": store, "home": str(settings.home)}
    dashboard = str(info["dashboard_url"] or "where the cluster was started")
    lines: list[tuple[str, str | Text]] = [
        ("ready", "started" if info["started"] else "ran already"),
        ("store", store),
        ("Ray", str(info["address"])),
        ("dashboard", dashboard),
        ("next", "maestro start literature --goal 'what you want to know'"),
    ]
    call.out.record(told, facts(lines))
    if redis_url is not None:
        call.out.note(f"The other commands find this store with MAESTRO_REDIS_URL={settings.redis_url}")


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


def demo(call: Call) -> None:
    """The main job, offline, from nothing, in under two minutes; exit 0 only if every step really happened."""
    if importlib.util.find_spec(STORY) is None:
        raise NotFound("the demo is not part of this installation", hint="install the whole wheel")
    tell: Callable[[Settings], int] = importlib.import_module(STORY).main
    status = tell(call.settings)
    if status:
        raise typer.Exit(status)
