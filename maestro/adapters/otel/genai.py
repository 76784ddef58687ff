"""What a span tells of a model call or a tool call, in the words of OpenTelemetry's conventions for generative AI.

Invariant: figures and names only. No prompt, no answer, no argument and no result of a tool is ever in a span.

Source: OpenTelemetry semantic conventions 1.37 and later, `gen_ai.*` (`gen_ai.system` became `gen_ai.provider.name`).
"""

from collections.abc import Mapping, Sequence

from maestro.pager.dispatch import ModelCallResult
from maestro.pager.request import ModelRequest
from maestro.tools.calls import Order

CHAT, EXECUTE_TOOL = "chat", "execute_tool"

Value = str | int | bool | Sequence[str]


def of_request(request: ModelRequest) -> Mapping[str, Value]:
    """What is known before anybody answers."""
    return {
        "gen_ai.operation.name": CHAT,
        "gen_ai.conversation.id": request.cid,
        "gen_ai.request.max_tokens": request.max_output_tokens,
        "maestro.call.id": request.call_id,
        "maestro.call.ordinal": request.ordinal,
        "maestro.call.tier": str(request.tier),
        "maestro.call.step": str(request.step),
        "maestro.call.mode": str(request.mode),
        "maestro.call.reserved_usd_micros": request.price["usd"],
    }


def of_result(result: ModelCallResult) -> Mapping[str, Value]:
    """What the answer took."""
    usage = result.usage
    return {
        "gen_ai.provider.name": result.provider,
        "gen_ai.response.model": result.model,
        "gen_ai.response.finish_reasons": (str(result.stop_reason),),
        "gen_ai.usage.input_tokens": usage.executor_input_tokens + usage.advisor_input_tokens,
        "gen_ai.usage.output_tokens": usage.executor_output_tokens + usage.advisor_output_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cache_read_tokens,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_creation_tokens,
        "maestro.call.cost_usd_micros": result.cost_usd_micros,
        "maestro.call.attempts": result.attempts,
        "maestro.call.advisor_consulted": result.advisor_consulted,
        "maestro.call.estimated": result.estimated,
    }


def of_order(order: Order) -> Mapping[str, Value]:
    """What is known of a tool call."""
    spec = order.tool.spec
    return {
        "gen_ai.operation.name": EXECUTE_TOOL,
        "gen_ai.tool.name": spec.name,
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": order.idempotency_key,
        "maestro.tool.side_effect": str(spec.side_effect),
        "maestro.tool.runs": spec.runs,
    }
