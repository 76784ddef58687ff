"""Thinking in a tick: the verb that a behaviour has for asking a model.

Each thought is an effect: the policy kernel decides by which step it is answered, now or later, or not at all; the
decision is journaled with the intent, and a repeated tick gets the journaled answer.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, Protocol, TypeVar, overload

from pydantic import BaseModel, ValidationError

from maestro.errors import InvalidInput, MalformedAnswer
from maestro.policy.decision import Mode
from maestro.policy.question import Signals
from maestro.tick.editing import Editing, Looking
from maestro.tick.exchange import Equipped, Exchange, Toolset
from maestro.tick.thought import Thought, Thoughtful
from maestro.tick.using import Hands
from maestro.tools.attention import Promoted
from maestro.tools.spec import Tool

Answer = TypeVar("Answer", bound=BaseModel)
Soon = Literal["sync", "async", "batch"]
"""While the tick waits; while nobody waits; together with others, later."""


class Thinker(Looking, Thoughtful, Hands, Protocol):
    """Answers the thoughts of one tick, with its field as their context."""

    async def think(self, thought: Thought) -> str:
        """The text of the model's answer, journaled."""
        ...

    @property
    def promoted(self) -> Promoted:
        """The tools that its model was last shown, and for which goal; kept from tick to tick."""
        ...

    @promoted.setter
    def promoted(self, shown: Promoted) -> None: ...


class Thinking(Editing):
    """What a tick can ask of models; mixed into Tick."""

    _mind: Thinker  # pyright: ignore[reportIncompatibleVariableOverride] - a mind can do both

    @overload
    async def think(
        self,
        question: str,
        *,
        about: str = "",
        step: str | None = "sonnet",
        max_output_tokens: int = 800,
        mode: Soon | None = None,
        signals: Signals | None = None,
        stream: bool = False,
    ) -> str: ...
    @overload
    async def think(
        self,
        question: str,
        *,
        schema: type[Answer],
        about: str = "",
        step: str | None = "sonnet",
        max_output_tokens: int = 800,
        mode: Soon | None = None,
        signals: Signals | None = None,
    ) -> Answer: ...
    async def think(
        self,
        question: str,
        *,
        schema: type[BaseModel] | None = None,
        about: str = "",
        step: str | None = "sonnet",
        max_output_tokens: int = 800,
        mode: Soon | None = None,
        signals: Signals | None = None,
        stream: bool = False,
    ) -> str | BaseModel:
        """A model's answer to `question`, with the top of the field as its context.

        With mode `async` or `batch` the continuation sleeps until the answer is there, without a process; the tick then
        begins again and finds it here. What comes before runs twice: it may depend on state, mail, earlier answers.
        So it is, too, where the kernel lets a child think it: a large part, of which `signals` say that it is
        independent; the child gets a share of the budget, and what it leaves comes back.

        Args:
            schema: the answer comes as this model; without it, as text.
            about: material that the question is about; it stands last in the prompt.
            step: the gradient step to ask for; the policy kernel may decide for a cheaper one. None leaves it to the
                signals.
            mode: how soon the answer is wanted; None leaves it to the kernel, which may decide otherwise where a
                deadline or the queue presses.
            signals: what is known about the work: its kind, its worth, its urgency.
            stream: the text can be read while it is written (`Handle.stream`, `maestro watch`). No schema then.

        Raises:
            BudgetExceededError: the worst price is more than is free; uncaught, the continuation waits on budget.
            InvalidInput: a stream with a schema.
            Declined: the kernel lets nobody be asked: it is not worth its price, or not allowed.
            ModelError: no provider answered, or not as `schema` wants it; uncaught, the tick is tried again later.
        """
        told = signals or Signals()
        if stream and schema is not None:
            raise InvalidInput("an answer by schema is told whole", field="stream", hint="leave out stream or schema")
        wished = told if mode is None else replace(told, mode=Mode(mode))
        if stream:  # whoever reads it looks for it here
            wished = replace(wished, independent=False)
        text = await self.ponder(Thought(question, about, step, schema, max_output_tokens, self.edits, wished, stream))
        return text if schema is None else _fitted(schema, text)

    @overload
    async def think_with(
        self,
        tools: Toolset | Sequence[str | Tool],
        question: str,
        *,
        about: str = "",
        step: str | None = "sonnet",
        max_output_tokens: int = 800,
        signals: Signals | None = None,
    ) -> str: ...
    @overload
    async def think_with(
        self,
        tools: Toolset | Sequence[str | Tool],
        question: str,
        *,
        schema: type[Answer],
        about: str = "",
        step: str | None = "sonnet",
        max_output_tokens: int = 800,
        signals: Signals | None = None,
    ) -> Answer: ...
    async def think_with(
        self,
        tools: Toolset | Sequence[str | Tool],
        question: str,
        *,
        schema: type[BaseModel] | None = None,
        about: str = "",
        step: str | None = "sonnet",
        max_output_tokens: int = 800,
        signals: Signals | None = None,
    ) -> str | BaseModel:
        """A model's answer, after as many uses of these tools as it asked for; the others are those of `think`.

        Given are tools, names of tools, and names of what it may decide for this continuation (maestro.tick.own).
        Each turn of the model and each use is an effect of its own. A use that a person has to allow interrupts the
        tick in the midst, and it goes on there. A model has no tools but these, and each is guarded as by `use`.

        Raises:
            TurnsExhausted: it never came to an answer.
            InvalidInput: two tools that a model could not tell apart, or one that is a stream.
            ToolNotFound: there is none of a name. Otherwise as `think`.
        """
        given = tools if isinstance(tools, Toolset) else Toolset(tools)
        here = replace(signals or Signals(), independent=False)  # what its tools say is needed in this tick
        thought = Thought(question, about, step, schema, max_output_tokens, self.edits, here)
        exchange = Exchange(self._hands(), given, self._before.goal.goal, self._mind.promoted)
        text = await exchange.answer(thought)
        self._mind.promoted = exchange.shown
        return text if schema is None else _fitted(schema, text)

    def _hands(self) -> Equipped:
        """Who carries out what a model asks for."""
        return self._mind

    async def ponder(self, thought: Thought) -> str:
        """The text of a model's answer to a thought that is complete already; the errors are those of `think`."""
        return await self._mind.think(thought)


def _fitted(schema: type[BaseModel], text: str) -> BaseModel:
    try:
        return schema.model_validate_json(text)
    except ValidationError as error:
        raise MalformedAnswer(
            f"the answer does not fit {schema.__name__}: {error.errors()[0]['msg']}",
            hint="what the schema cannot say to a model, check in the behaviour",
        ) from error
