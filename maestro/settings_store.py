"""The settings of the store: where it is, who says so, and when a write counts as done.

Invariant: `store_url()` alone has the password, and it goes to the adapter and nowhere else.
Not here: what a URL may look like (`maestro.settings_text`), and what the server itself is set to (`maestro doctor`).
"""

from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote, urlencode

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings

from maestro import settings_text
from maestro.continuation.checkpoint import Durability
from maestro.home import read_private


class StoreSettings(BaseSettings):
    """The part of `Settings` that the store is found by."""

    redis_url: str | None = None
    """Without its password; None means the embedded server. `store_url()` is what connects."""
    redis_password: SecretStr | None = None
    redis_password_file: Path | None = None
    redis_ca_file: Path | None = None
    """Whose certificates are believed, where the URL is rediss://; None means those that this machine believes."""
    redis_cert_file: Path | None = None
    """What this side shows, where the server asks for it; its key is in `redis_key_file`."""
    redis_key_file: Path | None = None
    redis_fsync: Literal["always", "everysec"] = "always"
    redis_replicas: int = Field(default=0, ge=0, le=16)
    """How many replicas must have a write before it counts as done (WAIT)."""
    partitions: int = Field(default=1, ge=1, le=1024)

    @property
    def durability(self) -> Durability:
        """What an acknowledged write survives: see docs/how-to/spread-the-store.md."""
        return "replicated" if self.redis_replicas else self.redis_fsync

    def store_url(self) -> str | None:
        """The Redis URL with its password and certificates; None means the embedded server."""
        password = self.secret_of(self.redis_password, self.redis_password_file)
        if self.redis_url is None:
            return None
        scheme, _, rest = self.redis_url.partition("://")
        if password is not None:
            user, at, place = rest.rpartition("@") if scheme != "unix" else ("", "@", rest)
            rest = f"{user if at else ''}:{quote(password, safe='')}@{place}"
        return f"{scheme}://{rest}{self._certificates(rest)}"

    def secret_of(self, value: SecretStr | None, file: Path | None) -> str | None:
        """What is set as such, else what stands in the file."""
        if value is not None:
            return value.get_secret_value()
        return None if file is None else read_private(file)

    def _certificates(self, rest: str) -> str:
        files = {"ca_certs": self.redis_ca_file, "certfile": self.redis_cert_file, "keyfile": self.redis_key_file}
        told = urlencode({f"ssl_{name}": str(path) for name, path in files.items() if path is not None})
        return f"{'&' if '?' in rest else '?'}{told}" if told else ""

    @field_validator("redis_password_file", "redis_ca_file", "redis_cert_file", "redis_key_file")
    @classmethod
    def _make_files_absolute(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser().absolute()

    @field_validator("redis_url")
    @classmethod
    def _check_redis_url(cls, url: str | None) -> str | None:
        return settings_text.redis_url(url)

    @model_validator(mode="after")
    def _check_certificates(self) -> Self:
        named = self.redis_ca_file or self.redis_cert_file or self.redis_key_file
        if named and not (self.redis_url or "").startswith("rediss"):
            raise ValueError("certificates are of use with rediss:// only: correct redis_url")
        if (self.redis_cert_file is None) != (self.redis_key_file is None):
            raise ValueError("redis_cert_file and redis_key_file go together")
        return self
