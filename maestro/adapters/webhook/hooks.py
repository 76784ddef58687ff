"""The file that says which webhooks there are: one table per hook, read once when a process begins to take them in.

A table `[ci]` has a `subject`, `secret_files` (private files; two while a secret is replaced) and perhaps `max_bytes`;
what is POSTed to its name becomes an event under its subject.
"""

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from maestro.errors import InvalidInput
from maestro.home import read_private
from maestro.ids import TenantId, check_label
from maestro.mesh.event import MAX_PAYLOAD_BYTES
from maestro.mesh.webhook import Hook, secret_bytes


class _Entry(BaseModel):
    """One hook as it is written down."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    subject: str
    secret_files: list[str] = Field(min_length=1)
    max_bytes: int = Field(default=MAX_PAYLOAD_BYTES, ge=1, le=MAX_PAYLOAD_BYTES)


def hooks_in(path: Path, tenant: TenantId) -> tuple[Hook, ...]:
    """The hooks that the file names, with their secrets.

    Raises:
        InvalidInput: it cannot be read, says something that no hook has, or names a secret that others may read.
    """
    try:
        tables = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _bad(path, str(error)) from None
    return tuple(_hook(path, name, table, tenant) for name, table in tables.items())


def _hook(path: Path, name: str, table: object, tenant: TenantId) -> Hook:
    try:
        entry = _Entry.model_validate(table)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise _bad(path, f"{'.'.join(map(str, (name, *first['loc'])))}: {first['msg']}") from None
    secrets = tuple(secret_bytes(read_private(Path(file)).strip()) for file in entry.secret_files)
    return Hook(check_label(name, "webhook"), entry.subject, secrets, tenant, entry.max_bytes)


def _bad(path: Path, told: str) -> InvalidInput:
    return InvalidInput(f"{path}: {told}", field="webhooks_file", hint="see docs/how-to/add-a-source.md")
