"""Migrations: how a stored state becomes one of today's code, one version at a time.

    state of version n  ->  step n  ->  state of version n + 1  ->  ...  ->  today's

Invariants:
- a step is a function of the state alone; it gets a copy and its result is copied, so a step that fails, or keeps what
  it was given, has changed nothing;
- between two steps lies JSON, what the store would keep and nothing else;
- the steps of a behaviour lead without a gap to its version; the oldest may be dropped when nobody sleeps with them.

What is not here: whether the end of the chain fits the model of the state (maestro.tick.behaviour.state_of), and who
would fail at all (maestro.runtime.rehearsal).
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, cast

import orjson
from pydantic import JsonValue

from maestro.errors import InvalidInput, Unservable

RawState = dict[str, JsonValue]
Migration = Callable[[RawState], RawState]

_MARK = "__migrates__"


def migrates(from_version: int) -> Callable[[Migration], Migration]:
    """Marks a function that turns a state of `from_version` into one of the next version.

    Written in the class body without `self`; pure, so that it can be rehearsed on every sleeper.

    Raises:
        InvalidInput: no version, or no plain function of one state; says how to write it.
    """
    if type(from_version) is not int or from_version < 1:
        raise InvalidInput(
            f"@migrates takes the version that it starts from, not {from_version!r}",
            field="migrates",
            hint="write @migrates(1) above the function that leads from version 1 to 2",
        )

    def mark(step: Migration) -> Migration:
        function = _function(step)
        if (wrong := _impurity(function)) is not None:
            name = getattr(function, "__qualname__", repr(function))
            raise InvalidInput(
                f"{name} cannot migrate a state: {wrong}",
                field="migrates",
                hint="write `def step(state: RawState) -> RawState:`, without self and without async",
            )
        setattr(function, _MARK, from_version)
        return step

    return mark


@dataclass(frozen=True, slots=True)
class Chain:
    """The steps of one behaviour that lead to its version."""

    behaviour: str
    owner: str
    """The class, as errors name it."""
    version: int
    steps: Mapping[int, Migration] = field(default_factory=lambda: MappingProxyType({}))
    """From which version -> the step."""

    def lead(self, state: JsonValue, version: int) -> JsonValue:
        """`state` of `version` as today's code wants it; the same if it is of today, or not there yet.

        Raises:
            Unservable: the state is newer than the code, or a step is missing or fails; nothing has changed.
        """
        if version > self.version:
            raise Unservable(
                f"{self.behaviour} state has version {version}, this code has {self.version}", hint="deploy newer code"
            )
        for number in range(version, self.version if state is not None else version):
            state = self._stepped(number, state)
        return state

    def _stepped(self, number: int, state: JsonValue) -> JsonValue:
        step = self.steps.get(number)
        if step is None:
            raise Unservable(
                f"{self.behaviour} has no migration from version {number}",
                hint=f"add @migrates({number}) to {self.owner}",
            )
        try:
            made = step(orjson.loads(orjson.dumps(state)))
            return _kept(made)
        except BaseException as error:  # a step is synchronous: no cancellation of ours can arrive inside it
            if isinstance(error, KeyboardInterrupt):
                raise
            raise Unservable(
                f"{self.behaviour}: the migration from version {number} failed: {type(error).__name__}: {error}",
                hint="fix it; the state is untouched",
            ) from error


def chain_of(owner: type, behaviour: str, version: int, inherited: Mapping[int, Migration]) -> Chain:
    """The chain that the class body of `owner` and those above it write down.

    Raises:
        InvalidInput: two steps from one version, a step beyond today's version, or a gap.
    """
    own: dict[int, str] = {}
    steps = {number: step for number, step in inherited.items() if number < version}
    for name, thing in vars(owner).items():
        number = getattr(_function(thing), _MARK, None)
        if number is None:
            continue
        if number in own:
            raise _broken(owner, f"{own[number]} and {name} both migrate from version {number}", "keep one of them")
        if number >= version:
            hint = f"raise `version` to {number + 1}"
            raise _broken(owner, f"{name} leads to version {number + 1}, `version` is {version}", hint)
        own[number], steps[number] = name, cast(Migration, thing.__get__(None, owner))
    missing = next((number for number in range(min(steps, default=version), version) if number not in steps), None)
    if missing is not None:
        hint = f"add @migrates({missing}) to {owner.__name__}"
        raise _broken(owner, f"nothing leads from version {missing} to {missing + 1}", hint)
    return Chain(behaviour, owner.__name__, version, MappingProxyType(steps))


def _function(thing: object) -> Any:
    return thing.__func__ if isinstance(thing, staticmethod) else thing


def _impurity(function: object) -> str | None:
    """Why `function` is no function of a state alone, as far as its signature tells; None when it may be one."""
    if not inspect.isfunction(function):
        return "it is no plain function"
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return "it is async"
    if inspect.isgeneratorfunction(function):
        return "it yields"
    parameters = list(inspect.signature(function).parameters.values())
    if parameters and parameters[0].name in ("self", "cls"):
        return f"it takes {parameters[0].name}"
    needed = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if len(needed) != 1 or needed[0].kind is inspect.Parameter.KEYWORD_ONLY:
        return f"it takes {len(needed)} arguments, not one state"
    return None


def _kept(made: object) -> JsonValue:
    """What a step returned, as the store would keep it.

    Raises:
        TypeError: it is no JSON object, or would come back as something else (NaN, a tuple, a date).
    """
    if not isinstance(made, dict):
        raise TypeError(f"it returned {type(made).__name__}, not the whole new state as a dict")
    kept: JsonValue = orjson.loads(orjson.dumps(made))
    if kept != made:
        raise TypeError("it returned what JSON does not keep: only str, int, float, bool, None, list and dict are kept")
    return kept


def _broken(owner: type, what: str, hint: str) -> InvalidInput:
    return InvalidInput(f"{owner.__module__}.{owner.__qualname__}: {what}", field="migrates", hint=hint)
