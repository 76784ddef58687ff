"""litellm as this process uses it: quiet, alone, without retries of its own.

What is set here: no telemetry, no callbacks, no logging of prompts, no retries (the chain is ours), and httpx as the only
transport, because `failures` reads the causes that httpx leaves. What a provider does not know is dropped from a request.
"""

import logging
from collections.abc import Mapping, Sequence

import litellm
from pydantic import JsonValue

from maestro.adapters.litellm.rehearsal import rehearse
from maestro.errors import InvalidInput
from maestro.pager.targets import REHEARSAL

WireMessage = Mapping[str, JsonValue]


class RehearsalLLM(litellm.CustomLLM):  # type: ignore[misc]  # litellm's class is typed Any
    """The rehearsal model as one of litellm's providers."""

    async def acompletion(
        self, model: str, messages: Sequence[WireMessage], model_response: litellm.ModelResponse, **_: object
    ) -> litellm.ModelResponse:
        """The extractive answer, with counted usage."""
        answer = rehearse(messages)
        model_response.model = f"{REHEARSAL}/{model}"
        choice = model_response.choices[0]
        if not isinstance(choice, litellm.Choices):
            raise InvalidInput("the rehearsal model does not stream", field="stream", hint="call it without stream")
        choice.message.content = answer.text
        choice.finish_reason = "stop"
        usage = litellm.Usage(
            prompt_tokens=answer.input_tokens,
            completion_tokens=answer.output_tokens,
            total_tokens=answer.input_tokens + answer.output_tokens,
        )
        model_response.usage = usage
        return model_response


def configure() -> None:
    """litellm is set up as the module says; repeated, it changes nothing."""
    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.turn_off_message_logging = True
    litellm.drop_params = True
    litellm.num_retries = 0
    litellm.disable_aiohttp_transport = True
    litellm.callbacks = []
    litellm.custom_provider_map = [{"provider": REHEARSAL, "custom_handler": RehearsalLLM()}]
    logging.getLogger("LiteLLM").setLevel(logging.ERROR)
