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
- with a pace, or beside children that its successor found alive, a child waits for its turn to restart (`pacing`);
- an exit of an incarnation that is not the current one changes nothing.

Whoever carries the actions out does so in order, one batch at a time; state is as if the batch were done already, and
`on_started`, `on_ignored` and `on_start_failed` tell how each start went. Not here: what people ask of a supervisor
(`requests`), what it leaves to its successor (`roster`); processes, deadlines, clocks.
Source: Erlang/OTP `supervisor`; DynamicSupervisor of Elixir for the strategy `dynamic`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from types import MappingProxyType
from typing import Literal, assert_never

from maestro.ids import HolderId
from maestro.supervision import pacing
from maestro.supervision.moves import after, down, known, starts, stops, sweeps
from maestro.supervision.spec import ChildSpec, Intensity, Restart
from maestro.supervision.state import (
    Action,
    AdoptChild,
    Child,
    Decided,
    Exit,
    ExitKind,
    GiveUp,
    PostRetry,
    StartChild,
    StopTogether,
    SupervisorState,
)

Alive = Mapping[str, HolderId]
"""Children found running before the first start: id -> incarnation."""
NOBODY: Alive = MappingProxyType({})


def supervisor(spec: ChildSpec) -> SupervisorState:
    """A supervisor as its spec describes it, nothing started yet."""
    return SupervisorState(
        strategy=spec.strategy,
        intensity=spec.intensity,
        auto_shutdown=spec.auto_shutdown,
        children=tuple(Child(child) for child in spec.children),
        starts_together=spec.starts_together,
        pace=spec.pace,
        template=spec.template,
    )


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
    adopts = tuple(AdoptChild(c.spec, alive[c.id]) for c in adopted)
    ended = stops([replace(c, incarnation=alive[c.id]) for c in begun if c.id in alive])
    state = state.put(*(replace(c, standing="running", incarnation=alive[c.id]) for c in adopted))
    state, actions = _begin(state, begun, beside=bool(alive))
    return _booted(state), (*adopts, *ended, *actions)


def stop_all(state: SupervisorState) -> Decided:
    """Every child is stopped, last started first; the supervisor has ended and decides nothing any more."""
    ended: tuple[Action, ...] = stops(state.children)
    if state.strategy == "dynamic" and ended:
        ended = (StopTogether(stops(state.children)),)
    return replace(down(state, state.children), phase="ended"), (*ended, *sweeps(state.children))


def on_started(state: SupervisorState, child_id: str, incarnation: HolderId) -> SupervisorState:
    """The child runs as `incarnation`."""
    child = known(state, child_id)
    restarts = child.restarts + (child.standing == "restarting")
    return _booted(state.put(replace(child, standing="running", incarnation=incarnation, restarts=restarts)))


def on_ignored(state: SupervisorState, child_id: str) -> SupervisorState:
    """The child wants to be left out: it does not run, and that is no failure; only its spec stays, if anything."""
    child = replace(known(state, child_id), standing="stopped", incarnation=None)
    return _booted(_forgotten(state.put(child), child))


def on_start_failed(state: SupervisorState, child_id: str, reason: str) -> Decided:
    """A start did not come to pass; what was to be started after it is not."""
    if state.phase == "ended":
        return state, ()
    child = known(state, child_id)
    if state.phase == "booting":
        return _give_up(state, f"failed_to_start_child {child_id}: {reason}")
    match child.standing:
        case "starting":
            return state.without(child_id), ()
        case "resuming":
            return state.put(replace(child, standing="stopped")), ()
        case "restarting" if state.strategy in ("one_for_all", "rest_for_one"):
            unreached = [c for c in after(state, child) if c.standing == "restarting"]
            return down(state, unreached, forget=False), (PostRetry(child_id),)
        case "restarting":
            return state, (PostRetry(child_id),)
        case "stopped" | "waiting" | "running":
            return state, ()
        case _:
            assert_never(child.standing)


def on_retry(state: SupervisorState, child_id: str, now_ms: int) -> Decided:
    """A failed restart gets its next try, counted like the first; meanwhile stopped or running, nothing happens."""
    child = state.child(child_id)
    if state.phase == "ended" or child is None or child.standing != "restarting":
        return state, ()
    return _restart(state, child, now_ms)


def on_turn(state: SupervisorState, now_ms: int) -> Decided:
    """Of the children that wait to restart, as many as the pace allows are on their way up."""
    return (state, ()) if state.phase == "ended" else pacing.turn(state, now_ms)


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


def _begin(state: SupervisorState, begun: list[Child], beside: bool) -> Decided:
    """Those to be started are on their way; beside living siblings one by one, so that none depends on another."""
    alone = state.strategy in ("one_for_one", "dynamic")
    if beside and alone:
        return pacing.enqueue(state, *begun)
    state = state.put(*(replace(c, standing="restarting" if beside else "starting") for c in begun))
    return state, pacing.in_paces(begun, state.pace) if state.starts_together else starts(begun)


def _restart(state: SupervisorState, child: Child, now_ms: int) -> Decided:
    state = replace(state, restarts=recent(state.restarts, now_ms, state.intensity)).put(child)
    if len(state.restarts) > state.intensity.max_restarts:
        return _give_up(state, f"reached_max_restart_intensity: {child.id} {_last_reason(child)}")
    match state.strategy:
        case "one_for_one" | "dynamic" if state.pace is not None:
            return pacing.enqueue(state, child)
        case "one_for_one" | "dynamic":
            return state, (StartChild(child.spec),)
        case "rest_for_one":
            return _restart_group(state, (child, *after(state, child)))
        case "one_for_all":
            return _restart_group(state, state.children)
        case _:
            assert_never(state.strategy)


def _restart_group(state: SupervisorState, group: Sequence[Child]) -> Decided:
    ended = stops(group)
    back = [member for member in group if member.spec.restart != "temporary"]
    restarting = [replace(member, standing="restarting", incarnation=None) for member in back]
    return down(state, group).put(*restarting), (*ended, *starts(restarting))


def _let_go(state: SupervisorState, child: Child, ended: Exit) -> Decided:
    state = _forgotten(state, child)
    swept = sweeps([replace(child, standing="restarting")]) if ended.abnormal else ()
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
    state, ended = stop_all(state)
    return state, (*first, *ended, GiveUp(reason))


def _forgotten(state: SupervisorState, child: Child) -> SupervisorState:
    """A child that ended for good leaves its spec behind, unless nobody could ever use it again."""
    gone = child.spec.restart == "temporary" or state.strategy == "dynamic"
    return state.without(child.id) if gone else state


def _booted(state: SupervisorState) -> SupervisorState:
    """The first start is over as soon as no child is on its way up."""
    over = state.phase == "booting" and not any(child.standing == "starting" for child in state.children)
    return replace(state, phase="up") if over else state


def _last_reason(child: Child) -> str:
    return child.last_exit.reason if child.last_exit else "did not start"
