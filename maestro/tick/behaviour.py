"""Behaviours: what users write. One class is one kind of continuation.

    async (tick) -> closing directive

Invariants: a behaviour object holds no state between ticks (all of it is in `tick.state`); a tick that raises commits
nothing; code and state versions are one number, raised together with a migration; in one repertoire a name, be it
today's or a former one, means one class.
"""

import importlib
import importlib.metadata
import inspect
import typing
from collections.abc import Iterable
from typing import Any, ClassVar, Generic, TypeVar

import orjson
import structlog
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from maestro.budget.vector import BudgetVector
from maestro.continuation.bounds import LARGE_STATE_BYTES
from maestro.continuation.directive import Closing
from maestro.continuation.mail import Kind, Mail
from maestro.continuation.wait import WaitFor
from maestro.errors import InvalidInput, Unservable
from maestro.ids import check_label
from maestro.mesh.event import Event
from maestro.tick.context import Tick
from maestro.tick.merge import Merging
from maestro.tick.migration import Chain, chain_of
from maestro.tick.refusals import NO_RETRY, Refusals
from maestro.tools.context import NO_CONTEXT, ToolContext

log = structlog.get_logger()

S = TypeVar("S", bound=BaseModel)
ENTRY_POINTS = "maestro.behaviours"
"""The group in which installed distributions name their behaviours: modules, or single classes."""


class NoState(BaseModel):
    """The state of a behaviour that keeps none."""

    model_config = ConfigDict(extra="forbid")


class Watching(Generic[S]):
    """What every behaviour hears of continuations that are not its children."""

    async def on_down(self, tick: Tick[S], down: Mail) -> Closing | None:
        """One that it monitors has ended, or, while it traps exits, one that it is linked with.

        `down.correlation` names the monitor or the link, `down.sender` who ended, `down.body["reason"]` why: `normal`,
        `noproc` where it had ended before, or the reason that it stopped for.
        """
        return None


class Behaviour(Watching[S], Generic[S]):
    """One kind of continuation.

    `start` runs once, at the first tick; afterwards each tick gets the mail that woke it. A handler returns the
    directive that ends the tick, or None to go on waiting for what it waited for. Of several mails the last answer
    counts.
    """

    name: ClassVar[str]
    cancel_budget: ClassVar[BudgetVector] = BudgetVector({"usd": 20_000})
    """What `on_cancel` may spend at most."""
    cancel_deadline_ms: ClassVar[int] = 30_000
    aliases: ClassVar[tuple[str, ...]] = ()
    """Its former names: whoever sleeps under one of them wakes as this behaviour, and is called so from then on."""
    version: ClassVar[int] = 1
    pool: ClassVar[str] = "default"
    """`default`: one actor per awake continuation; `swarm`: many share one; `dedicated`: an actor of its own name."""
    asks_per_day: ClassVar[int | None] = None
    """How often a day a root of this kind, and each of its children, asks people; None: as the installation says."""
    on_refusal: ClassVar[Refusals] = NO_RETRY
    """What becomes of a tick whose model call was refused for good, where its code does not say."""
    tool_context: ClassVar[ToolContext] = NO_CONTEXT
    """What its tools share without a model seeing it."""
    offered: ClassVar[bool] = True
    """False for a kind that other code begets, and no person starts."""
    State: ClassVar[type[BaseModel]] = NoState
    chain: ClassVar[Chain] = Chain("behaviour", "Behaviour", 1)
    """What leads a stored state to today's version: the functions marked with @migrates."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.name = check_label(cls.__dict__.get("name", cls.__name__.lower()), "behaviour")
        cls.aliases = _checked_aliases(cls, cls.__dict__.get("aliases", ()))
        for base in getattr(cls, "__orig_bases__", ()):
            arguments = typing.get_args(base)
            if arguments and inspect.isclass(arguments[0]) and issubclass(arguments[0], BaseModel):
                cls.State = arguments[0]
        if type(cls.version) is not int or cls.version < 1:
            raise InvalidInput(f"{_place(cls)}: `version` is {cls.version!r}", field="version", hint="count from 1 up")
        cls.chain = chain_of(cls, cls.name, cls.version, cls.chain.steps)

    async def start(self, tick: Tick[S]) -> Closing | None:
        """The first tick."""
        return None

    async def on_event(self, tick: Tick[S], event: Event) -> Closing | None:
        """Something it subscribed to happened."""
        return None

    async def on_message(self, tick: Tick[S], message: Mail) -> Closing | None:
        """Somebody wrote to it."""
        return None

    async def on_timer(self, tick: Tick[S], timer_id: str) -> Closing | None:
        """One of its timers is due."""
        return None

    async def on_reply(self, tick: Tick[S], reply: Mail) -> Closing | None:
        """A person answered its question; the answer is `reply.body`."""
        return None

    async def on_approval(self, tick: Tick[S], approval: Mail) -> Closing | None:
        """A person decided; `approval.body["decision"]` is approved, denied or edited.

        An edited one carries in `body["arguments"]` what was approved in place of what was asked. A denial comes here
        only where the question was asked with `on_denied="resume"`; `body["autonomous"]` marks what a timeout decided.
        """
        return None

    async def on_result(self, tick: Tick[S], result: Mail) -> Closing | None:
        """An operation outside ended."""
        return None

    async def on_child(self, tick: Tick[S], child: Mail) -> Closing | None:
        """A child ended; `child.body` holds its status and result."""
        return None

    async def on_cancel(self, tick: Tick[S]) -> None:
        """Somebody cancelled it: the one chance to tell others, publish, put things in order; then it ends.

        It has `cancel_budget` for effects (never more than is free), and ends all the same if it fails or is not done
        within `cancel_deadline_ms`.
        """

    async def on_merge(self, tick: Tick[S], merge: Merging) -> None:
        """Another one was merged into it and the laws of its State leave fields open; what stays so, a person is asked.

        `tick.state` is what is settled so far; `merge.resolve` settles a field more.
        """

    async def on_timeout(self, tick: Tick[S], wait: WaitFor) -> Closing | None:
        """Nothing ended `wait` in time, and it says `on_timeout="resume"`. None: go on with the rest of the waits."""
        return None

    async def run(self, tick: Tick[S]) -> Closing | None:
        """One whole tick: every mail of the batch through its handler, in order. Override to see the batch as one."""
        closing: Closing | None = None
        for mail in tick.inbox:
            with tick.reading(mail):
                closing = await self._receive(tick, mail) or closing
            if closing is not None and closing.type != "sleep":
                break
        return closing

    async def _receive(self, tick: Tick[S], mail: Mail) -> Closing | None:
        match mail.kind:
            case Kind.START:
                return await self.start(tick)
            case Kind.EVENT:
                return await self.on_event(tick, Event.model_validate(mail.body))
            case Kind.MESSAGE:
                return await self.on_message(tick, mail)
            case Kind.TIMER:
                return await self.on_timer(tick, mail.correlation or "")
            case Kind.REPLY:
                return await self.on_reply(tick, mail)
            case Kind.APPROVAL:
                return await self.on_approval(tick, mail)
            case Kind.RESULT:
                return await self.on_result(tick, mail)
            case Kind.CHILD:
                return await self.on_child(tick, mail)
            case Kind.DOWN | Kind.EXIT:
                return await self.on_down(tick, mail)
            case Kind.CONTROL | Kind.MERGE:
                return None
            case _:
                typing.assert_never(mail.kind)


def migrated(behaviour: type[Behaviour[Any]], state: JsonValue, version: int) -> JsonValue:
    """`state` of `version` as today's code wants it; the same if it is of today.

    Raises:
        Unservable: the state is newer than the code, or a step is missing or fails; nothing has changed.
    """
    return behaviour.chain.lead(state, version)


def state_of(behaviour: type[Behaviour[Any]], raw: JsonValue) -> BaseModel:
    """The state as its model; a fresh one where there is none yet.

    Raises:
        Unservable: the stored state does not fit the model.
    """
    try:
        return behaviour.State() if raw is None else behaviour.State.model_validate(raw)
    except Exception as error:  # a validator of the user's may raise anything
        told = error.errors()[0]["msg"] if isinstance(error, ValidationError) else f"{type(error).__name__}: {error}"
        raise Unservable(
            f"{behaviour.name}: the stored state does not fit {behaviour.State.__name__}: {told}",
            hint="raise `version` and add a migration",
        ) from error


def kept_state(state: BaseModel, most: int) -> JsonValue:
    """The state as it is kept.

    Raises:
        InvalidInput: it has more than `most` bytes.
    """
    value = state.model_dump(mode="json")
    size = len(orjson.dumps(value))
    if size > most:
        raise InvalidInput(
            f"the state has {size} bytes, and may have {most}",
            field="bounds.max_state_bytes",
            hint="keep large material outside and refer to it, or start with a higher bound",
            size=size,
            limit=most,
        )
    if size > LARGE_STATE_BYTES:
        log.warning("large_state", bytes=size, warned_from=LARGE_STATE_BYTES, refused_from=most)
    return value


class Repertoire:
    """The behaviours that this process can run, by name and by former name.

    Raises:
        InvalidInput: one name means two classes; says which.
    """

    def __init__(self, behaviours: Iterable[type[Behaviour[Any]]]) -> None:
        self._by_name: dict[str, type[Behaviour[Any]]] = {}
        for behaviour in behaviours:
            for name in (behaviour.name, *behaviour.aliases):
                other = self._by_name.setdefault(name, behaviour)
                if other is not behaviour:
                    raise InvalidInput(
                        f"{_place(other)} and {_place(behaviour)} are both called {name!r}",
                        field="behaviours",
                        hint="give one of them another `name`, or drop the alias",
                    )

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    @property
    def names(self) -> tuple[str, ...]:
        """What a person can start, in the order of the alphabet."""
        return tuple(sorted({behaviour.name for behaviour in self._by_name.values() if behaviour.offered}))

    def find(self, name: str) -> type[Behaviour[Any]]:
        """The behaviour that is, or once was, called `name`.

        Raises:
            Unservable: there is none; the continuation is held, not lost.
        """
        if name not in self._by_name:
            known = ", ".join(self.names) or "none"
            raise Unservable(
                f"no behaviour {name!r} here; known: {known}",
                field="behaviour",
                hint="name its module with `maestro up --behaviours MODULE` or MAESTRO_BEHAVIOURS",
            )
        return self._by_name[name]

    @staticmethod
    def load(modules: Iterable[str], installed: bool = False) -> "Repertoire":
        """The behaviours of these modules; with `installed`, also those that installed distributions name.

        Raises:
            InvalidInput: a module cannot be imported, or one name means two classes; says which and why.
        """
        found: list[type[Behaviour[Any]]] = []
        for module in modules:
            try:
                found += _behaviours_in(importlib.import_module(module))
            except (Exception, SystemExit) as error:
                hint = "name an importable module; the folder where `maestro` is run is on the path"
                raise _refused(repr(module), error, hint) from error
        for entry in importlib.metadata.entry_points(group=ENTRY_POINTS) if installed else ():
            try:
                found += _behaviours_in(entry.load())
            except (Exception, SystemExit) as error:
                owner = entry.dist.name if entry.dist else "an unknown distribution"
                raise _refused(f"{entry.value!r} of {owner}", error, f"repair or remove {owner}") from error
        return Repertoire(found)


def _behaviours_in(thing: object) -> list[type[Behaviour[Any]]]:
    """`thing` itself if it is a behaviour, else those among its names."""
    things = (thing,) if inspect.isclass(thing) else tuple(vars(thing).values())
    return [each for each in things if inspect.isclass(each) and issubclass(each, Behaviour) and each is not Behaviour]


def _refused(what: str, error: BaseException, hint: str) -> InvalidInput:
    """Why `what` gives no behaviours; an error of ours keeps its own field and fix."""
    if isinstance(error, InvalidInput):
        return InvalidInput(f"{what}: {error.message}", field=error.field, hint=error.hint)
    return InvalidInput(f"cannot import {what}: {type(error).__name__}: {error}", field="behaviours", hint=hint)


def _checked_aliases(owner: type[Behaviour[Any]], aliases: object) -> tuple[str, ...]:
    if not isinstance(aliases, tuple) or not all(isinstance(alias, str) for alias in aliases):
        hint = f'write aliases = ("{aliases}",)' if isinstance(aliases, str) else 'write aliases = ("old-name",)'
        raise InvalidInput(f"{_place(owner)}: `aliases` is no tuple of names", field="aliases", hint=hint)
    return tuple(check_label(alias, "alias") for alias in aliases)


def _place(behaviour: type[Behaviour[Any]]) -> str:
    return f"{behaviour.__module__}.{behaviour.__qualname__}"
