"""Own verbs: what a model may decide for the continuation that asks it, as tools that it can name.

    await tick.think_with([*OWN, "web.fetch"], "what is to be done about it?")

Of a behaviour's verbs those that a model may be given: findings, children, timers, mail, the context field. Each is a
tool like any other: its arguments are validated, the guard wants a scope of its name, its use is counted, journaled
and told. What it decides is a directive, written down in its outcome: so it is part of the commit, and a repeated try
takes it from the journal and decides nothing again.
Invariants: a verb does nothing outside the commit, so it is `pure`; one that is refused has decided nothing; verbs of
one turn are carried out one after the other, in the model's order; a model writes only to whom its continuation knows,
begets only kinds that its scopes name (`self.spawn.KIND`), and gives a child no scope that it is not told to give.
What is not here: publishing events, subscribing, ending the tick. That is for the behaviour to decide.

Source: spec/04 section 4; PROMISES P15, B45, B75.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from maestro.budget.vector import BudgetVector
from maestro.continuation.checkpoint import Checkpoint
from maestro.continuation.directive import Act
from maestro.continuation.finding import Finding
from maestro.continuation.mail import Mail
from maestro.errors import BudgetExceededError, InvalidInput, ToolDeclined, ToolDenied, UnknownEntryError
from maestro.field.editing import Found
from maestro.field.project import Weighed
from maestro.ids import ContinuationId, TimeMs, check_label
from maestro.tick.exchange import Equipped
from maestro.tick.thought import Thought, Turn
from maestro.tick.using import Use
from maestro.tools.guard import covered
from maestro.tools.registry import OWN_PREFIX as PREFIX
from maestro.tools.spec import Spec, Tool, tool

SPAWN = f"{PREFIX}spawn"
MOST_SHOWN = 50  # entries, or mails, of one answer
MOST_CHARS = 500  # of an entry's body
MONTH_S = 31 * 86_400

Told = dict[str, JsonValue]


class Acting(Protocol):
    """Of a tick, what its model may be lent."""

    inbox: tuple[Mail, ...]
    now_ms: TimeMs

    @property
    def about(self) -> Checkpoint: ...
    @property
    def budget(self) -> BudgetVector: ...
    def spawn(
        self, behaviour: str, *, goal: str, budget: BudgetVector, input: JsonValue, scopes: Sequence[str]
    ) -> ContinuationId: ...
    def send(self, to: str, body: JsonValue, subject: str) -> None: ...
    def publish(self, what: Finding) -> None: ...
    def set_timer(self, timer_id: str, due_ms: int) -> None: ...
    def every(self, timer_id: str, every_ms: int) -> None: ...
    def cancel_timer(self, timer_id: str) -> None: ...
    async def field(self, n: int) -> Sequence[Weighed]: ...
    async def edit(self, commands: str) -> Sequence[Found]: ...


class Noted(BaseModel):
    """The outcome of a verb, as it is journaled."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    acts: tuple[Act, ...] = ()
    told: JsonValue = None


def _finding(
    self: Acting,
    title: Annotated[str, Field(min_length=1, max_length=500)],
    body: Annotated[str, Field(max_length=50_000)] = "",
    evidence: tuple[str, ...] = (),
    links: tuple[str, ...] = (),
    confidence: Annotated[float, Field(ge=0, le=1)] | None = None,
) -> Told:
    """Publish a finding: one statement with what it rests on. Without evidence it is marked as such."""
    self.publish(Finding(title=title, body=body, evidence=evidence, links=links, confidence=confidence))
    return {"published": title}


def _spawn(
    self: Acting,
    behaviour: str,
    goal: Annotated[str, Field(min_length=1, max_length=4_000)],
    share: Annotated[float, Field(gt=0, le=0.5)] = 0.1,
    input: JsonValue = None,
    scopes: tuple[str, ...] = (),
) -> Told:
    """Beget a child of this behaviour, with a share of what is left of the budget; it has these scopes and no more."""
    kind = check_label(behaviour, "behaviour")
    held = self.about.scopes
    if not covered(f"{SPAWN}.{kind}", held):
        raise ToolDenied(f"a child {kind!r} needs the scope {SPAWN}.{kind}", field="behaviour", hint="do without")
    lent = self.budget.share(share)
    child = self.spawn(kind, goal=goal, budget=lent, input=input, scopes=scopes)
    return {"child": child, "lent": dict(lent.items())}


def _set_timer(
    self: Acting, timer: str, in_s: Annotated[float, Field(ge=1, le=12 * MONTH_S)], repeats: bool = False
) -> Told:
    """Be woken in so many seconds, once, or each time so many have passed; the same name again replaces it."""
    timer_id, period_ms = _timer_id(timer), int(in_s * 1000)
    if repeats:
        self.every(timer_id, period_ms)
    else:
        self.set_timer(timer_id, self.now_ms + period_ms)
    return {"timer": timer_id, "due_ms": self.now_ms + period_ms}


def _cancel_timer(self: Acting, timer: str) -> Told:
    """Cancel a timer of that name that was set so."""
    self.cancel_timer(_timer_id(timer))
    return {"cancelled": _timer_id(timer)}


def _read_mail(self: Acting, id: str | None = None) -> Told:
    """List the mail that woke this tick; with the id of one, read it whole."""
    for mail in self.inbox:
        if mail.id == id:
            return {**_line(mail), "body": mail.body}
    if id is not None:
        raise InvalidInput(f"no mail {id[:64]!r} in this tick", field="id", hint="list it first, without an id")
    return {"mail": [_line(mail) for mail in self.inbox[:MOST_SHOWN]], "of": len(self.inbox)}


def _send_mail(self: Acting, to: str, text: str, subject: str = "") -> Told:
    """Write to `parent`, to a child by its id, or to whoever wrote the mail of this tick."""
    known = {*self.about.children, *(mail.sender for mail in self.inbox)}
    receiver = str(self.about.parent) if to == "parent" and self.about.parent else to
    if receiver not in known | {self.about.parent}:
        raise InvalidInput(f"{to[:64]!r} is nobody it knows", field="to", hint="parent, a child, or who wrote to it")
    self.send(receiver, text, subject)
    return {"sent": receiver}


async def _look(self: Acting, n: Annotated[int, Field(ge=1, le=MOST_SHOWN)] = 20) -> Told:
    """The top of the context field, heaviest first: id, title, and the beginning of each entry."""
    shown = await self.field(n)
    return {
        "entries": [
            {"id": each.entry.id, "title": each.entry.title, "body": each.entry.body[:MOST_CHARS]} for each in shown
        ]
    }


async def _edit(self: Acting, commands: str) -> Told:
    """Show the context otherwise from now on: pin|unpin|collapse|expand|hide|remove|restore #id; find TEXT; ..."""
    found = await self.edit(commands)
    return {"done": commands, "found": [{"id": hit.id, "title": hit.title, "where": hit.where} for hit in found]}


def _timer_id(timer: str) -> str:
    """Apart from those that the behaviour sets: `on_timer` knows a model's by the prefix."""
    return check_label(f"{PREFIX}{timer}", "timer")


def _line(mail: Mail) -> Told:
    return {"id": mail.id, "kind": mail.kind, "from": mail.sender, "subject": mail.subject, "trust": mail.trust}


def _declared(name: str, verb: Callable[..., Any], *, says_what_others_say: bool = False, scoped: bool = True) -> Tool:
    return tool(
        name=f"{PREFIX}{name}", side_effect="pure", runs="inline", trusted_output=not says_what_others_say,
        scopes=(f"{PREFIX}{name}",) if scoped else (),
    )(verb)  # fmt: skip


_VERBS = (
    _declared("finding", _finding),
    _declared("spawn", _spawn, scoped=False),  # it asks for the scope of the kind
    _declared("timer.set", _set_timer),
    _declared("timer.cancel", _cancel_timer),
    _declared("mail.read", _read_mail, says_what_others_say=True),
    _declared("mail.send", _send_mail),
    _declared("field.look", _look, says_what_others_say=True),
    _declared("field.edit", _edit, says_what_others_say=True),
)
_BY_NAME: Mapping[str, Tool] = {verb.name: verb for verb in _VERBS}
OWN = tuple(_BY_NAME)
"""The names of all of them, as `think_with` takes them."""


class OwnHands:
    """maestro.tick.exchange.Equipped, whose model may name the verbs of this tick beside the tools of `mind`."""

    def __init__(self, tick: Acting, acts: list[Act], mind: Equipped) -> None:
        self._mind = mind
        self._acts = acts
        self._one_by_one = asyncio.Lock()
        self._bound = {
            name: replace(verb, function=partial(_noted, acts, partial(verb.function, tick)))
            for name, verb in _BY_NAME.items()
        }

    def tools(self, named: Sequence[str | Tool]) -> list[Tool]:
        """Those of these names; a verb's name is nobody else's."""
        return [self._bound.get(each if isinstance(each, str) else "") or self._mind.tools([each])[0] for each in named]

    def shown(self, tools: Sequence[Tool]) -> list[Spec]:
        return self._mind.shown(tools)

    async def turn(self, thought: Thought) -> Turn:
        return await self._mind.turn(thought)

    async def settled(self) -> None:
        await self._mind.settled()

    async def use(self, wish: Use) -> JsonValue:
        """What it told; of a verb, what it decided is among the acts of the tick, whether decided now or before."""
        if self._bound.get(wish.name) is not wish.tool:
            return await self._mind.use(wish)
        async with self._one_by_one:
            noted = Noted.model_validate(await self._mind.use(replace(wish, brief=False)))
            self._acts.extend(noted.acts)
        return noted.told


async def _noted(acts: list[Act], verb: Callable[..., Told | Awaitable[Told]], **given: Any) -> dict[str, JsonValue]:
    """What the verb decides and tells, with nothing decided yet.

    Raises:
        ToolDeclined: it cannot be; says why.
    """
    before = len(acts)
    try:
        answer = verb(**given)
        told = await answer if inspect.isawaitable(answer) else answer
        return Noted(acts=tuple(acts[before:]), told=told).model_dump(mode="json")
    except (InvalidInput, BudgetExceededError, UnknownEntryError, ToolDenied) as error:
        raise ToolDeclined(error.message, field=error.field, hint=error.hint) from error
    finally:
        del acts[before:]
