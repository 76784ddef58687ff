"""Maestro: long-lived, resumable, budgeted computations as supervised actors on Ray, with their truth in Redis.

    from maestro import Behaviour, Maestro, Sleep, Wait, Finish, Fail, Finding, Budget, tool

Names are handed out lazily (PEP 562), so that importing the core loads neither a store client nor anything of Ray.
"""

from importlib import import_module

_HOMES = {
    "Behaviour": "maestro.tick.behaviour",
    "migrates": "maestro.tick.migration",
    "Tick": "maestro.tick.context",
    "Event": "maestro.mesh.event",
    "Mail": "maestro.continuation.mail",
    "Maestro": "maestro.client",
    "ContinuationHandle": "maestro.client",
    "Sleep": "maestro.continuation.directive",
    "Wait": "maestro.continuation.directive",
    "Finish": "maestro.continuation.directive",
    "Fail": "maestro.continuation.directive",
    "Finding": "maestro.continuation.finding",
    "GoalFrame": "maestro.continuation.goal",
    "Budget": "maestro.budget.vector",
    "tool": "maestro.tools.spec",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'maestro' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
