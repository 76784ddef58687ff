"""What a behaviour sees and may do during one tick.

Two kinds of outward act, never mixed. An *effect* (`think`) is awaited: its answer is journaled, and a repeated tick
gets the same answer without asking again. A *directive* (`spawn`, `publish` ...) is only noted here; it takes part in
the commit and happens after it, once.
"""

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar, overload

from pydantic import BaseModel, JsonValue, ValidationError

from maestro.budget.vector import BudgetVector
from maestro.continuation.checkpoint import Checkpoint
from maestro.continuation.directive import (
    Act,
    CancelTimer,
    Grant,
    Interest,
    Publish,
    Report,
    Send,
    SetTimer,
    Sleep,
    Spawn,
    Subscribe,
    Unsubscribe,
    approval,
)
from maestro.continuation.finding import Finding
from maestro.continuation.goal import GoalFrame
from maestro.continuation.mail import Mail
from maestro.continuation.wait import WAKE_TIMER, ApprovalResolution, parts
from maestro.errors import BudgetExceededError, InvalidInput, MalformedAnswer
from maestro.field.project import Weighed
from maestro.ids import ContinuationId, Rev, TimeMs, check_continuation_id, check_label, child_id, derived_token
from maestro.mesh.subject import check_pattern, check_subject
from maestro.tick.thought import Thought

State = TypeVar("State", bound=BaseModel)
Answer = TypeVar("Answer", bound=BaseModel)

MAX_SPAWNS = 16  # per tick; PROMISES B43
DIGEST_MAILS = 20  # the digest in a prompt lists so many unread mails and counts the rest


class Mind(Protocol):
    """Carries out the effects of one tick, in order and once."""

    async def think(self, thought: Thought) -> str:
        """The text of the model's answer, journaled."""
        ...

    async def top(self, n: int) -> Sequence[Weighed]:
        """The top of the field, heaviest first."""
        ...


class Tick(Generic[State]):
    """One tick of one continuation."""

    def __init__(
        self,
        before: Checkpoint,
        state: State,
        inbox: Sequence[Mail],
        free: BudgetVector,
        mind: Mind,
        rev: Rev,
        now_ms: TimeMs,
    ) -> None:
        self.state = state
        self.inbox = tuple(inbox)
        self.now_ms = now_ms
        self._before = before
        self._free = free
        self._mind = mind
        self._rev = rev
        self._acts: list[Act] = []

    @property
    def id(self) -> ContinuationId:
        return self._before.id

    @property
    def goal(self) -> GoalFrame:
        return self._before.goal

    @property
    def about(self) -> Checkpoint:
        """The checkpoint that this tick started from: input, parent, children, interests."""
        return self._before

    @property
    def trigger(self) -> Mail | None:
        """The mail that woke this tick."""
        return self.inbox[0] if self.inbox else None

    @property
    def budget(self) -> BudgetVector:
        """What is still free of each limited resource, less what this tick has promised to children."""
        promised = [
            act.budget if isinstance(act, Spawn) else act.amount for act in self._acts if isinstance(act, Spawn | Grant)
        ]
        return BudgetVector({name: max(0, free - sum(p[name] for p in promised)) for name, free in self._free.items()})

    @property
    def acts(self) -> tuple[Act, ...]:
        """The directives so far, in their order."""
        return tuple(self._acts)

    @overload
    async def think(
        self, question: str, *, about: str = "", step: str = "sonnet", max_output_tokens: int = 800
    ) -> str: ...
    @overload
    async def think(
        self,
        question: str,
        *,
        schema: type[Answer],
        about: str = "",
        step: str = "sonnet",
        max_output_tokens: int = 800,
    ) -> Answer: ...
    async def think(
        self,
        question: str,
        *,
        schema: type[BaseModel] | None = None,
        about: str = "",
        step: str = "sonnet",
        max_output_tokens: int = 800,
    ) -> str | BaseModel:
        """A model's answer to `question`, with the top of the field as its context.

        Args:
            schema: the answer comes as this model; without it, as text.
            about: material that the question is about; it stands last in the prompt.
            step: the gradient step to ask for; the policy kernel may decide for a cheaper one.

        Raises:
            BudgetExceededError: the worst price is more than is free; uncaught, the continuation waits on budget.
            ModelError: no provider answered, or not as `schema` wants it; uncaught, the tick is tried again later.
        """
        thought = Thought(question=question, about=about, step=step, schema=schema, max_output_tokens=max_output_tokens)
        text = await self._mind.think(thought)
        return text if schema is None else _fitted(schema, text)

    async def field(self, n: int = 20) -> Sequence[Weighed]:
        """The top of the context field, heaviest first; ranked when the data came, not now."""
        return await self._mind.top(n)

    def spawn(
        self,
        behaviour: str | type,
        *,
        goal: str | GoalFrame,
        budget: BudgetVector,
        input: JsonValue = None,
        pool: str | None = None,
    ) -> ContinuationId:
        """A child is born with the commit; returns its id, the same in every try of this tick.

        Raises:
            BudgetExceededError: `budget` is more than is free now.
            InvalidInput: more than MAX_SPAWNS children in one tick.
        """
        spawns = sum(isinstance(act, Spawn) for act in self._acts)
        if spawns >= MAX_SPAWNS:
            raise InvalidInput(
                f"more than {MAX_SPAWNS} children in one tick", field="spawn", hint="spawn the rest next tick"
            )
        self._require(budget)
        name = behaviour if isinstance(behaviour, str) else getattr(behaviour, "name", behaviour.__name__)
        child = child_id(self.id, self._rev, spawns, self._before.updated_at_ms)
        frame = GoalFrame(goal=goal) if isinstance(goal, str) else goal
        where = pool or str(getattr(behaviour, "pool", "default"))
        if where == "dedicated":
            where = f"dedicated-{child}"
        self._acts.append(
            Spawn(
                child=child,
                behaviour=check_label(name, "behaviour"),
                goal=frame,
                budget=budget,
                input=input,
                pool=check_label(where, "pool"),
            )
        )
        return child

    def grant(self, child: ContinuationId, amount: BudgetVector) -> None:
        """A living child gets more of this budget, and is told.

        Raises:
            BudgetExceededError: `amount` is more than is free now.
            InvalidInput: `child` is no child of this continuation.
        """
        if child not in self._before.children:
            raise InvalidInput(f"{child} is no child of {self.id}", field="child", hint="grant to children only")
        self._require(amount)
        self._acts.append(Grant(child=child, amount=amount))

    def send(self, to: str, body: JsonValue, subject: str = "") -> None:
        """A message to another continuation."""
        self._acts.append(Send(to=check_continuation_id(to, "to"), subject=subject, body=body))

    def publish(
        self, what: Finding | str, payload: JsonValue = None, *, key: str | None = None, type: str = "event"
    ) -> None:
        """A finding becomes public, or an event goes to all who subscribed to the subject `what`.

        Args:
            key: the same (publisher, key) again is the same event; by default unique to this act.
        """
        if isinstance(what, Finding):
            self._acts.append(Report(finding=what))
            return
        name = key or derived_token("event", self.id, self._rev, len(self._acts))
        self._acts.append(Publish(subject=check_subject(what), event_type=type, key=name, payload=payload))

    def subscribe(self, pattern: str, *, relevance: float | None = None) -> str:
        """Events whose subject matches `pattern` arrive from the commit on; returns the interest's id.

        Args:
            relevance: wake only for events that score at least this (0..1) against the goal; others enter the field.
        """
        interest_id = derived_token("interest", self.id, check_pattern(pattern))
        self._acts.append(Subscribe(interest=Interest(id=interest_id, pattern=pattern, relevance=relevance)))
        return interest_id

    def unsubscribe(self, interest_id: str) -> None:
        self._acts.append(Unsubscribe(interest_id=interest_id))

    def set_timer(self, timer_id: str, due_ms: int) -> None:
        """`on_timer(timer_id)` runs at `due_ms` on the store's clock or later, never before; once.

        Raises:
            InvalidInput: no label, or the name of the timer that `Sleep.until` sets.
        """
        if timer_id == WAKE_TIMER:
            raise InvalidInput(f"{WAKE_TIMER!r} is the timer of Sleep.until", field="timer_id", hint="choose another")
        self._acts.append(SetTimer(timer_id=check_label(timer_id, "timer_id"), due_ms=TimeMs(due_ms)))

    def cancel_timer(self, timer_id: str) -> None:
        self._acts.append(CancelTimer(timer_id=timer_id))

    def ask_approval(self, action: str, arguments: JsonValue = None) -> Sleep:
        """The wait for a person's word on exactly this action; return it, or combine it with Wait.any_of.

        The same action with the same arguments as is being asked already goes on being asked, under the same id.
        """
        for part in parts(self._before.wait) if self._before.wait is not None else ():
            if isinstance(part, ApprovalResolution) and (part.action, part.arguments) == (action, arguments):
                return Sleep(wait=part)
        return Sleep(wait=approval(action, arguments, self.id, self._rev))

    def _require(self, amount: BudgetVector) -> None:
        free = self.budget
        short = free.short_of(amount)
        if short is not None:
            raise BudgetExceededError(
                f"cannot lend {amount[short]} {short}: only {free[short]} free",
                field=f"budget.{short}",
                hint=f"lend less, or `maestro rebudget {self.id} {short}=+{amount[short] - free[short]}`",
                resource=short,
                asked=amount[short],
                free=free[short],
            )


def _fitted(schema: type[BaseModel], text: str) -> BaseModel:
    try:
        return schema.model_validate_json(text)
    except ValidationError as error:
        raise MalformedAnswer(
            f"the answer does not fit {schema.__name__}: {error.errors()[0]['msg']}",
            hint="what the schema cannot say to a model, check in the behaviour",
        ) from error
