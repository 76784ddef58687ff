"""Artifacts: what tools returned, listed, looked at, and written to a file.

Invariants: only the caller names a file or a folder, no tool does; in a folder the name is the hash; a file that exists
is never written over, nor is a link followed; on a terminal nothing of a tool's text steers it.
"""

import os
from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue
from rich.text import Text

from maestro.cli.command import Call, Id
from maestro.cli.inert import inert
from maestro.cli.output import Column
from maestro.continuation.artifact import Artifact
from maestro.errors import InvalidInput
from maestro.runtime import artifacts as kept

ENDINGS = {"application/json": ".json", "text/plain": ".txt", "text/html": ".html", "text/csv": ".csv",
           "image/png": ".png", "image/jpeg": ".jpg", "application/pdf": ".pdf"}  # fmt: skip
SHOWN_BYTES = 64 * 1024
PRIVATE_FILE = 0o600


async def artifacts(
    call: Call,
    id: Id,
    artifact: Annotated[
        str | None, typer.Argument(metavar="[ARTIFACT]", help="A unique prefix of its SHA-256.", show_default=False)
    ] = None,
    to: Annotated[
        Path | None, typer.Option(help="Write it there: into a folder, or to a file that does not exist yet.")
    ] = None,
) -> None:
    """What the tools of a continuation returned that is kept by its hash. With ARTIFACT: what is in it."""
    at, handle = await call.at(), await call.find(id)
    if artifact is None:
        if to is not None:
            raise InvalidInput("which one is to be written?", field="artifact", hint="name one by its hash")
        rows = [each.told() for each in await kept.artifacts(at, handle.id)]
        columns = [
            Column("TICK", lambda row: str(row["rev"]), right=True),
            Column("ARTIFACT", lambda row: str(row["id"])[:12], whole=True),
            Column("BYTES", lambda row: f"{row['size_bytes']:,}", right=True),
            Column("TYPE", lambda row: str(row["media_type"]), whole=True),
            Column("TOOL", lambda row: str(row["tool"]), whole=True),
            Column("TRUST", lambda row: str(row["taint"])),
            Column("EXCERPT", lambda row: " ".join(str(row["excerpt"]).split()), most=60),
        ]
        call.out.rows(rows, columns, "Its tools returned nothing that is kept so.")
        return
    found, body = await kept.content(at, handle.id, artifact)
    if to is None:
        told = {**found.told(), "text": _text(found.artifact, body)}
        call.out.record(told, Text(inert(str(told["text"] or f"{len(body):,} bytes: write them with --to"))))
        return
    file = written(found.artifact, body, to)
    data: dict[str, JsonValue] = {**found.told(), "file": str(file)}
    call.out.record(data, Text(f"{file}: {len(body):,} bytes"))


def written(artifact: Artifact, body: bytes, to: Path) -> Path:
    """The new file that holds `body`, readable by this user alone.

    Raises:
        InvalidInput: something of that name is there, or there is no such folder.
    """
    file = to / f"{artifact.id}{ENDINGS.get(artifact.media_type, '')}" if to.is_dir() else to
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(file, flags, PRIVATE_FILE)
    except OSError as error:
        told = f"{file}: {error.strerror}"
        raise InvalidInput(told, field="to", hint="name a file that does not exist yet") from None
    with os.fdopen(descriptor, "wb") as open_:
        try:
            open_.write(body)
            open_.flush()
            os.fsync(open_.fileno())
        except BaseException:
            file.unlink()
            raise
    return file


def _text(artifact: Artifact, body: bytes) -> str | None:
    """Its beginning, where it is text."""
    if artifact.media_type != "application/json" and not artifact.media_type.startswith("text/"):
        return None
    shown = body[:SHOWN_BYTES].decode("utf-8", "replace")
    more = len(body) - SHOWN_BYTES
    return shown if more <= 0 else f"{shown}\n[{more:,} bytes more: write it with --to]"
