"""The machine against a second, imperative telling of OTP's table, on random trees, flat and nested.

Both are played on the same world: the same children end, the same starts fail. What was started and stopped, in which
order, and who runs at the end, must be the same after every event.
"""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from maestro.ids import HolderId
from maestro.supervision import machine
from maestro.supervision.spec import ChildSpec
from maestro.supervision.state import (
    AdoptChild,
    Decided,
    Exit,
    ExitKind,
    GiveUp,
    PostRetry,
    StartChild,
    StopChild,
    StopTogether,
    SupervisorState,
    Sweep,
)

START = "somewhere:Something"
KINDS: list[ExitKind] = ["normal", "shutdown", "killed", "error", "node_lost"]


# ---------------------------------------------------------------- OTP as a person would tell it


@dataclass
class Kid:
    spec: ChildSpec
    on: bool = False
    waiting: bool = False
    below: "Otp | None" = None


@dataclass
class Telling:
    """What happens to everybody, and when."""

    failing: Counter[str] = field(default_factory=Counter)
    now_ms: int = 0
    log: list[str] = field(default_factory=list)
    retries: deque[tuple["Otp", Kid]] = field(default_factory=deque)
    quits: deque["Otp"] = field(default_factory=deque)

    def fails(self, child_id: str) -> bool:
        if self.failing[child_id] == 0:
            return False
        self.failing[child_id] -= 1
        return True


class Otp:
    def __init__(self, spec: ChildSpec, telling: Telling, above: "tuple[Otp, Kid] | None" = None) -> None:
        self.spec, self.telling, self.above = spec, telling, above
        self.kids = [Kid(child) for child in spec.children]
        self.times: list[int] = []
        self.over = False

    def boot(self) -> bool:
        for kid in self.kids:
            if not self.begin(kid):
                self.shutdown()
                return False
        return True

    def begin(self, kid: Kid) -> bool:
        if kid.spec.type == "supervisor":
            kid.below = Otp(kid.spec, self.telling, (self, kid))
            if not kid.below.boot():
                return False
        elif self.telling.fails(kid.spec.id):
            return False
        kid.on, kid.waiting = True, False
        self.telling.log.append(f"+{kid.spec.id}")
        return True

    def finish(self, kid: Kid) -> None:
        kid.waiting = False
        if kid.on:
            if kid.below:
                kid.below.shutdown()
            kid.on = False
            self.telling.log.append(f"-{kid.spec.id}")

    def shutdown(self) -> None:
        for kid in reversed(self.kids):
            self.finish(kid)
        self.over = True

    def died(self, kid: Kid, kind: ExitKind) -> None:
        kid.on = False
        well = kind in ("normal", "shutdown")
        if kid.spec.restart == "permanent" or (kid.spec.restart == "transient" and not well):
            self.again(kid)
            return
        if kid.spec.restart == "temporary" or self.spec.strategy == "dynamic":
            self.kids.remove(kid)
        others = [other for other in self.kids if other.spec.significant and (other.on or other.waiting)]
        if kid.spec.significant and (self.spec.auto_shutdown == "any_significant" or not others):
            self.quit()

    def again(self, kid: Kid) -> None:
        now, period = self.telling.now_ms, 1000 * self.spec.intensity.max_seconds
        self.times.append(now)
        if len([at for at in self.times if now - at <= period]) > self.spec.intensity.max_restarts:
            self.quit()
            return
        place = self.kids.index(kid)
        victims = {"one_for_all": self.kids[:], "rest_for_one": self.kids[place:]}.get(self.spec.strategy, [kid])
        for victim in reversed(victims):
            self.finish(victim)
            if victim.spec.restart == "temporary":
                self.kids.remove(victim)
        for back in [victim for victim in victims if victim.spec.restart != "temporary"]:
            if not self.begin(back):
                back.waiting = True
                self.telling.retries.append((self, back))
                return

    def quit(self) -> None:
        self.shutdown()
        self.telling.quits.append(self)

    def settle(self) -> None:
        """Whoever quits is an exit `shutdown` for the one above."""
        while self.telling.quits:
            quitter = self.telling.quits.popleft()
            if quitter.above:
                parent, kid = quitter.above
                parent.died(kid, "shutdown")

    def retry(self) -> None:
        owner, kid = self.telling.retries.popleft()
        if kid.waiting and not owner.over:
            owner.again(kid)

    def find(self, child_id: str) -> "tuple[Otp, Kid]":
        for kid in self.kids:
            if kid.spec.id == child_id:
                return self, kid
            if kid.on and kid.below and child_id in kid.below.running():
                return kid.below.find(child_id)
        raise LookupError(child_id)

    def running(self) -> list[str]:
        return [] if self.over else [name for kid in self.kids if kid.on for name in self._with_below(kid)]

    def _with_below(self, kid: Kid) -> list[str]:
        return [kid.spec.id, *(kid.below.running() if kid.below else [])]


# ---------------------------------------------------------------- the machine, carried out


class Machines:
    """One state per supervisor that lives; the actions are carried out as the shell does it."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.parents = {child.id: sup.id for sup in spec.walk() for child in sup.children}
        self.states: dict[str, SupervisorState] = {}
        self.failing: Counter[str] = Counter()
        self.now_ms = 0
        self.born = 0
        self.log: list[str] = []
        self.retries: deque[tuple[str, str, int]] = deque()
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
                    if self.begin(spec):
                        self.born += 1
                        self.states[name] = machine.on_started(self.states[name], spec.id, HolderId(f"#{self.born}"))
                        self.log.append(f"+{spec.id}")
                    else:
                        self.states[name], instead = machine.on_start_failed(self.states[name], spec.id, "no luck")
                        todo = deque(instead)
                case StopChild(spec):
                    self.finish(spec)
                case StopTogether(stops):
                    for stop in stops:
                        self.finish(stop.spec)
                case PostRetry(child_id):
                    self.retries.append((name, child_id, self.generation[name]))
                case GiveUp():
                    gave_up = True
                case Sweep() | AdoptChild():
                    pass
        return gave_up

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

    def running(self, name: str) -> list[str]:
        found = []
        for child in self.states[name].children:
            if child.standing == "running":
                found.append(child.id)
                found += self.running(child.id) if child.spec.type == "supervisor" else []
        return found


# ---------------------------------------------------------------- random trees, random lives


@st.composite
def trees(draw: st.DrawFn, depth: int) -> ChildSpec:
    names = iter(range(1000))
    return _supervisor(draw, depth, names)


def _supervisor(draw: st.DrawFn, depth: int, names: Any, **fields: Any) -> ChildSpec:
    shutting = draw(st.sampled_from(["never", "any_significant", "all_significant"]))
    children = []
    for _ in range(draw(st.integers(1, 4))):
        restart = draw(st.sampled_from(["permanent", "permanent", "transient", "temporary"]))
        significant = shutting != "never" and restart != "permanent" and draw(st.booleans())
        nature = {"restart": restart, "significant": significant}
        if depth and draw(st.booleans()):
            children.append(_supervisor(draw, depth - 1, names, **nature))
        else:
            children.append(ChildSpec.model_validate({"id": f"w{next(names)}", "start": START, **nature}))
    flags = {
        "strategy": draw(st.sampled_from(["one_for_one", "one_for_all", "rest_for_one", "dynamic"])),
        "intensity": {"max_restarts": draw(st.integers(0, 4)), "max_seconds": draw(st.integers(1, 5))},
        "auto_shutdown": shutting,
    }
    identity = {"id": f"s{next(names)}", "start": START, "type": "supervisor"}
    return ChildSpec.model_validate({**identity, **flags, **fields, "children": children})


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("exit"), st.integers(0, 50), st.sampled_from(KINDS)),
        st.tuples(st.just("fail"), st.integers(0, 50), st.integers(1, 3)),
        st.tuples(st.just("retry"), st.just(0), st.just(0)),
        st.tuples(st.just("wait"), st.integers(0, 4000), st.just(0)),
    ),
    max_size=30,
)


@settings(max_examples=400, deadline=None)
@given(tree=trees(0), events=EVENTS)
def test_a_flat_supervisor_does_what_otp_does(tree: ChildSpec, events: list[Any]) -> None:
    play(tree, events)


@settings(max_examples=400, deadline=None)
@given(tree=trees(2), events=EVENTS)
def test_a_tree_of_supervisors_does_what_otp_does(tree: ChildSpec, events: list[Any]) -> None:
    play(tree, events)


def play(tree: ChildSpec, events: list[Any]) -> None:
    telling, machines = Telling(), Machines(tree)
    otp = Otp(tree, telling)
    assert otp.boot() == machines.boot(tree)
    for what, first, second in events:
        workers = [name for name in otp.running() if name.startswith("w")]
        match what:
            case "exit" if workers:
                name = workers[first % len(workers)]
                parent, kid = otp.find(name)
                parent.died(kid, second)
                machines.died(name, second)
            case "fail":
                everybody = [spec.id for spec in tree.walk() if spec.type == "worker"]
                telling.failing[everybody[first % len(everybody)]] = second
                machines.failing[everybody[first % len(everybody)]] = second
            case "retry" if telling.retries:
                otp.retry()
                machines.retry()
            case "wait":
                telling.now_ms += first
                machines.now_ms += first
        otp.settle()
        machines.settle()
        assert machines.log == telling.log
        assert machines.running(tree.id) == otp.running()
        assert len(machines.retries) == len(telling.retries)
