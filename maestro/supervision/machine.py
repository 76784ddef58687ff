"""OTP's supervisor as a pure machine: (state, what happened, now) -> (state, what to do).

The table, one `match` case per row:

    restart     exit                  then                 strategy                 restarted, beside the child itself
    permanent   any                   restart              one_for_one, dynamic     none
    transient   normal, shutdown      let go               rest_for_one             those started after it
    transient   abnormal              restart              one_for_all              all
    temporary   any                   let go

Invariants:
- start in order, stop in reverse; only a first start may be of all together, where the spec says so;
- of those that go down with a sibling, temporary ones do not come back;
- every restart counts against the intensity, also a retry of a restart that failed; one more than allowed ends all;
- a failed restart is never tried again here: it comes back through the mailbox, so that a stop can get in between;
- an exit of an incarnation that is not the current one changes nothing.

Whoever carries the actions out does so in order, one batch at a time; state is as if the batch were done already, and
`on_started` and `on_start_failed` tell how each start went. Not here: processes, deadlines, clocks.
Source: Erlang/OTP `supervisor`; DynamicSupervisor of Elixir for the strategy `dynamic`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from types import MappingProxyType
from typing import Literal, assert_never

from maestro.errors import Conflict, InvalidInput, NotFound
from maestro.ids import HolderId
from maestro.supervision.spec import ChildSpec, Intensity, Restart, RosterEntry, check_significance
from maestro.supervision.state import (
    Action,
    AdoptChild,
    Child,
    Counts,
    Decided,
    Exit,
    ExitKind,
    GiveUp,
    PostRetry,
    StartChild,
    StartTogether,
    StopChild,
    StopTogether,
    SupervisorState,
    Sweep,
)

Alive = Mapping[str, HolderId]
"""Children found running before the first start: id -> incarnation."""
NOBODY: Alive = MappingProxyType({})


def supervisor(spec: ChildSpec) -> SupervisorState:
    """A supervisor as its spec describes it, nothing started yet."""
    children = tuple(Child(child) for child in spec.children)
    return SupervisorState(
        spec.strategy, spec.intensity, spec.auto_shutdown, children, starts_together=spec.starts_together
    )


def recall(spec: ChildSpec, roster: Sequence[RosterEntry], alive: Alive) -> tuple[SupervisorState, frozenset[str]]:
    """A supervisor as its predecessor left it, and the ids that the predecessor had stopped.

    A temporary child that died unattended is forgotten: it is never restarted.
    """
    kept = [entry for entry in roster if entry.spec.restart != "temporary" or entry.spec.id in alive]
    state = replace(supervisor(spec), children=tuple(Child(entry.spec) for entry in kept))
    return state, frozenset(entry.spec.id for entry in kept if entry.stopped and entry.spec.id not in alive)


def roster(state: SupervisorState) -> tuple[RosterEntry, ...]:
    """What a successor needs to know."""
    return tuple(RosterEntry(spec=c.spec, stopped=c.standing == "stopped") for c in state.children)


def start_all(state: SupervisorState, alive: Alive = NOBODY, leave: frozenset[str] = frozenset()) -> Decided:
    """All children are on their way up, in order; those found alive are adopted where the strategy allows it.

    Beside adopted ones a child that is missing counts as restarting: its failure is no reason to end the others.

    Args:
        leave: ids that stay stopped.
    """
    wanted = [child for child in state.children if child.id not in leave]
    missing = next((n for n, child in enumerate(wanted) if child.id not in alive), len(wanted))
    match state.strategy:
        case "one_for_one" | "dynamic":
            adopted = [child for child in wanted if child.id in alive]
        case "rest_for_one":
            adopted = wanted[:missing]
        case "one_for_all":
            adopted = wanted if missing == len(wanted) else []
        case _:
            assert_never(state.strategy)
    begun = [child for child in wanted if child not in adopted]
    stops = _stops([replace(c, incarnation=alive[c.id]) for c in begun if c.id in alive])
    adopts = tuple(AdoptChild(c.spec, alive[c.id]) for c in adopted)
    state = state.put(
        *(replace(c, standing="running", incarnation=alive[c.id]) for c in adopted),
        *(replace(c, standing="restarting" if alive else "starting") for c in begun),
    )
    starts: tuple[Action, ...] = _starts(begun)
    if state.starts_together and starts:
        starts = (StartTogether(tuple(child.spec for child in begun)),)
    return _booted(state), (*adopts, *stops, *starts)


def stop_all(state: SupervisorState) -> Decided:
    """Every child is stopped, last started first; the supervisor has ended and decides nothing any more."""
    stops: tuple[Action, ...] = _stops(state.children)
    if state.strategy == "dynamic" and stops:
        stops = (StopTogether(_stops(state.children)),)
    return replace(_down(state, state.children), phase="ended"), (*stops, *_sweeps(state.children))


def on_started(state: SupervisorState, child_id: str, incarnation: HolderId) -> SupervisorState:
    """The child runs as `incarnation`."""
    child = _known(state, child_id)
    restarts = child.restarts + (child.standing == "restarting")
    return _booted(state.put(replace(child, standing="running", incarnation=incarnation, restarts=restarts)))


def on_start_failed(state: SupervisorState, child_id: str, reason: str) -> Decided:
    """A start did not come to pass; what was to be started after it is not."""
    if state.phase == "ended":
        return state, ()
    child = _known(state, child_id)
    if state.phase == "booting":
        return _give_up(state, f"failed_to_start_child {child_id}: {reason}")
    match child.standing:
        case "starting":
            return state.without(child_id), ()
        case "resuming":
            return state.put(replace(child, standing="stopped")), ()
        case "restarting" if state.strategy in ("one_for_all", "rest_for_one"):
            unreached = [c for c in _after(state, child) if c.standing == "restarting"]
            return _down(state, unreached, forget=False), (PostRetry(child_id),)
        case "restarting":
            return state, (PostRetry(child_id),)
        case "stopped" | "running":
            return state, ()
        case _:
            assert_never(child.standing)


def on_retry(state: SupervisorState, child_id: str, now_ms: int) -> Decided:
    """A failed restart gets its next try, counted like the first; meanwhile stopped or running, nothing happens."""
    child = state.child(child_id)
    if state.phase == "ended" or child is None or child.standing != "restarting":
        return state, ()
    return _restart(state, child, now_ms)


def on_exit(state: SupervisorState, ended: Exit, now_ms: int) -> Decided:
    """The exit of a child has the consequences that OTP's table gives it."""
    child = state.child(ended.id)
    if state.phase == "ended" or child is None or child.incarnation != ended.incarnation:
        return state, ()
    child = replace(child, standing="stopped", incarnation=None, last_exit=ended)
    match verdict(child.spec.restart, ended.kind):
        case "restart":
            return _restart(state, replace(child, standing="restarting"), now_ms)
        case "let_go":
            return _let_go(state.put(child), child, ended)


def verdict(restart: Restart, kind: ExitKind) -> Literal["restart", "let_go"]:
    """The left half of the table."""
    match restart:
        case "permanent":
            return "restart"
        case "transient" if kind in ("normal", "shutdown"):
            return "let_go"
        case "transient":
            return "restart"
        case "temporary":
            return "let_go"
        case _:
            assert_never(restart)


def recent(restarts: Sequence[int], now_ms: int, intensity: Intensity) -> tuple[int, ...]:
    """`now_ms` in front of those earlier restarts that still count; newest first."""
    oldest = now_ms - 1000 * intensity.max_seconds
    return (now_ms, *takewhile(lambda at: at >= oldest, restarts))


def start_child(state: SupervisorState, spec: ChildSpec) -> Decided:
    """`spec` is the last child, on its way up; if its start fails, it is forgotten.

    Raises:
        Conflict: a child of that id is known already, or the supervisor has ended.
        InvalidInput: it is significant, and this supervisor never shuts down by itself.
    """
    _require_up(state)
    if (child := state.child(spec.id)) is not None:
        hint = "delete or restart it" if child.standing == "stopped" else "it need not be started"
        raise Conflict(f"child {spec.id!r} is {child.standing} already", field="id", hint=hint)
    try:
        check_significance(spec, state.auto_shutdown)
    except ValueError as error:
        raise InvalidInput(str(error), field="significant") from None
    children = (*state.children, Child(spec, standing="starting"))
    return replace(state, children=children), (StartChild(spec),)


def terminate_child(state: SupervisorState, child_id: str) -> Decided:
    """The child is stopped and stays so; a temporary one, or one of a dynamic supervisor, is forgotten.

    Raises:
        NotFound: no such child.
    """
    _require_up(state)
    child = _known(state, child_id)
    stopped = _down(state, [child])
    actions: tuple[Action, ...] = (*_stops([child]), *_sweeps([child]))
    return (stopped.without(child_id) if state.strategy == "dynamic" else stopped), actions


def restart_child(state: SupervisorState, child_id: str) -> Decided:
    """A stopped child is on its way up again, at its old place.

    Raises:
        NotFound: no such child.
        Conflict: it is not stopped.
    """
    child = _known_stopped(state, child_id)
    return state.put(replace(child, standing="resuming")), (StartChild(child.spec),)


def delete_child(state: SupervisorState, child_id: str) -> SupervisorState:
    """A stopped child is forgotten.

    Raises:
        NotFound: no such child.
        Conflict: it is not stopped.
    """
    return state.without(_known_stopped(state, child_id).id)


def which_children(state: SupervisorState) -> tuple[Child, ...]:
    """All children that the supervisor knows, in start order."""
    return state.children


def count_children(state: SupervisorState) -> Counts:
    supervisors = sum(child.spec.type == "supervisor" for child in state.children)
    active = sum(child.standing == "running" for child in state.children)
    return Counts(len(state.children), active, supervisors, len(state.children) - supervisors)


def over() -> Conflict:
    """The one text for every request that comes too late."""
    return Conflict("this supervisor has ended", hint="ask its successor")


def _restart(state: SupervisorState, child: Child, now_ms: int) -> Decided:
    state = replace(state, restarts=recent(state.restarts, now_ms, state.intensity)).put(child)
    if len(state.restarts) > state.intensity.max_restarts:
        return _give_up(state, f"reached_max_restart_intensity: {child.id} {_last_reason(child)}")
    match state.strategy:
        case "one_for_one" | "dynamic":
            return state, (StartChild(child.spec),)
        case "rest_for_one":
            return _restart_group(state, (child, *_after(state, child)))
        case "one_for_all":
            return _restart_group(state, state.children)
        case _:
            assert_never(state.strategy)


def _restart_group(state: SupervisorState, group: Sequence[Child]) -> Decided:
    stops = _stops(group)
    back = [member for member in group if member.spec.restart != "temporary"]
    down = _down(state, group)
    restarting = [replace(member, standing="restarting", incarnation=None) for member in back]
    return down.put(*restarting), (*stops, *_starts(restarting))


def _let_go(state: SupervisorState, child: Child, ended: Exit) -> Decided:
    state = _forgotten(state, child)
    swept = _sweeps([replace(child, standing="restarting")]) if ended.abnormal else ()
    match state.auto_shutdown:
        case "never":
            return state, swept
        case "any_significant" | "all_significant" if not child.spec.significant:
            return state, swept
        case "any_significant":
            return _give_up(state, f"auto_shutdown: {child.id} {ended.reason}", swept)
        case "all_significant" if any(c.spec.significant and c.standing != "stopped" for c in state.children):
            return state, swept
        case "all_significant":
            return _give_up(state, f"auto_shutdown: {child.id} {ended.reason}", swept)
        case _:
            assert_never(state.auto_shutdown)


def _give_up(state: SupervisorState, reason: str, first: tuple[Action, ...] = ()) -> Decided:
    state, stops = stop_all(state)
    return state, (*first, *stops, GiveUp(reason))


def _forgotten(state: SupervisorState, child: Child) -> SupervisorState:
    """A child that ended for good leaves its spec behind, unless nobody could ever use it again."""
    gone = child.spec.restart == "temporary" or state.strategy == "dynamic"
    return state.without(child.id) if gone else state


def _down(state: SupervisorState, children: Sequence[Child], forget: bool = True) -> SupervisorState:
    temporary = [child.id for child in children if forget and child.spec.restart == "temporary"]
    return state.put(*(replace(c, standing="stopped", incarnation=None) for c in children)).without(*temporary)


def _starts(children: Sequence[Child]) -> tuple[StartChild, ...]:
    return tuple(StartChild(child.spec) for child in children)


def _stops(children: Sequence[Child]) -> tuple[StopChild, ...]:
    """Of those that run; in reverse."""
    return tuple(
        StopChild(child.spec, child.incarnation, child.spec.shutdown_or_default)
        for child in reversed(children)
        if child.incarnation is not None
    )


def _sweeps(children: Sequence[Child]) -> tuple[Sweep, ...]:
    """Of the supervisors among them that died; one that was stopped has stopped its own children."""
    dead = [child for child in children if child.standing == "restarting" and child.spec.type == "supervisor"]
    return tuple(Sweep(child.spec) for child in dead)


def _after(state: SupervisorState, child: Child) -> tuple[Child, ...]:
    place = [c.id for c in state.children].index(child.id)
    return state.children[place + 1 :]


def _booted(state: SupervisorState) -> SupervisorState:
    """The first start is over as soon as no child is on its way up."""
    over = state.phase == "booting" and not any(child.standing == "starting" for child in state.children)
    return replace(state, phase="up") if over else state


def _last_reason(child: Child) -> str:
    return child.last_exit.reason if child.last_exit else "did not start"


def _known(state: SupervisorState, child_id: str) -> Child:
    if (child := state.child(child_id)) is None:
        raise NotFound(f"no child {child_id!r} here", field="id", hint="see `maestro status --tree`")
    return child


def _known_stopped(state: SupervisorState, child_id: str) -> Child:
    _require_up(state)
    child = _known(state, child_id)
    if child.standing != "stopped":
        raise Conflict(f"child {child_id!r} is {child.standing}", field="id", hint="terminate it first")
    return child


def _require_up(state: SupervisorState) -> None:
    if state.phase == "ended":
        raise over()
