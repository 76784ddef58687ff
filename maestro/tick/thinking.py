"""Thinking in a tick: the verb that a behaviour has for asking a model.

Each thought is an effect: the policy kernel decides by which step it is answered, now or later, or not at all; the
decision is journaled with the intent, and a repeated tick gets the journaled answer.
"""

from dataclasses import replace
from typing import Literal, Protocol, TypeVar, overload

from pydantic import BaseModel, ValidationError

from maestro.errors import MalformedAnswer
from maestro.policy.decision import Mode
from maestro.policy.question import Signals
from maestro.tick.editing import Editing, Looking
from maestro.tick.thought import Thought

Answer = TypeVar("Answer", bound=BaseModel)
Soon = Literal["sync", "async", "batch"]
"""While the tick waits; while nobody waits; together with others, later."""


class Thinker(Looking, Protocol):
    """Answers the thoughts of one tick, with its field as their context."""

    async def think(self, thought: Thought) -> str:
        """The text of the model's answer, journaled."""
        ...


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

        Raises:
            BudgetExceededError: the worst price is more than is free; uncaught, the continuation waits on budget.
            Declined: the kernel lets nobody be asked: it is not worth its price, or not allowed.
            ModelError: no provider answered, or not as `schema` wants it; uncaught, the tick is tried again later.
        """
        told = signals or Signals()
        wished = told if mode is None else replace(told, mode=Mode(mode))
        text = await self.ponder(Thought(question, about, step, schema, max_output_tokens, self.edits, wished))
        return text if schema is None else _fitted(schema, text)

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
