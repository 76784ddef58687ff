"""What an MCP server says, as plain JSON of bounded size.

Invariants: text beyond its limit is cut, and says so; bytes are told by size and hash, never carried; nothing that a
server says is anything but data.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable

import mcp_types as mcp
from pydantic import JsonValue

from maestro.tools.servers import Offer

MAX_TEXT_CHARS = 256 * 1024
MAX_OTHERS = 64
MAX_NOTE_CHARS = 4_000


def offer_of(tool: mcp.Tool) -> Offer:
    """One tool as it is told of; pictures and private fields are left out."""
    annotations = tool.annotations.model_dump(mode="json", exclude_none=True) if tool.annotations else {}
    title = {} if tool.title is None else {"title": tool.title}
    return Offer(
        name=tool.name,
        description=tool.description or "",
        parameters=tool.input_schema,
        output=tool.output_schema,
        annotations={**annotations, **title},
    )


def result_of(result: mcp.CallToolResult) -> dict[str, JsonValue]:
    """A result: its `text`, what it says in `structured` form, and `others`: links, resources, pictures, sound."""
    texts = [block.text for block in result.content if isinstance(block, mcp.TextContent)]
    others = [_other(block) for block in result.content if not isinstance(block, mcp.TextContent)]
    structured: JsonValue = result.structured_content
    return {"text": cut("\n".join(texts)), "structured": structured, "others": list(others[:MAX_OTHERS])}


def resource_of(about: mcp.Resource, contents: Iterable[mcp.ResourceContents]) -> dict[str, JsonValue]:
    """A resource in the version that it has now: its text, and a hash over all of it."""
    texts = [each.text if isinstance(each, mcp.TextResourceContents) else _blob(each) for each in contents]
    whole = "\n".join(texts)
    digest = hashlib.sha256(whole.encode(errors="replace")).hexdigest()
    return {"uri": str(about.uri), "name": about.title or about.name, "text": cut(whole), "sha256": digest}


def note_of(notification: mcp.ServerNotification) -> dict[str, JsonValue] | None:
    """What a server tells unasked; None for what is of no use to anybody here."""
    match notification:
        case mcp.LoggingMessageNotification(params=told):
            return {"kind": "log", "level": str(told.level), "text": cut(str(told.data), MAX_NOTE_CHARS)}
        case mcp.ResourceUpdatedNotification(params=told):
            return {"kind": "resource_updated", "text": cut(str(told.uri), MAX_NOTE_CHARS)}
        case mcp.ResourceListChangedNotification():
            return {"kind": "resources_changed", "text": ""}
        case mcp.ToolListChangedNotification():
            return {"kind": "tools_changed", "text": ""}
        case _:
            return None


def cut(text: str, limit: int = MAX_TEXT_CHARS) -> str:
    """`text`, or its beginning with a word about the rest."""
    return text if len(text) <= limit else f"{text[:limit]}\n[cut: {limit} of {len(text)} characters]"


def _other(block: mcp.ContentBlock) -> dict[str, JsonValue]:
    match block:
        case mcp.ImageContent() | mcp.AudioContent():
            return {"kind": block.type, "mime_type": block.mime_type, **_sized(block.data)}
        case mcp.ResourceLink():
            return {"kind": "link", "uri": str(block.uri), "name": block.name}
        case mcp.EmbeddedResource(resource=mcp.TextResourceContents() as inside):
            return {"kind": "resource", "uri": str(inside.uri), "text": cut(inside.text)}
        case mcp.EmbeddedResource(resource=mcp.BlobResourceContents() as inside):
            return {"kind": "resource", "uri": str(inside.uri), **_sized(inside.blob)}
        case _:
            return {"kind": str(getattr(block, "type", "unknown"))}


def _blob(contents: mcp.ResourceContents) -> str:
    return f"[{contents.mime_type or 'bytes'}: {_sized(getattr(contents, 'blob', ''))['sha256']}]"


def _sized(data: str) -> dict[str, JsonValue]:
    try:
        raw = base64.b64decode(data)
    except (binascii.Error, ValueError):
        raw = data.encode(errors="replace")
    return {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
