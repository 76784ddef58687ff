"""The settings of the tools that Maestro brings along, and of webhooks: what they are given, and which there are.

Not here: who may use a tool (scopes), and what the web may be asked for (`egress_allow` in maestro.settings).
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

from maestro import settings_text


class ToolSettings(BaseSettings):
    """The part of `Settings` that built-in tools and webhooks live by."""

    mail_url: str | None = None
    """Whom `mail.send` hands letters to and to whom they may go: smtp(s)://USER@HOST:PORT/?from=ADDRESS&to=ADDRESS..."""
    mail_password_file: Path | None = None
    webhooks_file: Path | None = None
    """Which webhooks are taken in, in TOML; None means none."""
    code_execution: bool = False
    """Whether there is a tool `code.run`, that runs programs which a model wrote."""

    artifact_mib_per_family: Annotated[int, Field(ge=1)] = 256
    """Of what tools return that is kept by its hash; a family is a root with all its descendants."""
    artifact_mib_per_tenant: Annotated[int, Field(ge=1)] = 4096

    @field_validator("mail_url")
    @classmethod
    def _check_mail_url(cls, url: str | None) -> str | None:
        return settings_text.mail_url(url)

    @field_validator("mail_password_file", "webhooks_file")
    @classmethod
    def _make_tool_files_absolute(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser().absolute()
