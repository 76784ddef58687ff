"""Behaviours: what users write. One class is one kind of continuation.

    async (tick) -> closing directive

Invariants: a behaviour object holds no state between ticks (all of it is in `tick.state`); a tick that raises commits
nothing; code and state versions are one number, raised together with a migration.
"""

import importlib
import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Generic, TypeVar, cast

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from maestro.continuation.directive import Closing
from maestro.continuation.mail import Kind, Mail
from maestro.errors import InvalidInput, Unservable
from maestro.ids import check_label
from maestro.mesh.event import Event
from maestro.tick.context import Tick

S = TypeVar("S", bound=BaseModel)
RawState = dict[str, JsonValue]
Migration = Callable[[RawState], RawState]


class NoState(BaseModel):
    """The state of a behaviour that keeps none."""

    model_config = ConfigDict(extra="forbid")


class Behaviour(Generic[S]):
    """One kind of continuation.

    `start` runs once, at the first tick; afterwards each tick gets the mail that woke it. A handler returns the
    directive that ends the tick, or None to go on waiting for what it waited for. Of several mails the last answer
    counts.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    pool: ClassVar[str] = "default"
    """`default`: one actor per awake continuation; `swarm`: many share one; `dedicated`: an actor of its own name."""
    State: ClassVar[type[BaseModel]] = NoState
    migrations: ClassVar[Mapping[int, Migration]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.name = check_label(cls.__dict__.get("name", cls.__name__.lower()), "behaviour")
        for base in getattr(cls, "__orig_bases__", ()):
            arguments = typing.get_args(base)
            if arguments and inspect.isclass(arguments[0]) and issubclass(arguments[0], BaseModel):
                cls.State = arguments[0]
        own = {step.__migrates__: step for step in vars(cls).values() if hasattr(step, "__migrates__")}
        cls.migrations = {**cls.migrations, **own}

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
        """A person decided; `approval.body["decision"]` is approved or denied."""
        return None

    async def on_result(self, tick: Tick[S], result: Mail) -> Closing | None:
        """An operation outside ended."""
        return None

    async def on_child(self, tick: Tick[S], child: Mail) -> Closing | None:
        """A child ended; `child.body` holds its status and result."""
        return None

    async def run(self, tick: Tick[S]) -> Closing | None:
        """One whole tick: every mail of the batch through its handler, in order. Override to see the batch as one."""
        closing: Closing | None = None
        for mail in tick.inbox:
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
            case Kind.CONTROL:
                return None
            case _:
                typing.assert_never(mail.kind)


def migrates(from_version: int) -> Callable[[Migration], Migration]:
    """Marks a function that turns a state of `from_version` into one of the next version.

    Written in the class body without `self`; pure, so that it can be rehearsed on every sleeper.
    """

    def mark(step: Migration) -> Migration:
        cast(Any, step).__migrates__ = from_version
        return step

    return mark


def migrated(behaviour: type[Behaviour[Any]], state: JsonValue, version: int) -> JsonValue:
    """`state` of `version` as today's code wants it; the same if it is of today.

    Raises:
        Unservable: the state is newer than the code, or a step is missing or fails; nothing has changed.
    """
    if version > behaviour.version:
        raise Unservable(
            f"{behaviour.name} state has version {version}, this code has {behaviour.version}", hint="deploy newer code"
        )
    while version < behaviour.version and state is not None:
        step = behaviour.migrations.get(version)
        if step is None:
            raise Unservable(
                f"{behaviour.name} has no migration from version {version}",
                hint=f"add @migrates({version}) to {behaviour.__name__}",
            )
        try:
            state = step(cast(RawState, state))
        except Exception as error:
            raise Unservable(
                f"{behaviour.name}: the migration from version {version} failed: {type(error).__name__}: {error}",
                hint="fix it; the state is untouched",
            ) from error
        version += 1
    return state


def state_of(behaviour: type[Behaviour[Any]], raw: JsonValue) -> BaseModel:
    """The state as its model; a fresh one where there is none yet.

    Raises:
        Unservable: the stored state does not fit the model.
    """
    try:
        return behaviour.State() if raw is None else behaviour.State.model_validate(raw)
    except ValidationError as error:
        raise Unservable(
            f"{behaviour.name}: the stored state does not fit {behaviour.State.__name__}: {error.errors()[0]['msg']}",
            hint="raise `version` and add a migration",
        ) from error


class Repertoire:
    """The behaviours that this process can run, by name."""

    def __init__(self, behaviours: Iterable[type[Behaviour[Any]]]) -> None:
        self._by_name = {behaviour.name: behaviour for behaviour in behaviours}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._by_name))

    def find(self, name: str) -> type[Behaviour[Any]]:
        """The behaviour called `name`.

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
    def load(modules: Iterable[str]) -> "Repertoire":
        """The behaviours defined in these modules.

        Raises:
            InvalidInput: a module cannot be imported; says which and why.
        """
        found: list[type[Behaviour[Any]]] = []
        for module in modules:
            try:
                namespace = vars(importlib.import_module(module))
            except Exception as error:
                raise InvalidInput(
                    f"cannot import {module!r}: {type(error).__name__}: {error}",
                    field="behaviours",
                    hint="name an importable module; the folder where `maestro` is run is on the path",
                ) from error
            found += [
                thing
                for thing in namespace.values()
                if inspect.isclass(thing) and issubclass(thing, Behaviour) and thing is not Behaviour
            ]
        return Repertoire(found)
