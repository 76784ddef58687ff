"""The settings of traces: where they go, and what opens the door there.

Not here: what is in them (`maestro.adapters.otel`), and logs (`log_level`).
"""

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import field_validator
from pydantic_settings import BaseSettings


class TracingSettings(BaseSettings):
    """The part of `Settings` that traces are sent by."""

    otel_endpoint: str | None = None
    """Where traces go, by OTLP over HTTP: http(s)://HOST:PORT. None means that there are none."""
    otel_headers_file: Path | None = None
    """What the collector asks for, NAME=VALUE, one a line; a private file."""

    @field_validator("otel_endpoint")
    @classmethod
    def _check_endpoint(cls, url: str | None) -> str | None:
        parts = urlsplit(url or "")
        if url is not None and (parts.scheme not in ("http", "https") or not parts.hostname or parts.password):
            raise ValueError("write http(s)://HOST:PORT, without a password: that belongs into otel_headers_file")
        return url

    @field_validator("otel_headers_file")
    @classmethod
    def _make_headers_absolute(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser().absolute()
