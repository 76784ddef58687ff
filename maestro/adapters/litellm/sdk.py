"""litellm as this process uses it: quiet, alone, without retries of its own.

What is set here: no telemetry, no callbacks, no logging of prompts, httpx as the only transport, because `failures`
reads the causes that it leaves, with as many connections as there are calls (httpx has 100 at once to all hosts
together, the 101st call would wait unseen; how many are under way is the desk's to say), and no second request behind
our back. litellm 1.106.2 sends one in two cases: after
a broken connection, which no setting turns off although the first may be billed, and with `drop_params` after a 422.
"""

import logging
import ssl
import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import NoReturn

import httpx
import litellm
from litellm.llms.custom_httpx.async_client_cleanup import close_litellm_async_clients
from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler
from litellm.llms.custom_llm import CustomLLM
from litellm.types.utils import Choices, Delta, ModelResponse, ModelResponseStream, StreamingChoices, Usage
from pydantic import JsonValue

from maestro.adapters.litellm.rehearsal import rehearse
from maestro.errors import InvalidInput
from maestro.pager.targets import REHEARSAL

CONNECTIONS = httpx.Limits(max_connections=None, max_keepalive_connections=64)
WireMessage = Mapping[str, JsonValue]


class RehearsalLLM(CustomLLM):
    """The rehearsal model as one of litellm's providers."""

    async def acompletion(  # type: ignore[override]  # litellm passes all by keyword; the rest is of no use here
        self, model: str, messages: Sequence[WireMessage], model_response: ModelResponse, **_: object
    ) -> ModelResponse:
        """The extractive answer, with counted usage."""
        answer = rehearse(messages)
        model_response.model = f"{REHEARSAL}/{model}"
        choice = model_response.choices[0]
        if not isinstance(choice, Choices):
            raise InvalidInput("the rehearsal model does not stream", field="stream", hint="call it without stream")
        choice.message.content = answer.text
        choice.finish_reason = "stop"
        usage = Usage(
            prompt_tokens=answer.input_tokens,
            completion_tokens=answer.output_tokens,
            total_tokens=answer.input_tokens + answer.output_tokens,
        )
        setattr(model_response, "usage", usage)  # noqa: B010 - litellm adds the attribute at run time, too
        return model_response


async def _no_second_request(*_: object, **__: object) -> NoReturn:
    """Takes the place of the retry in litellm's HTTP handler: the error that led to it goes on."""
    error = sys.exception()
    raise error or RuntimeError("litellm sends a second request without an error")


def _transport(
    ssl_context: ssl.SSLContext | None = None, ssl_verify: bool | None = None, **_: object
) -> httpx.AsyncHTTPTransport:
    """What litellm's clients send with: a connection for each call, some of which are kept for the next."""
    verify = ssl_context if ssl_context is not None else ssl_verify is not False
    return httpx.AsyncHTTPTransport(verify=verify, limits=CONNECTIONS)


def configure() -> None:
    """Litellm is set up as the module says; repeated, it changes nothing."""
    litellm.telemetry = False  # pyright: ignore[reportAttributeAccessIssue]  # set by a star import
    litellm.suppress_debug_info = True
    litellm.turn_off_message_logging = True
    litellm.drop_params = False
    litellm.num_retries = 0
    litellm.disable_aiohttp_transport = True
    AsyncHTTPHandler.create_async_transport = staticmethod(_transport)  # type: ignore[assignment]
    AsyncHTTPHandler.single_connection_post_request = _no_second_request  # type: ignore[method-assign]
    litellm.callbacks = []
    litellm.custom_provider_map = [{"provider": REHEARSAL, "custom_handler": RehearsalLLM()}]
    logging.getLogger("LiteLLM").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # litellm builds its models at first use, and pydantic warns of a qualifier in them; that is done here, once.
        warnings.filterwarnings("ignore", message="Item .* `ReadOnly` qualifier", category=UserWarning)
        ModelResponse()
        for piece in (Delta, StreamingChoices, ModelResponseStream):
            piece.model_rebuild()


def listed_row(model: str) -> Mapping[str, object]:
    """What litellm's list says of `model`, with its provider's name or without it; empty where it is not in it."""
    names = (model, model.partition("/")[2], model.removeprefix("bedrock/invoke/"))
    return next((row for row in map(litellm.model_cost.get, names) if row), {})


async def close_connections() -> None:
    """The connections that litellm keeps are closed and forgotten; the next call opens its own."""
    await close_litellm_async_clients()  # type: ignore[no-untyped-call]
    litellm.in_memory_llm_clients_cache.flush_cache()  # type: ignore[no-untyped-call]
