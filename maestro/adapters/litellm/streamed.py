"""A stream of litellm as pieces of text and, at its end, the response that they make.

Invariant: the response has usage only where the provider told it in its last chunk; litellm would make one up.
"""

from collections.abc import AsyncGenerator, Awaitable
from typing import Any

import litellm
from litellm.types.utils import ModelResponse


class Streamed:
    """A streamed answer, from the request on."""

    def __init__(self, opening: Awaitable[Any]) -> None:
        self._opening = opening
        self._stream: Any = None

    @property
    def begun(self) -> bool:
        """True when the provider has begun to answer, be it with headers alone."""
        return getattr(self._stream, "completion_stream", None) is not None

    async def pieces(self) -> AsyncGenerator[str | ModelResponse, None]:
        """The pieces of the text, then the whole.

        Raises:
            Exception: whatever litellm raises; the stream broke off, or never began.
        """
        self._stream = await self._opening
        parts = []
        async for part in self._stream:
            parts.append(part)
            if part.choices and (text := part.choices[0].delta.content):
                yield str(text)
        whole = litellm.stream_chunk_builder(parts)
        if not isinstance(whole, ModelResponse):
            raise TypeError(f"litellm made {type(whole).__name__} of a stream")
        if not _tells_usage(getattr(self._stream, "chunks", ())):
            setattr(whole, "usage", None)  # noqa: B010 - litellm adds the attribute at run time, too
        yield whole


def _tells_usage(chunks: Any) -> bool:
    """True when the last chunk as it came from the provider has figures in it."""
    if not chunks:
        return False
    last = chunks[-1]
    return bool(getattr(last, "usage", None) or getattr(last, "_hidden_params", {}).get("usage"))
