"""The machine against a second, imperative telling of OTP's table, on 5,000 random trees with random lives.

Both are played on the same world: the same children end, the same starts fail, the same is asked of the supervisors,
the same time passes. What was started and stopped, in which order, and who runs at the end, must be the same after
every event. That the comparison can fail is shown by planting defects in the machine.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from maestro.supervision import machine, moves, pacing
from maestro.supervision.spec import ChildSpec
from maestro.supervision.state import Child, ExitKind, SupervisorState
from tests.property.carried_out import Machines
from tests.property.otp_model import Otp, Telling

START = "somewhere:Something"
KINDS: list[ExitKind] = ["normal", "shutdown", "killed", "error", "node_lost"]
TREES = 5_000
DEEPEST = 4


@pytest.mark.shows("4.1")
@pytest.mark.parametrize("depth", range(DEEPEST))
def test_a_random_tree_lives_as_otp_says(depth: int) -> None:
    """Depth 0 is one supervisor with workers; 3 has supervisors on four levels."""
    levels = set()
    for seed in range(TREES // DEEPEST):
        levels.add(play(seed * DEEPEST + depth, depth))
    assert max(levels) == depth + 1


def play(seed: int, depth: int) -> int:
    """One tree and one life; returns how many levels of supervisors it has."""
    chance = random.Random(seed)
    tree = a_supervisor(chance, depth, count())
    telling, machines = Telling(), Machines(tree)
    otp = Otp(tree, telling)
    told = f"seed {seed}: {tree.model_dump_json(exclude_defaults=True)}"
    assert otp.boot() == machines.boot(tree), told
    fresh = count(10_000)
    for _ in range(chance.randint(5, 30)):
        event = an_event(chance, otp, machines, fresh)
        otp.settle()
        machines.settle()
        assert machines.log == telling.log, f"{event}; {told}"
        assert machines.running(tree.id) == otp.running(), f"{event}; {told}"
        assert machines.known(tree.id) == otp.known(), f"{event}; {told}"
        assert len(machines.retries) == len(telling.retries), f"{event}; {told}"
        assert [at for at, *_ in machines.turns] == [at for at, _ in telling.turns], f"{event}; {told}"
    return levels_of(tree)


def an_event(chance: random.Random, otp: Otp, machines: Machines, fresh: Iterator[int]) -> str:
    """The same happens in both worlds; its name."""
    telling = otp.telling
    everybody = [spec.id for spec in otp.spec.walk() if spec.type == "worker"]
    running = otp.running()
    what = chance.choices(["exit", "fail", "retry", "wait", "turn", "ask"], [10, 4, 6, 3, 6, 3])[0]
    match what:
        case "exit" if workers := [name for name in running if not name.startswith("s")]:
            name, kind = chance.choice(workers), chance.choice(KINDS)
            parent, kid = otp.find(name)
            parent.died(kid, kind)
            machines.died(name, kind)
            return f"{name} ends: {kind}"
        case "fail" if everybody:
            telling.failing[name := chance.choice(everybody)] = chance.randint(1, 3)
            machines.failing[name] = telling.failing[name]
            return f"{name} will fail"
        case "retry" if telling.retries:
            otp.retry()
            machines.retry()
        case "turn" if telling.turns:
            at_ms, owner = telling.turns.popleft()
            telling.now_ms = machines.now_ms = max(telling.now_ms, at_ms)
            owner.turn()
            machines.turn()
        case "wait":
            passed = chance.choice([1, 30, 999, 1000, 1001, 4000])
            telling.now_ms += passed
            machines.now_ms += passed
        case "ask":
            return a_request(chance, otp, machines, fresh)
    return what


def a_request(chance: random.Random, otp: Otp, machines: Machines, fresh: Iterator[int]) -> str:
    """Somebody wants a child stopped, started again, or a new one."""
    supervisors = otp.supervisors()
    if not supervisors:
        return "nobody to ask"
    owner = chance.choice(supervisors)
    idle = [kid for kid in owner.kids if not (kid.on or kid.waiting or kid.queued)]
    if idle and chance.random() < 0.6 and owner.spec.strategy != "dynamic":
        kid = chance.choice(idle)
        owner.resume(kid)
        machines.resume(owner.spec.id, kid.spec.id)
        return f"{kid.spec.id} is asked for again"
    if owner.kids and chance.random() < 0.5:
        kid = chance.choice(owner.kids)
        owner.terminate(kid)
        machines.terminate(owner.spec.id, kid.spec.id)
        return f"{kid.spec.id} is terminated"
    spec = ChildSpec.model_construct(**dict(a_worker(chance, f"w{next(fresh)}", "never")))
    owner.add(spec)
    machines.add(owner.spec.id, spec)
    return f"{spec.id} is added"


# ---------------------------------------------------------------- random trees


def a_supervisor(chance: random.Random, depth: int, names: Iterator[int], above: str = "never") -> ChildSpec:
    strategy = chance.choice(["one_for_one", "one_for_all", "rest_for_one", "dynamic"])
    shutting = chance.choice(["never", "any_significant", "all_significant"]) if strategy != "dynamic" else "never"
    loose = strategy in ("one_for_one", "dynamic")
    children = [
        a_supervisor(chance, depth - 1, names, shutting)
        if depth and (chance.random() < 0.4 or place == 0)
        else a_worker(chance, f"w{next(names)}", shutting)
        for place in range(chance.randint(1, 3 if depth else 5))
    ]
    pace = {"at_once": chance.randint(1, 3), "per_second": chance.choice([1, 3, 50])}
    return ChildSpec.model_validate(
        {
            "id": f"s{next(names)}",
            "start": START,
            "type": "supervisor",
            "strategy": strategy,
            "auto_shutdown": shutting,
            "intensity": {"max_restarts": chance.randint(0, 5), "max_seconds": chance.randint(1, 5)},
            "pace": pace if loose and chance.random() < 0.4 else None,
            "children": children,
            **a_nature(chance, above),
        }
    )


def a_worker(chance: random.Random, name: str, above: str) -> ChildSpec:
    return ChildSpec.model_validate({"id": name, "start": START, **a_nature(chance, above)})


def a_nature(chance: random.Random, above: str) -> dict[str, Any]:
    """How a child is restarted, and whether its end matters to the supervisor above."""
    restart = chance.choice(["permanent", "permanent", "transient", "temporary"])
    return {
        "restart": restart,
        "significant": above != "never" and restart != "permanent" and chance.random() < 0.5,
    }


def levels_of(spec: ChildSpec) -> int:
    below = [levels_of(child) for child in spec.children if child.type == "supervisor"]
    return 1 + max(below, default=0)


# ---------------------------------------------------------------- defects that the comparison must see


def _restarts_earlier_siblings(state: SupervisorState, child: Child) -> tuple[Child, ...]:
    return tuple(other for other in state.children if other.id != child.id)


def _in_start_order(children: Any) -> Any:
    return STOPS(list(reversed(children)))


def _transient_comes_back(restart: str, kind: str) -> str:
    return "let_go" if restart == "temporary" or (restart == "transient" and kind == "normal") else "restart"


def _temporary_comes_back(restart: str, kind: str) -> str:
    return "restart" if restart == "temporary" and kind == "error" else VERDICT(restart, kind)  # type: ignore[arg-type]


def _counts_one_too_few(restarts: Any, now_ms: int, intensity: Any) -> tuple[int, ...]:
    return RECENT(restarts, now_ms, intensity)[:-1]


def _forgets_at_the_edge(restarts: Any, now_ms: int, intensity: Any) -> tuple[int, ...]:
    return (now_ms, *(at for at in restarts if at > now_ms - 1000 * intensity.max_seconds))


def _last_come_first_served(state: SupervisorState, now_ms: int) -> Any:
    return TURN(replace(state, queue=tuple(reversed(state.queue))), now_ms)


def _keeps_temporary_bystanders(state: SupervisorState, children: Any, forget: bool = True) -> SupervisorState:
    return DOWN(state, children, forget=False)


def _loses_the_retry(state: SupervisorState, child_id: str, reason: str) -> Any:
    state, actions = START_FAILED(state, child_id, reason)
    return state, tuple(action for action in actions if type(action).__name__ != "PostRetry")


def _free_tokens(bucket: Any, pace: Any, now_ms: int) -> Any:
    return REFILL(None, pace, now_ms)


STOPS, VERDICT, RECENT, TURN = moves.stops, machine.verdict, machine.recent, pacing.turn
DOWN, START_FAILED, REFILL = moves.down, machine.on_start_failed, pacing.refill

DEFECTS: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "rest_for_one restarts earlier siblings": (machine, "after", _restarts_earlier_siblings),
    "stop order is not reversed": (machine, "stops", _in_start_order),
    "a transient child comes back after shutdown": (machine, "verdict", _transient_comes_back),
    "a temporary child comes back after an error": (machine, "verdict", _temporary_comes_back),
    "one restart more than allowed": (machine, "recent", _counts_one_too_few),
    "a restart at the edge of the period is forgotten": (machine, "recent", _forgets_at_the_edge),
    "a temporary bystander is kept": (machine, "down", _keeps_temporary_bystanders),
    "a failed restart is forgotten": (machine, "on_start_failed", _loses_the_retry),
    "the queue serves the last come first": (pacing, "turn", _last_come_first_served),
    "tokens cost no time": (pacing, "refill", _free_tokens),
}


@pytest.mark.shows("4.1")
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_seen(defect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, name, planted = DEFECTS[defect]
    monkeypatch.setattr(where, name, planted)
    with pytest.raises((AssertionError, ValueError)):
        for seed in range(TREES):
            play(seed, seed % DEEPEST)
