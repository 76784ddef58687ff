"""A stage on which the machine's actions are carried out as the Ray shell does it, without Ray."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any, assert_never

from pydantic import JsonValue

from maestro.ids import HolderId
from maestro.supervision import machine, requests
from maestro.supervision.spec import ChildSpec
from maestro.supervision.state import (
    Action,
    AdoptChild,
    Decided,
    Exit,
    ExitKind,
    GiveUp,
    PostRetry,
    PostTurn,
    StartChild,
    StartTogether,
    StopChild,
    StopTogether,
    SupervisorState,
    Sweep,
)

START = "somewhere:Something"


def child(child_id: str, restart: str = "permanent", **fields: Any) -> ChildSpec:
    return ChildSpec.model_validate({"id": child_id, "start": START, "restart": restart, **fields})


def sup(
    *children: ChildSpec, strategy: str = "one_for_one", intensity: tuple[int, int] = (2, 3600), **fields: Any
) -> ChildSpec:
    limits = {"max_restarts": intensity[0], "max_seconds": intensity[1]}
    fields = {"id": "top", "start": START, "type": "supervisor", **fields}
    return ChildSpec.model_validate({**fields, "strategy": strategy, "intensity": limits, "children": children})


@dataclass
class Stage:
    """One supervisor; `played` tells what was done: +id started, -id stopped, =id adopted, ~id swept."""

    spec: ChildSpec
    failing: set[str] = field(default_factory=set)
    """Ids whose start fails; a start of `id!` fails once."""
    ignoring: set[str] = field(default_factory=set)
    """Ids that want to be left out."""
    now_ms: int = 0
    played: list[str] = field(default_factory=list)
    retries: deque[str] = field(default_factory=deque)
    turns: deque[int] = field(default_factory=deque)
    """When those that wait to restart may go."""
    gave_up: str | None = None
    born: int = 0

    def __post_init__(self) -> None:
        self.state: SupervisorState = machine.supervisor(self.spec)

    def boot(self, **alive: str) -> "Stage":
        self.play(machine.start_all(self.state, {name: HolderId(value) for name, value in alive.items()}))
        return self

    def start(self, spec: ChildSpec) -> list[str]:
        return self.play(requests.start_child(self.state, spec))

    def spawn(self, **args: JsonValue) -> list[str]:
        return self.play(requests.spawn_child(self.state, args))

    def terminate(self, child_id: str) -> list[str]:
        return self.play(requests.terminate_child(self.state, child_id))

    def restart(self, child_id: str) -> list[str]:
        return self.play(requests.restart_child(self.state, child_id))

    def delete(self, child_id: str) -> None:
        self.state = requests.delete_child(self.state, child_id)

    def change(self, spec: ChildSpec) -> None:
        self.state = requests.change_spec(self.state, spec)

    def exit(self, child_id: str, kind: ExitKind, text: str = "") -> list[str]:
        """The child ends; what was played because of it."""
        child = self.state.child(child_id)
        assert child is not None
        assert child.incarnation is not None
        return self.play(machine.on_exit(self.state, Exit(child_id, child.incarnation, kind, text), self.now_ms))

    def retry(self) -> list[str]:
        """The next failed restart gets its turn in the mailbox."""
        return self.play(machine.on_retry(self.state, self.retries.popleft(), self.now_ms))

    def turn(self) -> list[str]:
        """Time passes until the next turn of those that wait, and it comes."""
        self.now_ms = max(self.now_ms, self.turns.popleft())
        return self.play(machine.on_turn(self.state, self.now_ms))

    def stop(self) -> list[str]:
        return self.play(machine.stop_all(self.state))

    def play(self, decided: Decided) -> list[str]:
        begin = len(self.played)
        self.state, batch = decided
        todo = deque(batch)
        while todo:
            match action := todo.popleft():
                case StartChild(spec):
                    todo = self._start(spec, todo)
                case StartTogether(specs):
                    self._start_together(specs, todo)
                case AdoptChild(spec):
                    self.played.append(f"={spec.id}")
                case StopChild(spec):
                    self.played.append(f"-{spec.id}")
                case StopTogether(stops):
                    self.played.append("-" + "|".join(stop.spec.id for stop in stops))
                case Sweep(spec):
                    self.played.append(f"~{spec.id}")
                case PostRetry(child_id):
                    self.retries.append(child_id)
                case PostTurn(after_ms):
                    self.turns.append(self.now_ms + after_ms)
                case GiveUp(reason):
                    self.gave_up = reason
                case _:
                    assert_never(action)
        return self.played[begin:]

    def _start(self, spec: ChildSpec, todo: deque[Action]) -> deque[Action]:
        """What is still to be done."""
        if {spec.id, f"{spec.id}!"} & self.failing:
            self.failing.discard(f"{spec.id}!")
            self.state, instead = machine.on_start_failed(self.state, spec.id, "no luck")
            return deque(instead)
        if spec.id in self.ignoring:
            self.state = machine.on_ignored(self.state, spec.id)
        else:
            self._born(spec)
            self.played.append(f"+{spec.id}")
        return todo

    def _born(self, spec: ChildSpec) -> None:
        self.born += 1
        self.state = machine.on_started(self.state, spec.id, HolderId(f"{spec.id}#{self.born}"))

    def _start_together(self, specs: tuple[ChildSpec, ...], todo: deque[Action]) -> None:
        failed = [spec.id for spec in specs if {spec.id, f"{spec.id}!"} & self.failing]
        self.failing -= {f"{child_id}!" for child_id in failed}
        for spec in specs:
            if spec.id not in failed:
                self._born(spec)
        self.played.append("+" + "|".join(spec.id for spec in specs if spec.id not in failed))
        if failed:
            todo.clear()
        for child_id in failed:
            self.state, instead = machine.on_start_failed(self.state, child_id, "no luck")
            todo.extend(instead)

    @property
    def running(self) -> list[str]:
        return [child.id for child in self.state.children if child.standing == "running"]

    @property
    def known(self) -> list[str]:
        return [child.id for child in self.state.children]

    def standing(self, child_id: str) -> str:
        return requests.which_child(self.state, child_id).standing

    @property
    def counts(self) -> list[int]:
        counts = requests.count_children(self.state)
        return [counts.specs, counts.active, counts.supervisors, counts.workers]
