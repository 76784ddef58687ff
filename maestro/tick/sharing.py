"""What the tools of a continuation share: values put into their calls and taken out of their results, secrets unseen.

    given  -> arguments as they are journaled and shown: no secret among them
    whole  -> the arguments that leave for the worker
    taken  -> the result as it is journaled and told, and what of it was captured

Invariants: what is journaled, asked about or told holds no secret of this continuation that its tools were given, nor
one that was captured; what was captured is remembered when its outcome is, so a repeated tick remembers the same.
"""

from collections.abc import Awaitable, Callable, Mapping

import orjson
from pydantic import JsonValue

from maestro.continuation.remembered import (
    MAX_CAPTURED_BYTES,
    captured_secret,
    captured_value,
    secret_block,
    secret_in,
)
from maestro.errors import ToolDeclined, ToolError
from maestro.tick.journal import Journal
from maestro.tools.calls import error_body, error_of
from maestro.tools.context import Reveal, Variable, field_at, scrubbed, texts_in, without
from maestro.tools.spec import Spec, Tool

Arguments = dict[str, JsonValue]
Fetch = Callable[[list[str]], Awaitable[Mapping[str, bytes]]]
Put = Callable[[dict[str, bytes]], Awaitable[None]]


class Sharing:
    """Of one try of one tick."""

    def __init__(self, journal: Journal, fetch: Fetch, put: Put, reveal: Reveal) -> None:
        self._journal = journal
        self._fetch = fetch
        self._put = put
        self._reveal = reveal
        self._heard: set[str] = set()
        """Texts that must not be read anywhere: every secret that this try has touched."""

    def shown(self, spec: Spec) -> Spec:
        """The declaration, without the parameters that are filled here."""
        return without(spec, [each.goes_to for each in self._for(spec) if self._has_value(each)])

    async def given(self, tool: Tool, wished: Mapping[str, JsonValue]) -> Arguments:
        """The arguments as the tool takes them, shared values filled in, secrets left out.

        Raises:
            ToolValidationError: they are not as the tool declares them.
            ToolDeclined: a secret is not to be had.
        """
        filled, secret = dict(wished), await self._secrets(tool.spec)
        for each in self._for(tool.spec):
            if not each.secret and self._has_value(each) and (each.override or each.goes_to not in filled):
                filled[each.goes_to] = self._value(each)
        checked = self._checked(tool, {**filled, **secret})
        return {name: value for name, value in checked.items() if name not in secret}

    async def whole(self, tool: Tool, arguments: Arguments) -> Arguments:
        """The same with the secrets: for the worker, and nobody else."""
        secret = await self._secrets(tool.spec)
        return self._checked(tool, {**arguments, **secret}) if secret else arguments

    async def taken(self, tool: Tool, result: JsonValue) -> tuple[JsonValue, Arguments]:
        """(the result as it may be read, what was captured from it)."""
        captured: Arguments = {}
        blocks: dict[str, bytes] = {}
        for each, path in self._journal.context.captured_from(tool.name):
            value = field_at(result, path)
            if value is None or len(orjson.dumps(value)) > MAX_CAPTURED_BYTES:
                continue
            captured[each.name] = captured_secret(value, blocks) if each.secret else captured_value(value)
            if each.secret:
                self._heard.update(texts_in(value))
        if blocks:
            await self._put(blocks)
        return scrubbed(result, self._heard), captured

    def told(self, error: ToolError) -> ToolError:
        """The error as it may be read."""
        body = scrubbed(error_body(error), self._heard)
        return error_of(body) if self._heard and isinstance(body, dict) else error

    def remember(self, captured: JsonValue) -> None:
        """What a journaled outcome captured counts from now on."""
        if isinstance(captured, dict):
            self._journal.memory = self._journal.memory.with_captured(captured)

    def captures_secret(self, tool: Tool) -> bool:
        """True where a result of the tool must be kept by nobody."""
        return any(each.secret for each, _ in self._journal.context.captured_from(tool.name))

    def _for(self, spec: Spec) -> list[Variable]:
        properties = spec.parameters.get("properties")
        taken = properties if isinstance(properties, dict) else {}
        return [each for each in self._journal.context.for_tool(spec.name) if each.goes_to in taken]

    def _has_value(self, each: Variable) -> bool:
        known = each.name in self._journal.memory.captured
        return known or each.reference is not None or each.initial is not None

    def _value(self, each: Variable) -> JsonValue:
        captured = self._journal.memory.captured.get(each.name)
        return captured["value"] if isinstance(captured, dict) and "value" in captured else each.initial

    async def _secrets(self, spec: Spec) -> Arguments:
        """Parameter -> secret, of those that there are."""
        found: Arguments = {}
        for each in self._for(spec):
            if not each.secret:
                continue
            name = secret_block(self._journal.memory.captured.get(each.name))
            if name is not None:
                block = (await self._fetch([name])).get(name)
                if block is None:
                    raise ToolDeclined(f"{spec.name}: what was captured as {each.name} is gone", hint="capture it anew")
                found[each.goes_to] = secret_in(block)
            elif each.reference is not None:
                found[each.goes_to] = self._reveal(each.reference)
        for value in found.values():
            self._heard.update(texts_in(value))
        return found

    def _checked(self, tool: Tool, arguments: Mapping[str, JsonValue]) -> Arguments:
        try:
            return tool.arguments(arguments)
        except ToolError as error:
            raise self.told(error) from None
