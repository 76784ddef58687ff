"""The machine's actions carried out as the Ray shell does it: one state per supervisor that lives, a world of names."""

from collections import Counter, deque

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


class Machines:
    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.parents = {child.id: sup.id for sup in spec.walk() for child in sup.children}
        self.states: dict[str, SupervisorState] = {}
        self.failing: Counter[str] = Counter()
        self.now_ms = 0
        self.born = 0
        self.log: list[str] = []
        self.retries: deque[tuple[str, str, int]] = deque()
        self.turns: deque[tuple[int, str, int]] = deque()
        self.generation: Counter[str] = Counter()
        self.quits: deque[str] = deque()

    def boot(self, spec: ChildSpec) -> bool:
        self.generation[spec.id] += 1
        self.states[spec.id] = machine.supervisor(spec)
        gave_up = self.carry_out(spec.id, machine.start_all(self.states[spec.id]))
        return not gave_up

    def carry_out(self, name: str, decided: Decided) -> bool:
        """True when the supervisor gave up."""
        self.states[name], batch = decided
        todo, gave_up = deque(batch), False
        while todo:
            match todo.popleft():
                case StartChild(spec):
                    self.start(name, [spec], todo)
                case StartTogether(specs):
                    self.start(name, list(specs), todo)
                case StopChild(spec):
                    self.finish(spec)
                case StopTogether(stops):
                    for stop in stops:
                        self.finish(stop.spec)
                case PostRetry(child_id):
                    self.retries.append((name, child_id, self.generation[name]))
                case PostTurn(after_ms):
                    self.turns.append((self.now_ms + after_ms, name, self.generation[name]))
                case GiveUp():
                    gave_up = True
                case Sweep() | AdoptChild():
                    pass
        return gave_up

    def start(self, name: str, specs: list[ChildSpec], todo: deque[Action]) -> None:
        failed = []
        for spec in specs:
            if self.begin(spec):
                self.born += 1
                self.states[name] = machine.on_started(self.states[name], spec.id, HolderId(f"#{self.born}"))
                self.log.append(f"+{spec.id}")
            else:
                failed.append(spec.id)
        if failed:
            todo.clear()
        for child_id in failed:
            self.states[name], instead = machine.on_start_failed(self.states[name], child_id, "no luck")
            todo.extend(instead)

    def begin(self, spec: ChildSpec) -> bool:
        if spec.type == "supervisor":
            return self.boot(spec)
        if self.failing[spec.id]:
            self.failing[spec.id] -= 1
            return False
        return True

    def finish(self, spec: ChildSpec) -> None:
        if spec.type == "supervisor":
            self.carry_out(spec.id, machine.stop_all(self.states[spec.id]))
        self.log.append(f"-{spec.id}")

    def died(self, child_id: str, kind: ExitKind) -> None:
        name = self.parents[child_id]
        child = self.states[name].child(child_id)
        assert child is not None
        assert child.incarnation is not None
        ended = Exit(child_id, child.incarnation, kind)
        if self.carry_out(name, machine.on_exit(self.states[name], ended, self.now_ms)):
            self.quits.append(name)

    def settle(self) -> None:
        while self.quits:
            name = self.quits.popleft()
            if name in self.parents:
                self.died(name, "shutdown")

    def retry(self) -> None:
        name, child_id, generation = self.retries.popleft()
        mailbox_is_gone = generation != self.generation[name]
        if not mailbox_is_gone and self.carry_out(name, machine.on_retry(self.states[name], child_id, self.now_ms)):
            self.quits.append(name)

    def turn(self) -> None:
        _, name, generation = self.turns.popleft()
        if generation == self.generation[name]:
            self.carry_out(name, machine.on_turn(self.states[name], self.now_ms))

    # ------------------------------------------------------------ what people ask of it

    def terminate(self, name: str, child_id: str) -> None:
        self.carry_out(name, requests.terminate_child(self.states[name], child_id))

    def resume(self, name: str, child_id: str) -> None:
        self.carry_out(name, requests.restart_child(self.states[name], child_id))

    def add(self, name: str, spec: ChildSpec) -> None:
        self.parents[spec.id] = name
        self.carry_out(name, requests.start_child(self.states[name], spec))

    def known(self, name: str) -> list[str]:
        """Everybody whose spec is kept, by supervisors that live."""
        if self.states[name].phase == "ended":
            return []
        children = self.states[name].children
        below = [child.id for child in children if child.spec.type == "supervisor" and child.standing == "running"]
        return [*(child.id for child in children), *(found for one in below for found in self.known(one))]

    def running(self, name: str) -> list[str]:
        found = []
        for child in self.states[name].children:
            if child.standing == "running":
                found.append(child.id)
                found += self.running(child.id) if child.spec.type == "supervisor" else []
        return found
