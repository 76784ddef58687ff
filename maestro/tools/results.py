"""Results: which of what a tool returned is kept as an artifact, and as which bytes."""

import orjson
from pydantic import JsonValue

from maestro.continuation.artifact import ARTIFACT_BYTES, JSON, MAX_ARTIFACT_BYTES, TEXT, Artifact, artifact_of
from maestro.errors import ToolFailed
from maestro.tools.attachment import attached


def made_of(result: JsonValue, tool: str, taint: str) -> tuple[Artifact, bytes] | None:
    """(description, bytes) of an attachment, or of what is large; None where the result is read as it is.

    Raises:
        ToolFailed: it is beyond MAX_ARTIFACT_BYTES.
    """
    attachment = attached(result)
    if attachment is not None:
        body, media_type, name = attachment.body, attachment.media_type, attachment.name or "attachment"
    else:
        is_text = isinstance(result, str)
        body = result.encode() if isinstance(result, str) else orjson.dumps(result)
        media_type, name = TEXT if is_text else JSON, None
        if len(body) <= ARTIFACT_BYTES:
            return None
    if len(body) > MAX_ARTIFACT_BYTES:
        raise ToolFailed(f"{tool}: its result is beyond {MAX_ARTIFACT_BYTES} bytes", hint="ask for less")
    return artifact_of(body, tool, media_type, taint, name), body
