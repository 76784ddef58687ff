"""Moving house: export and import."""

import os
from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue
from rich.text import Text

from maestro.cli.command import Call, Id
from maestro.continuation.envelope import Seal
from maestro.errors import InvalidInput
from maestro.home import PRIVATE_FILE, read_private
from maestro.runtime import freight


async def export(
    call: Call,
    id: Id,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="It must not exist yet.")],
    move: Annotated[
        bool, typer.Option("--move/--copy", help="With --move it leaves for ever: here it never wakes again.")
    ] = False,
    to: Annotated[str | None, typer.Option(help="Where it goes, for whoever asks for it here.")] = None,
) -> None:
    """Write a root and all its family into one portable file, sealed. It stays as it is, unless it moves.

    What dies between the move and the file is made good by the same command with another FILE.
    """
    if to is not None and not move:
        raise InvalidInput("a copy goes nowhere", field="to", hint="give --move too, or leave out --to")
    at, handle = await call.at(), await call.find(id)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_FILE)
    with os.fdopen(descriptor, "wb") as written:
        try:
            body = await freight.export(at, handle.id, to or f"the export {file.name}", move=move)
            written.write(body)
            written.flush()
            os.fsync(written.fileno())
        except BaseException:
            file.unlink()
            raise
    done = "moved" if move else "copied"
    data: dict[str, JsonValue] = {"id": handle.id, "file": str(file), "bytes": len(body), "mode": done}
    call.out.record(data, Text(f"{file}: {handle.id} {done}, {len(body):,} bytes"))


async def import_file(
    call: Call,
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="What export wrote.")],
    key_file: Annotated[
        Path | None, typer.Option(help="The mac.key of the store that wrote it, where that is another.")
    ] = None,
) -> None:
    """Take in what an export holds, once however often: it goes on here as if nothing had happened."""
    key = None if key_file is None else Seal((read_private(key_file) or "").encode())
    brought = await freight.bring_in(await call.at(), file.read_bytes(), key)
    if brought.mode == "copy" and brought.new:
        call.out.note("This was a copy: where it came from, it may be alive too.")
    data: dict[str, JsonValue] = {
        "id": brought.root,
        "ids": list(brought.cids),
        "export": brought.export_id,
        "mode": brought.mode,
        "new": brought.new,
    }
    told = "lives here now" if brought.new else "was here already: nothing changed"
    call.out.record(data, Text(f"{brought.root} {told}"))
