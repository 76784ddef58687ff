"""The tools that this process knows, by name: found in modules, and offered by installed distributions.

Invariants: one name means one tool, and none is named as a verb of a tick; what a shelf holds, which may change, never
takes the name of a tool of ours.
"""

import importlib
import importlib.metadata
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from maestro.errors import InvalidInput, ToolNotFound
from maestro.tools.classes import Tools
from maestro.tools.spec import Spec, Tool

ENTRY_POINTS = "maestro.tools"
"""The group in which installed distributions name modules of tools, or single tools."""

OWN_PREFIX = "self."
"""What the verbs of a tick are named under (maestro.tick.own)."""


class Shelf(Protocol):
    """Tools that come and go while the process runs: those of servers."""

    @property
    def tools(self) -> Mapping[str, Tool]:
        """By name, at this moment."""
        ...


class Toolbox:
    """Tools by name.

    Raises:
        InvalidInput: one name means two tools; says which.
    """

    def __init__(self, tools: Iterable[Tool] = (), shelf: Shelf | None = None) -> None:
        self._shelf = shelf
        self._by_name: dict[str, Tool] = {}
        for each in tools:
            if each.name.startswith(OWN_PREFIX):
                raise InvalidInput(
                    f"{each.place} is called {each.name!r}: the names after {OWN_PREFIX!r} are a tick's own verbs",
                    field="tools",
                    hint="give it another `name`",
                )
            other = self._by_name.setdefault(each.name, each)
            if other is not each:
                raise InvalidInput(
                    f"{other.place} and {each.place} are both the tool {each.name!r}",
                    field="tools",
                    hint="give one of them another `name`",
                )

    @property
    def specs(self) -> tuple[Spec, ...]:
        """What each declares, by name."""
        known = self._known
        return tuple(known[name].spec for name in sorted(known))

    def find(self, name: str) -> Tool:
        """The tool of exactly that name.

        Raises:
            ToolNotFound: there is none; upper and lower case, and letters that only look alike, are others.
        """
        known = self._known
        if name not in known:
            told = ", ".join(sorted(known)) or "none"
            raise ToolNotFound(f"no tool {name[:64]!r} here", field="tool", hint=f"known: {told}")
        return known[name]

    def beside(self, shelf: Shelf) -> "Toolbox":
        """These tools, and those of `shelf`."""
        return Toolbox(self._by_name.values(), shelf)

    @property
    def _known(self) -> Mapping[str, Tool]:
        return self._by_name if self._shelf is None else {**self._shelf.tools, **self._by_name}

    @staticmethod
    def load(modules: Iterable[str], installed: bool = False) -> "Toolbox":
        """The tools of these modules; with `installed`, also those that installed distributions name.

        Raises:
            InvalidInput: a module cannot be imported, or one name means two tools.
        """
        found: list[Tool] = []
        for module in modules:
            found += tools_in(_imported(module))
        for entry in importlib.metadata.entry_points(group=ENTRY_POINTS) if installed else ():
            found += tools_in(_imported(entry.value))
        return Toolbox(dict.fromkeys(found))


def tools_in(thing: object) -> list[Tool]:
    """`thing` itself if it is a tool, its tools if it is a class of them, else all of these among its names."""
    if isinstance(thing, Tool) or (isinstance(thing, type) and issubclass(thing, Tools)):
        return list(_told_by(thing))
    return [tool for named in vars(thing).values() for tool in _told_by(named)]


def _told_by(named: object) -> Sequence[Tool]:
    if isinstance(named, Tool):
        return [named]
    return named.tools if isinstance(named, type) and issubclass(named, Tools) else ()


def _imported(place: str) -> object:
    module, _, name = place.partition(":")
    try:
        found: object = importlib.import_module(module)
        for part in filter(None, name.split(".")):
            found = getattr(found, part)
    except (Exception, SystemExit) as error:
        raise InvalidInput(
            f"cannot import {place!r}: {type(error).__name__}: {error}", field="tools", hint="name an importable module"
        ) from error
    return found
