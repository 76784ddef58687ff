"""What people and programs ask of a supervisor at run time; each refusal carries OTP's own word as the fact `otp`.

    start_child      already_started · already_present · bad_combination
    restart_child    not_found · running · restarting · simple_one_for_one
    delete_child     not_found · running · restarting · simple_one_for_one
    terminate_child  not_found
    spawn_child      no_template
    renew_children   (not OTP's: another place for what runs)

Invariant: a request that is refused changes nothing. Not here: exits (`machine`).
Source: Erlang/OTP `supervisor`, the functions of the same names; DynamicSupervisor for `dynamic` without a template.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace

from pydantic import JsonValue

from maestro.errors import Conflict, InvalidInput
from maestro.supervision.moves import down, known, stops, sweeps
from maestro.supervision.spec import ChildSpec, check_significance
from maestro.supervision.state import (
    Action,
    Child,
    Counts,
    Decided,
    StartChild,
    StartTogether,
    StopTogether,
    SupervisorState,
)

ON_ITS_WAY = ("starting", "resuming", "waiting", "restarting")


def start_child(state: SupervisorState, spec: ChildSpec) -> Decided:
    """`spec` is the last child, on its way up; if its start fails, it is forgotten.

    Raises:
        Conflict: a child of that id is known already, or the supervisor has ended.
        InvalidInput: it is significant, and this supervisor never shuts down by itself; or children have a template.
    """
    _require_up(state)
    if state.template is not None:
        raise InvalidInput(
            f"children here are made from the template {state.template.id!r}: give arguments, no spec",
            field="spec",
            otp="simple_one_for_one",
        )
    if (child := state.child(spec.id)) is not None:
        runs = child.standing == "running"
        hint = "delete or restart it" if child.standing == "stopped" else "it need not be started"
        otp = "already_started" if runs else "already_present"
        raise Conflict(f"child {spec.id!r} is {child.standing} already", field="id", hint=hint, otp=otp)
    _require_significance(spec, state)
    children = (*state.children, Child(spec, standing="starting"))
    return replace(state, children=children), (StartChild(spec),)


def spawn_child(state: SupervisorState, args: Mapping[str, JsonValue]) -> Decided:
    """One more child made from the template, with these arguments beside the template's own; it is on its way up.

    Raises:
        InvalidInput: there is no template here, or an argument cannot be one.
    """
    _require_up(state)
    if state.template is None:
        raise InvalidInput("children here have no template: give a whole spec", field="args", otp="no_template")
    number = state.made + 1
    spec = state.template.filled(number, args)
    children = (*state.children, Child(spec, standing="starting"))
    return replace(state, children=children, made=number), (StartChild(spec),)


def terminate_child(state: SupervisorState, child_id: str) -> Decided:
    """The child is stopped and stays so; a temporary one, or one of a dynamic supervisor, is forgotten.

    A second time changes nothing; nor where the child was made from a template and is gone already.

    Raises:
        NotFound: no such child.
    """
    _require_up(state)
    if state.child(child_id) is None and _was_made(state, child_id):
        return state, ()
    child = known(state, child_id)
    stopped = down(state, [child])
    actions: tuple[Action, ...] = (*stops([child]), *sweeps([child]))
    return (stopped.without(child_id) if state.strategy == "dynamic" else stopped), actions


def restart_child(state: SupervisorState, child_id: str) -> Decided:
    """A stopped child is on its way up again, at its old place.

    Raises:
        NotFound: no such child.
        Conflict: it is not stopped, or children of this supervisor are not kept.
    """
    child = _known_stopped(state, child_id)
    return state.put(replace(child, standing="resuming")), (StartChild(child.spec),)


def renew_children(state: SupervisorState, child_ids: Collection[str]) -> Decided:
    """Those of them that run have fresh incarnations, at their old places, stopped in order first; no failure of any.

    A temporary one is only stopped. Whoever does not come up is restarted like one that failed.
    """
    _require_up(state)
    running = [child for child in state.children if child.id in child_ids and child.standing == "running"]
    # what `on_started` counts is taken off first: none of these is a restart
    back = [replace(child, standing="restarting", incarnation=None, restarts=child.restarts - 1) for child in running]
    back = [child for child in back if child.spec.restart != "temporary"]
    if not running:
        return state, ()
    return down(state, running).put(*back), (
        StopTogether(stops(running)),
        StartTogether(tuple(child.spec for child in back)),
    )


def delete_child(state: SupervisorState, child_id: str) -> SupervisorState:
    """A stopped child is forgotten.

    Raises:
        NotFound: no such child.
        Conflict: it is not stopped, or children of this supervisor are not kept.
    """
    return state.without(_known_stopped(state, child_id).id)


def which_children(state: SupervisorState) -> tuple[Child, ...]:
    """All children that the supervisor knows, in start order."""
    return state.children


def which_child(state: SupervisorState, child_id: str) -> Child:
    """One child, with its spec.

    Raises:
        NotFound: no such child.
    """
    return known(state, child_id)


def count_children(state: SupervisorState) -> Counts:
    """How many specs, running children, supervisors and workers; a template is one spec."""
    supervisors = sum(child.spec.type == "supervisor" for child in state.children)
    active = sum(child.standing == "running" for child in state.children)
    specs = len(state.children) if state.template is None else 1
    return Counts(specs, active, supervisors, len(state.children) - supervisors)


def change_spec(state: SupervisorState, spec: ChildSpec) -> SupervisorState:
    """The supervisor follows `spec` from now on: OTP's code change. No child is started or stopped by it.

    Children stand in the order of `spec`; those new there are stopped; those it does not name stay, after the others.

    Raises:
        InvalidInput: its children would be of another nature: made from a template, or not.
    """
    _require_up(state)
    if (spec.template is None) != (state.template is None):
        raise InvalidInput(
            "a template cannot come or go while the supervisor lives", field="template", otp="simple_one_for_one"
        )
    named = {child.id for child in spec.children}
    told = [replace(state.child(new.id) or Child(new), spec=new) for new in spec.children]
    return replace(
        state,
        strategy=spec.strategy,
        intensity=spec.intensity,
        auto_shutdown=spec.auto_shutdown,
        pace=spec.pace,
        bucket=None,
        starts_together=spec.starts_together,
        template=spec.template,
        children=(*told, *(child for child in state.children if child.id not in named)),
    )


def over() -> Conflict:
    """The one text for every request that comes too late."""
    return Conflict("this supervisor has ended", hint="ask its successor", otp="noproc")


def _known_stopped(state: SupervisorState, child_id: str) -> Child:
    _require_up(state)
    if state.template is not None:
        raise Conflict(
            f"children made from {state.template.id!r} are not kept once they have ended",
            field="id",
            hint="spawn another",
            otp="simple_one_for_one",
        )
    child = known(state, child_id)
    if child.standing != "stopped":
        otp = "restarting" if child.standing in ON_ITS_WAY else "running"
        raise Conflict(f"child {child_id!r} is {child.standing}", field="id", hint="terminate it first", otp=otp)
    return child


def _was_made(state: SupervisorState, child_id: str) -> bool:
    if state.template is None:
        return False
    template, _, number = child_id.rpartition("/")
    return template == state.template.id and number.isdecimal() and 0 < int(number) <= state.made


def _require_significance(spec: ChildSpec, state: SupervisorState) -> None:
    try:
        check_significance(spec, state.auto_shutdown)
    except ValueError as error:
        raise InvalidInput(str(error), field="significant", otp="bad_combination") from None


def _require_up(state: SupervisorState) -> None:
    if state.phase == "ended":
        raise over()
