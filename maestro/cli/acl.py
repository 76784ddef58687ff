"""`maestro acl`: the ACL file of a Redis that holds our store, with users that have no more than they need."""

import secrets
from typing import Annotated

import typer
from pydantic import JsonValue
from rich.text import Text

from maestro.adapters.redis.rights import ADMIN, REPLICA, acl_lines, user_of
from maestro.cli.command import Call
from maestro.home import private_folder, private_text
from maestro.ids import TenantId

PASSWORD_BYTES = 32


def acl(
    call: Call,
    rotate: Annotated[
        bool, typer.Option("--rotate", help="New passwords: until the server has them, nothing works.")
    ] = False,
) -> None:
    """Print the ACL file for the Redis of this tenant. Its passwords are made once, in files of MAESTRO_HOME/secrets.

    The file holds digests only. Load it with `aclfile` in redis.conf, or `redis-cli ACL LOAD`.
    """
    settings, tenant = call.settings, TenantId(call.settings.tenant)
    folder = private_folder(private_folder(settings.home) / "secrets")
    files = {user: folder / f"redis-{user}" for user in (user_of(tenant), ADMIN, REPLICA)}
    if rotate:
        for file in files.values():
            file.unlink(missing_ok=True)
    passwords = {
        user: private_text(file, lambda: secrets.token_urlsafe(PASSWORD_BYTES)) for user, file in files.items()
    }
    lines = acl_lines(tenant, passwords)
    own = user_of(tenant)
    told: dict[str, JsonValue] = {
        "lines": list(lines),
        "user": own,
        "password_files": {user: str(file) for user, file in files.items()},
    }
    call.out.record(told, Text("\n".join(lines)))
    call.out.note(f"Then: MAESTRO_REDIS_URL=redis://{own}@HOST:PORT/0 MAESTRO_REDIS_PASSWORD_FILE={files[own]}")
