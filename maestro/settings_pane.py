"""The settings of the HTTP API and its pane: whether it is served, where, and under which names.

Not here: who may ask (tokens are in the store), and what is asked (`maestro.gateway`).
"""

from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode

from maestro import settings_text

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class PaneSettings(BaseSettings):
    """The part of `Settings` that the API is served by."""

    pane: Literal["off", "serve"] | None = None
    """Whether a Serve deployment of the API is kept; None: by `maestro up`, but by nobody else who builds a tree."""
    pane_port: int = Field(default=8700, ge=0, le=65535)
    """Wished for; where nobody named it and it is in use, `maestro up` takes another."""
    pane_host: str = "127.0.0.1"
    """Where it listens; beyond this machine only behind something that speaks TLS."""
    pane_hosts: Annotated[tuple[str, ...], NoDecode] = LOOPBACK
    """Names by which a browser or a program may ask for it, without ports."""
    pane_tls: bool = False
    """True behind TLS: browsers keep the log-in for TLS alone."""
    four_eyes: Annotated[tuple[str, ...], NoDecode] = ()
    """Patterns of actions, such as `mail.*`, that nobody approves over the API who has set them going there."""

    @field_validator("pane_hosts", "four_eyes", mode="before")
    @classmethod
    def _split_hosts(cls, given: object) -> object:
        return settings_text.names(given)

    @property
    def pane_url(self) -> str:
        """Where a browser of this machine finds it."""
        return f"http://{self.pane_host}:{self.pane_port}"
