"""Links and monitors between continuations, as behaviours see them: OTP's rules, with good luck and with bad."""

from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from maestro import Behaviour, Finish, Sleep
from maestro.continuation.directive import Closing, Fail
from maestro.continuation.mail import Mail
from maestro.testing.harness import Case, Harness
from maestro.tick.context import Tick


class Heard(BaseModel):
    ends: list[str] = []
    refs: list[str] = []


class Worker(Behaviour):  # type: ignore[type-arg]  # it keeps no state
    """Ends as it is told to."""

    async def on_message(self, tick: Tick, message: Mail) -> Closing | None:  # type: ignore[type-arg]
        if message.subject == "link":
            tick.link(str(message.body))
            return None
        if message.subject == "unlink":
            tick.unlink(str(message.body))
            return None
        return Finish() if message.body == "done" else Fail(reason="told to")


class Watcher(Behaviour[Heard]):
    """Monitors and links whom it is told to; keeps what it hears."""

    async def on_message(self, tick: Tick[Heard], message: Mail) -> Closing | None:
        match message.subject:
            case "monitor":
                tick.state.refs.append(tick.monitor(str(message.body)))
            case "demonitor":
                tick.demonitor(tick.state.refs[-1])
            case "link":
                tick.link(str(message.body))
            case "trap":
                tick.trap_exit()
            case "unlink":
                tick.unlink(str(message.body))
            case _:
                return Finish()
        return None

    async def on_down(self, tick: Tick[Heard], down: Mail) -> Closing | None:
        assert isinstance(down.body, dict)
        tick.state.ends.append(f"{down.kind} {down.body['reason']}")
        return Sleep.until_woken()


@pytest.fixture(params=[False, True], ids=["lucky", "unlucky"])
def maestro(request: pytest.FixtureRequest) -> Iterator[Harness]:
    with Harness(Worker, Watcher, unlucky=request.param) as harness:
        yield harness


def pair(maestro: Harness) -> tuple[Case, Case]:
    return maestro.start(Watcher, goal="look"), maestro.start(Worker, goal="work")


def test_a_monitor_hears_why_the_other_ended_once(maestro: Harness) -> None:
    watcher, worker = pair(maestro)
    watcher.send(worker.id, "monitor")
    worker.send("fail")
    assert watcher.state["ends"] == ["down harness_error"], watcher.why
    assert watcher.shown["status"] == "pending"
    watcher.send(worker.id, "monitor")  # it has ended by now
    assert watcher.state["ends"] == ["down harness_error", "down noproc"]


def test_a_normal_end_is_told_as_normal(maestro: Harness) -> None:
    watcher, worker = pair(maestro)
    watcher.send(worker.id, "monitor")
    worker.send("done")
    assert watcher.state["ends"] == ["down normal"]


def test_who_demonitors_hears_nothing(maestro: Harness) -> None:
    watcher, worker = pair(maestro)
    watcher.send(worker.id, "monitor")
    watcher.send(None, "demonitor")
    worker.send("fail")
    assert watcher.state["ends"] == []


def test_a_link_drags_the_other_along_with_the_same_reason(maestro: Harness) -> None:
    watcher, worker = pair(maestro)
    watcher.send(worker.id, "link")
    worker.cancel()
    assert watcher.status == "cancelled", watcher.why
    assert watcher.shown["stop_reason"] == "cancelled_by_user"


def test_a_link_drags_either_side_and_all_behind(maestro: Harness) -> None:
    first, second = maestro.start(Worker, goal="one"), maestro.start(Worker, goal="two")
    third = maestro.start(Worker, goal="three")
    first.send(second.id, "link")
    second.send(third.id, "link")
    third.send("fail")
    assert [case.status for case in (first, second, third)] == ["failed"] * 3
    assert worker_detail(first) == f"linked with {second.id}, which ended: linked with {third.id}, which ended: told to"


def worker_detail(case: Case) -> object:
    return case.shown["stop_detail"]


def test_a_normal_end_drags_nobody_and_is_not_shown(maestro: Harness) -> None:
    watcher, worker = pair(maestro)
    watcher.send(worker.id, "link")
    worker.send("done")
    assert (watcher.status, watcher.state["ends"]) == ("pending", [])


def test_who_traps_exits_reads_them_normal_ones_too(maestro: Harness) -> None:
    watcher, one = pair(maestro)
    other = maestro.start(Worker, goal="more work")
    watcher.send(None, "trap")
    for worker in (one, other):
        watcher.send(worker.id, "link")
    one.send("fail")
    other.send("done")
    assert (watcher.status, watcher.state["ends"]) == ("pending", ["exit harness_error", "exit normal"])


def test_either_side_undoes_a_link(maestro: Harness) -> None:
    watcher, worker = pair(maestro)
    watcher.send(worker.id, "link")
    worker.send(watcher.id, "unlink")
    worker.send("fail")
    assert watcher.status == "pending"


def test_a_link_with_one_that_has_ended_is_its_end(maestro: Harness) -> None:
    watcher, worker = pair(maestro)
    worker.send("done")
    watcher.send(worker.id, "link")
    assert (watcher.status, watcher.shown["stop_reason"]) == ("failed", "noproc")
