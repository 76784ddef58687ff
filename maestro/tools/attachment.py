"""What a tool returns that is no JSON: a page, a picture, a table, with its media type.

    @tool(side_effect="pure")
    def chart(of: str) -> Attachment:
        return Attachment.of(png, "image/png", name="chart.png")

It becomes an artifact (maestro.continuation.artifact), whatever its size.
"""

import base64
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, JsonValue


class Attachment(BaseModel):
    """Bytes with a media type, on their way out of a tool."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["attachment"] = "attachment"
    media_type: str
    base64: str
    name: str | None = None

    @classmethod
    def of(cls, body: bytes | str, media_type: str, name: str | None = None) -> Self:
        raw = body.encode() if isinstance(body, str) else body
        return cls(media_type=media_type, base64=base64.b64encode(raw).decode(), name=name)

    @property
    def body(self) -> bytes:
        """Its bytes.

        Raises:
            ValueError: they are not written in base64.
        """
        return base64.b64decode(self.base64, validate=True)


def attached(result: JsonValue) -> Attachment | None:
    """The attachment that a result is; None where it is none, or not a whole one: then it is read as it stands."""
    if not isinstance(result, dict) or result.get("kind") != "attachment":
        return None
    try:
        attachment = Attachment.model_validate(result)
        base64.b64decode(attachment.base64, validate=True)
    except ValueError:  # pydantic's errors, and those of base64, are such
        return None
    return attachment
