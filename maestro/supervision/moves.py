"""What several decisions of a supervisor share: who is stopped, in which order, and who is forgotten by it."""

from collections.abc import Sequence
from dataclasses import replace

from maestro.errors import NotFound
from maestro.supervision.state import Child, StartChild, StopChild, SupervisorState, Sweep


def starts(children: Sequence[Child]) -> tuple[StartChild, ...]:
    """In order."""
    return tuple(StartChild(child.spec) for child in children)


def stops(children: Sequence[Child]) -> tuple[StopChild, ...]:
    """Of those that run; in reverse."""
    return tuple(
        StopChild(child.spec, child.incarnation, child.spec.shutdown_or_default)
        for child in reversed(children)
        if child.incarnation is not None
    )


def sweeps(children: Sequence[Child]) -> tuple[Sweep, ...]:
    """Of the supervisors among them that died; one that was stopped has stopped its own children."""
    dead = ("restarting", "waiting")
    return tuple(Sweep(c.spec) for c in children if c.standing in dead and c.spec.type == "supervisor")


def down(state: SupervisorState, children: Sequence[Child], forget: bool = True) -> SupervisorState:
    """None of them runs; of temporary ones nothing stays."""
    temporary = [child.id for child in children if forget and child.spec.restart == "temporary"]
    return state.put(*(replace(c, standing="stopped", incarnation=None) for c in children)).without(*temporary)


def after(state: SupervisorState, child: Child) -> tuple[Child, ...]:
    """Those that were started after it."""
    place = [c.id for c in state.children].index(child.id)
    return state.children[place + 1 :]


def known(state: SupervisorState, child_id: str) -> Child:
    """The child of that id.

    Raises:
        NotFound: there is none.
    """
    if (child := state.child(child_id)) is None:
        raise NotFound(f"no child {child_id!r} here", field="id", hint="see `maestro status --tree`", otp="not_found")
    return child
