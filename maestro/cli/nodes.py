"""Nodes: which there are, which are being left, and who is to wake where."""

from typing import Annotated

import typer
from pydantic import JsonValue
from rich.text import Text

from maestro.cli.command import Call, Id
from maestro.cli.output import Column, Row
from maestro.errors import InvalidInput
from maestro.runtime import residence

Node = Annotated[str, typer.Argument(metavar="NODE", help="Its name, as `maestro nodes` shows it.")]
COLUMNS = (
    Column("NODE", lambda row: str(row["name"]), whole=True),
    Column("STATE", lambda row: str(row["state"]), whole=True),
    Column("ACTORS", lambda row: str(len(_actors(row))), right=True),
    Column("LABELS", lambda row: str(row["labels"])),
    Column("WHY", lambda row: str(row["reason"] or "")),
)


async def nodes(call: Call) -> None:
    """Which nodes there are, what runs on them, and why one takes no work."""
    call.out.rows(await rows(call), COLUMNS, "No cluster has shown its nodes yet: run `maestro up`.")


async def drain(
    call: Call,
    node: Node,
    reason: Annotated[str, typer.Option(help="Why, for whoever looks.", show_default=False)] = "",
) -> None:
    """Let nothing run on a node: ticks under way end, or are handed back, and go on elsewhere. See undrain."""
    new = await residence.drain(await call.at(), node, reason)
    told = f"{node} is being drained" + ("" if new else " already")
    call.out.record({"done": "drained", "node": node, "new": new}, Text(f"{told}; see `maestro nodes`"))


async def undrain(call: Call, node: Node) -> None:
    """Let a node take work again."""
    new = await residence.undrain(await call.at(), node)
    told = f"{node} takes work again" if new else f"{node} was not being drained"
    call.out.record({"done": "undrained", "node": node, "new": new}, Text(told))


async def migrate(
    call: Call,
    id: Id,
    to: Annotated[str | None, typer.Option(metavar="NODE", help="Which; else another one.", show_default=False)] = None,
    stay: Annotated[bool, typer.Option("--stay", help="Not only its next wake: until --anywhere.")] = False,
    anywhere: Annotated[bool, typer.Option("--anywhere", help="Wherever its pool has room, again.")] = False,
) -> None:
    """Let it go on at another node: awake, from its next tick on; asleep, when it wakes next."""
    handle = await call.find(id)
    if anywhere and (to is not None or stay):
        raise InvalidInput("anywhere is no node", field="anywhere", hint="leave out --to and --stay")
    node = None if anywhere else await handle.amigrate(to, stays=stay)
    if anywhere:
        await residence.settle(await call.at(), handle.id)
    told = "wakes anywhere again" if node is None else f"wakes {'' if stay else 'next '}at {node}"
    call.out.record({"id": handle.id, "done": "migrated", "node": node, "stays": stay}, Text(f"{handle.id} {told}"))


async def rows(call: Call) -> list[dict[str, JsonValue]]:
    """One row per node, with what is known of it."""
    at = await call.at()
    census, draining = await at.backend.nodes.census(), await at.backend.nodes.draining()
    if census is None:
        return []
    fresh = await at.backend.clock.now_ms() - census.at_ms <= residence.STALE_MS
    found: list[dict[str, JsonValue]] = []
    for node in census.nodes:
        drain = draining.get(node.name)
        state = "lost" if not node.alive else "draining" if drain else "up"
        own = ", ".join(f"{k}={v}" for k, v in sorted(node.labels.items()) if not k.startswith("ray.io/"))
        row: dict[str, JsonValue] = {
            "name": node.name,
            "id": node.id,
            "state": state if fresh else "unknown",
            "labels": own,
            "reason": residence.leaving(drain) if drain else node.leaving,
            "actors": list(node.actors),
            "seen_at_ms": census.at_ms,
        }
        found.append(row)
    return found


def _actors(row: Row) -> list[JsonValue]:
    actors = row["actors"]
    return actors if isinstance(actors, list) else []
