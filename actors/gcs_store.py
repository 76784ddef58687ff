"""Where Ray's control store keeps its state, when that is a Redis of its own and not its memory.

With it a head that was killed comes back knowing its nodes and actors, and they go on; without it, which is the
default, the whole cluster is built anew from our store. Neither holds a truth of ours.

Invariant: it is never the server that our own state lies in. A Redis that stalls or restarts takes Ray's control plane
with it (PROMISES R7), and one fault must not be two.
"""

import secrets
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from ray._private.gcs_utils import cleanup_redis_storage

from maestro.adapters.redis.checks import run_ids_of
from maestro.errors import InvalidInput
from maestro.home import read_private
from maestro.settings import Settings


@dataclass(frozen=True, slots=True)
class GcsStore:
    """A Redis, and the namespace in it that one head has for itself."""

    host: str
    port: int
    user: str
    password: str
    tls: bool
    namespace: str

    @classmethod
    def of(cls, settings: Settings, namespace: str | None = None) -> "GcsStore | None":
        """What the settings name; a new namespace unless one is given. None: Ray's memory.

        Raises:
            InvalidInput: it is no address that Ray can use.
        """
        if settings.gcs_redis_url is None:
            return None
        parts = urlsplit(settings.gcs_redis_url)
        if parts.scheme not in ("redis", "rediss") or not parts.hostname or parts.password or parts.path.strip("/"):
            hint = "write redis://[USER@]HOST:PORT or rediss://..., the password into gcs_redis_password_file"
            raise InvalidInput("Ray cannot keep its state at gcs_redis_url", field="gcs_redis_url", hint=hint)
        file = settings.gcs_redis_password_file
        user, password = unquote(parts.username or ""), read_private(file) if file else ""
        name = namespace or f"maestro-{secrets.token_hex(4)}"
        return cls(parts.hostname, parts.port or 6379, user, password, parts.scheme == "rediss", name)

    @property
    def url(self) -> str:
        """How a client of ours reaches it."""
        user = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@" if self.password else ""
        return f"{'rediss' if self.tls else 'redis'}://{user}{self.host}:{self.port}"

    def check_apart(self, ours: str) -> str:
        """It answers, and is another server than that at the URL `ours`; returns where it is.

        Raises:
            InvalidInput: it is the same server.
            StoreUnavailable: one of the two does not answer.
        """
        place = f"{self.host}:{self.port}"
        if set(run_ids_of(self.url)) & set(run_ids_of(ours)):
            hint = "start another Redis for Ray, or unset MAESTRO_GCS_REDIS_URL: Ray then keeps its state in memory"
            raise InvalidInput(f"{place} is the server of our own state", field="gcs_redis_url", hint=hint)
        return place

    def sweep(self) -> None:
        """Nothing of that namespace is kept any more."""
        cleanup_redis_storage(self.host, self.port, self.password, self.tls, self.namespace, self.user)
