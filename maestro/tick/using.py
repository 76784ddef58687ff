"""Using tools in a tick: the verbs that a behaviour has for them.

Each use is an effect: its intent, with the price reserved, is journaled before it, its outcome after it; a repeated
tick is given the journaled outcome.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import orjson
from pydantic import JsonValue

from maestro.errors import InvalidInput, ToolError
from maestro.tools.spec import Spec, Tool

AT_MOST = 4
"""Of `use_all`, at the same time."""
MAX_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Use:
    """One wish to use a tool."""

    tool: str | Tool
    arguments: Mapping[str, Any]
    gate: asyncio.Semaphore | None = None
    """Passed before it is carried out; its place in the journal is taken before."""
    brief: bool = False
    """Of a result that became an artifact, the description is enough."""

    @property
    def name(self) -> str:
        return self.tool if isinstance(self.tool, str) else self.tool.name

    @property
    def key(self) -> str:
        """What makes two wishes the same one."""
        asked = orjson.dumps([self.name, dict(self.arguments)], default=str, option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(asked).hexdigest()[:32]


class Hands(Protocol):
    """Carries out the use of tools in one tick."""

    async def use(self, wish: Use) -> JsonValue:
        """The outcome, journaled."""
        ...

    def tools(self, named: Sequence[str | Tool]) -> list[Tool]:
        """Those of these names.

        Raises:
            ToolNotFound: there is none of a name.
        """
        ...

    def shown(self, tools: Sequence[Tool]) -> list[Spec]:
        """Their declarations as a model is shown them: without what is filled in for it."""
        ...

    async def settled(self) -> None:
        """No unsafe call of an earlier try is without an outcome.

        Raises:
            Interrupted: one is; a person is asked.
        """
        ...


class Using:
    """What a tick can do with tools; mixed into Tick."""

    _mind: Hands

    async def settled(self) -> None:
        """The tick may begin: see Hands."""
        await self._mind.settled()

    async def use(self, tool: str | Tool, /, **arguments: Any) -> JsonValue:
        """What the tool returned.

        Where a person has to be asked (its risk, untrusted input, an unknown outcome) the tick is interrupted and goes
        on from here with the answer.

        Raises:
            ToolError: it has no result; each kind says why and what to do.
            BudgetExceededError: its price is more than is free; uncaught, the continuation waits on budget.
        """
        return await self._mind.use(Use(tool, arguments))

    async def use_all(
        self, wishes: Sequence[tuple[str | Tool, Mapping[str, Any]]], *, at_most: int = AT_MOST
    ) -> list[JsonValue | ToolError]:
        """The outcomes in the order of the wishes, `at_most` of them under way at once; a ToolError stands for itself.

        All have ended when it returns or raises.

        Raises:
            InvalidInput: more than MAX_AT_ONCE wishes, or at most none at a time.
        """
        if len(wishes) > MAX_AT_ONCE or at_most < 1:
            raise InvalidInput(
                f"{len(wishes)} uses, {at_most} at once", field="at_most", hint=f"at most {MAX_AT_ONCE}, by 1 or more"
            )
        return await together(self._mind, [Use(tool, arguments) for tool, arguments in wishes], at_most)


async def together(hands: Hands, wishes: Sequence[Use], at_most: int) -> list[JsonValue | ToolError]:
    """The outcomes in the order of the wishes, `at_most` of them under way at once; see `Using.use_all`."""
    gate = asyncio.Semaphore(at_most)
    uses = [hands.use(replace(wish, gate=gate)) for wish in wishes]
    outcomes = await asyncio.gather(*uses, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, ToolError):
            raise outcome
    return [outcome for outcome in outcomes if not isinstance(outcome, BaseException) or isinstance(outcome, ToolError)]
