"""Classes of tools: commands and streams that share what it takes to carry them out.

    class Market(Tools):
        @command(side_effect="pure")
        async def price(self, symbol: str) -> float: ...

        @stream(window_s=5)
        async def trades(self, symbol: str, cursor: str | None = None) -> AsyncIterator[Item]: ...

Each is a tool named `market.price`, `market.trades`, declared, guarded and carried out like any other.
Invariants: the object is made in the process that carries a call out, when it is first needed, and is of that process
alone: nothing in it is durable, and no two calls are promised the same one. What all calls share are class attributes.

Source: spec/04 sections 1, 4.
"""

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from maestro.errors import InvalidInput
from maestro.ids import check_label
from maestro.tools import streams
from maestro.tools.spec import Tool, tool

_DECLARED = "__maestro_surface__"
_objects: "dict[type[Tools], Tools]" = {}


def command(**declared: Any) -> Callable[[Callable[..., Any]], Tool]:
    """The method is a command; `declared` are fields of maestro.tools.spec.Spec."""
    return functools.partial(_marked, tool, declared)


def stream(**declared: Any) -> Callable[[Callable[..., Any]], Tool]:
    """The method is a stream; see maestro.tools.streams.stream."""
    return functools.partial(_marked, streams.stream, declared)


class Tools:
    """Write the tools of one thing as the methods of a class that derives from this one."""

    name: ClassVar[str]
    """What its tools are named under; the name of the class in small letters, unless it is given."""
    shared: ClassVar[dict[str, Any]] = {}
    """What all its tools declare, unless one says otherwise."""
    tools: ClassVar[tuple[Tool, ...]] = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.name = check_label(cls.__dict__.get("name", cls.__name__.lower()), "tools")
        cls.tools = tuple(_tools_of(cls))
        if not cls.tools:
            raise InvalidInput(f"{cls.__qualname__} has no tool", field="tools", hint="mark a method with @command()")


def _object(owner: type[Tools]) -> Tools:
    """The one of this process."""
    if owner not in _objects:
        _objects[owner] = owner()
    return _objects[owner]


def _marked(make: Callable[..., Any], declared: dict[str, Any], method: Callable[..., Any]) -> Any:
    """The method still, until its class is made; from then on the tool is in its place."""
    setattr(method, _DECLARED, (make, declared))
    return method


def _tools_of(owner: type[Tools]) -> Iterator[Tool]:
    """Its marked methods, each become a tool in its place; of a class of tools that it derives from, none."""
    for name, method in inspect.getmembers(owner, lambda each: hasattr(each, _DECLARED)):
        make, declared = getattr(method, _DECLARED)
        bound = _bound(owner, method)
        bound.__qualname__ = f"{owner.__qualname__}.{name}"
        bound.__module__ = owner.__module__
        made: Tool = make(name=f"{owner.name}.{name}", **{**owner.shared, **declared})(bound)
        setattr(owner, name, made)
        yield made


def _bound(owner: type[Tools], method: Callable[..., Any]) -> Callable[..., Any]:
    """The method of this process' object; which is made by the first call, not before."""
    if inspect.iscoroutinefunction(method):

        async def awaited(**given: Any) -> Any:
            return await method(_object(owner), **given)

        return functools.wraps(method)(awaited)

    def called(**given: Any) -> Any:
        return method(_object(owner), **given)

    return functools.wraps(method)(called)
