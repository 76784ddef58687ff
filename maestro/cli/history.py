"""History and time: verify, replay, export, clock."""

import base64
import os
from pathlib import Path
from typing import Annotated, Literal

import orjson
import typer
from pydantic import JsonValue
from rich.text import Text

from maestro.cli import reading
from maestro.cli.command import Call, Id, MaybeId
from maestro.cli.output import Column, facts, pretty
from maestro.cli.words import moment, span
from maestro.continuation.checkpoint import Checkpoint
from maestro.errors import IntegrityError, InvalidInput
from maestro.home import PRIVATE_FILE
from maestro.ids import ContinuationId
from maestro.pane import views
from maestro.runtime import verbs
from maestro.runtime.verbs import Installation

EXPORT_FORMAT = "maestro-export"
EXPORT_VERSION = 1


async def verify(call: Call, id: MaybeId = None) -> None:
    """Check that a log is whole, unchanged, and leads to the checkpoint. Without an ID: every log."""
    at = await call.at()
    cids = [(await call.find(id)).id] if id is not None else await _everybody(at)
    rows = [await _verified(at, cid) for cid in cids]
    columns = [
        Column("ID", lambda row: str(row["id"]), whole=True),
        Column("RECORDS", lambda row: str(row["records"]), right=True),
        Column("SEALS", lambda row: Text("ok", style="green") if row["ok"] else Text("FAILED", style="bold red")),
        Column("WHY", lambda row: str(row["error"] or "")),
    ]
    call.out.rows(rows, columns, "Nothing to verify.")
    broken = [str(row["id"]) for row in rows if not row["ok"]]
    if broken:
        raise IntegrityError(
            f"{len(broken)} of {len(rows)} are damaged: {', '.join(broken)}", hint="restore from an export"
        )


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


async def export(
    call: Call, id: Id, file: Annotated[Path, typer.Argument(metavar="FILE", help="It must not exist yet.")]
) -> None:
    """Write one continuation into one portable file: checkpoint, log, ledger, findings, with their seals."""
    at, handle = await call.at(), await call.find(id)
    records = await verbs.verify(at, handle.id)
    body = orjson.dumps(await _exported(at, handle.id), option=orjson.OPT_INDENT_2)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_FILE)
    with os.fdopen(descriptor, "wb") as written:
        written.write(body)
        written.flush()
        os.fsync(written.fileno())
    data: dict[str, JsonValue] = {"id": handle.id, "file": str(file), "bytes": len(body), "records": records}
    call.out.record(data, Text(f"{file}: {handle.id}, {records} records, {len(body):,} bytes"))


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
    now_ms = await (backend.clock.now_ms() if by is None else backend.steering.advance(by_ms))
    kind = call.settings.clock
    data: dict[str, JsonValue] = {"now_ms": now_ms, "now": f"{moment(now_ms)} UTC", "clock": kind, "advanced_ms": by_ms}
    moved = f"{span(by_ms)} later: " if by is not None else ""
    call.out.record(data, Text(f"{moved}{moment(now_ms)} UTC ({kind} clock)"))


async def _everybody(at: Installation) -> list[ContinuationId]:
    return [cid for partition in verbs.partitions(at) for cid in await at.backend.records.ids(partition)]


async def _verified(at: Installation, cid: ContinuationId) -> dict[str, JsonValue]:
    try:
        return {"id": cid, "ok": True, "records": await verbs.verify(at, cid), "error": None}
    except IntegrityError as error:
        return {"id": cid, "ok": False, "records": None, "error": str(error)}


async def _exported(at: Installation, cid: ContinuationId) -> dict[str, JsonValue]:
    """Sealed bytes go as base64: no reader of JSON may change what a MAC covers."""
    glance = await verbs.glance_of(at, cid)
    checkpoint = views.opened(glance, at.seal, at.tenant).checkpoint
    log = await at.backend.records.log(cid)
    found = views.findings(await at.backend.records.findings(checkpoint.root))
    return {
        "format": EXPORT_FORMAT,
        "version": EXPORT_VERSION,
        "id": cid,
        "tenant": at.tenant,
        "exported_at_ms": await at.backend.clock.now_ms(),
        "rev": glance.rev,
        "epoch": glance.epoch,
        "checkpoint": _packed(glance.checkpoint),
        "log": [{"committed_at_ms": at_ms, "record": _packed(record)} for at_ms, record in log],
        "ledger": views.budget(glance.ledger),
        "findings": [finding for finding in found if finding["continuation"] == cid],
    }


def _packed(sealed: bytes) -> str:
    return base64.b64encode(sealed).decode()


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
