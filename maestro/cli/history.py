"""History and time: verify, sweep, replay, whatif, clock."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import JsonValue
from rich.text import Text

from maestro.cli import reading
from maestro.cli.command import Call, Id, MaybeId
from maestro.cli.output import Column, facts, pretty
from maestro.cli.words import moment, signed_usd, span
from maestro.continuation.checkpoint import Checkpoint
from maestro.errors import IntegrityError, InvalidInput
from maestro.ids import ContinuationId
from maestro.policy.policy import policy_of
from maestro.runtime import sweeping, verbs, verification
from maestro.runtime import whatif as whatifs
from maestro.runtime.audit import note
from maestro.runtime.verbs import Installation


async def verify(
    call: Call,
    id: MaybeId = None,
    quarantine: Annotated[bool, typer.Option("--quarantine", help="Freeze each that is damaged.")] = False,
) -> None:
    """Check that a log is whole, unchanged, leads to the checkpoint, and has its blocks. Without an ID: every log."""
    at = await call.at()
    cids = [(await call.find(id)).id] if id is not None else await _everybody(at)
    rows = [await _verified(at, cid, quarantine) for cid in cids]
    columns = [
        Column("ID", lambda row: str(row["id"]), whole=True),
        Column("RECORDS", lambda row: str(row["records"]), right=True),
        Column("BLOCKS", lambda row: str(row["blocks"]), right=True),
        Column("SEALS", lambda row: Text("ok", style="green") if row["ok"] else Text("FAILED", style="bold red")),
        Column("WHY", lambda row: "\n".join(map(str, _listed(row["damages"])))),
    ]
    call.out.rows(rows, columns, "Nothing to verify.")
    broken = [str(row["id"]) for row in rows if not row["ok"]]
    if broken:
        raise IntegrityError(
            f"{len(broken)} of {len(rows)} are damaged: {', '.join(broken)}", hint="restore from an export"
        )


async def sweep(call: Call) -> None:
    """Drop the blocks that no log and no open tick refers to, if nobody put them for a day. Nothing else changes."""
    at = await call.at()
    swept = {str(partition): await sweeping.sweep(at, partition) for partition in verbs.partitions(at)}
    total = sum(swept.values())
    data: dict[str, JsonValue] = {"blocks": total, "partitions": dict(swept)}
    call.out.record(data, Text(f"{total} blocks that nothing refers to are gone"))


async def replay(
    call: Call,
    id: Id,
    tick: Annotated[int | None, typer.Option(min=0, help="As it was after this tick; now, if not given.")] = None,
) -> None:
    """Rebuild the checkpoint from the log alone, each hash checked on the way."""
    at, handle = await call.at(), await call.find(id)
    last = (await verbs.glance_of(at, handle.id)).rev
    if tick is not None and tick > last:
        raise InvalidInput(f"{handle.id} has no tick {tick}", field="tick", hint=f"give 0 to {last}")
    rev = last if tick is None else tick
    checkpoint = await verbs.checkpoint_at(at, handle.id, rev)
    told = checkpoint.model_dump(mode="json")
    call.out.record({"rev": rev, "checkpoint": told}, facts(_shown(checkpoint, rev)))


async def whatif(
    call: Call,
    id: Id,
    policy: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="TOML: see maestro/policy/policy.py.")],
) -> None:
    """Decide every recorded model call again, under another policy. No model is called, nothing is written."""
    at, handle = await call.at(), await call.find(id)
    redecided = await whatifs.redecided(at, handle.id, policy_of(policy.read_text()))
    rows = [_redecided(one) for one in redecided]
    columns = [
        Column("TICK", lambda row: str(row["rev"]), right=True),
        Column("THEN", lambda row: str(row["old"]), whole=True),
        Column("WOULD BE", lambda row: str(row["new"]), whole=True),
        Column("AT MOST", lambda row: signed_usd(int(str(row["delta_usd_micros"]))), right=True),
    ]
    call.out.rows(rows, columns, "No model call of it is recorded.")
    changed = sum(row["old"] != row["new"] for row in rows)
    total = signed_usd(sum(one.delta_usd_micros for one in redecided))
    call.out.note(f"{len(rows)} calls, {changed} of them decided otherwise: {total} at most.")


async def clock(
    call: Call,
    action: Annotated[Literal["show", "advance"], typer.Argument(help="What to do.")] = "show",
    by: Annotated[str | None, typer.Argument(metavar="[BY]", help="How far: 90s, 15m, 3h, 21d, 1h30m.")] = None,
) -> None:
    """Show the store's clock. Advance it, where the store was made with MAESTRO_CLOCK=virtual."""
    if action == "show" and by is not None:
        raise InvalidInput("show takes no time", field="by", hint="write `maestro clock advance 21d` to move it")
    if action == "advance" and by is None:
        raise InvalidInput("advance by how much?", field="by", hint="write `maestro clock advance 21d`")
    by_ms = 0 if by is None else reading.duration_ms(by)
    at = await call.at()
    backend = at.backend
    if by is not None:
        await note(at, "advance clock", "", by_ms=by_ms)
    now_ms = await (backend.clock.now_ms() if by is None else backend.steering.advance(by_ms))
    kind = call.settings.clock
    data: dict[str, JsonValue] = {"now_ms": now_ms, "now": f"{moment(now_ms)} UTC", "clock": kind, "advanced_ms": by_ms}
    moved = f"{span(by_ms)} later: " if by is not None else ""
    call.out.record(data, Text(f"{moved}{moment(now_ms)} UTC ({kind} clock)"))


def _listed(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


async def _everybody(at: Installation) -> list[ContinuationId]:
    return [cid for partition in verbs.partitions(at) for cid in await at.backend.records.ids(partition)]


async def _verified(at: Installation, cid: ContinuationId, quarantine: bool) -> dict[str, JsonValue]:
    found = await verification.verified(at, cid)
    if quarantine:
        await verification.quarantine(at, found)
    damages: list[JsonValue] = list(found.damages)
    return {"id": cid, "ok": not damages, "records": found.records, "blocks": found.blocks, "damages": damages}


def _redecided(one: whatifs.Redecided) -> dict[str, JsonValue]:
    return {
        "rev": one.rev,
        "ordinal": one.ordinal,
        "old": one.recorded,
        "new": one.told,
        "old_usd_micros": one.old.cost.usd_micros,
        "new_usd_micros": one.new.cost.usd_micros,
        "delta_usd_micros": one.delta_usd_micros,
        "agrees": one.agrees,
    }


def _shown(checkpoint: Checkpoint, rev: int) -> list[tuple[str, str | Text]]:
    return [
        ("id", checkpoint.id),
        ("after tick", str(rev)),
        ("status", checkpoint.status.value),
        ("goal", checkpoint.goal.goal),
        ("wait", pretty(checkpoint.wait.model_dump(mode="json")) if checkpoint.wait else ""),
        ("interests", "\n".join(interest.pattern for interest in checkpoint.interests)),
        ("children", "\n".join(checkpoint.children)),
        ("state", pretty(checkpoint.state)),
        ("result", pretty(checkpoint.result) if checkpoint.result is not None else ""),
    ]
