"""Today's code is tried on every sleeper in a process of its own: who would fail is known, and nothing has changed."""

import asyncio
import time
from pathlib import Path

import pytest
import redis as client

from maestro.adapters.sandbox.process import MOST_ENDS, Sandbox
from maestro.continuation.mail import Control
from maestro.errors import InvalidInput
from maestro.ids import ContinuationId, new_token
from maestro.runtime import verbs
from maestro.runtime.rehearsal import Rehearsal, Sleeper, rehearse
from maestro.runtime.verbs import Installation
from tests.chaos.redis_server import OwnRedis
from tests.integration.code_change_support import Broken4, Pupil, Scout2, Scout3, Scout4
from tests.integration.rehearsal_support import Plant, Quiet1, dump, fill, plant, redis, stage
from tests.stage import Stage

__all__ = ["plant", "redis", "stage"]

LIMIT_S = 1.0
CID = ContinuationId("0123456789abcdefghjkmn-0")


async def rehearsed(at: Installation, *modules: str) -> Rehearsal:
    sandbox = Sandbox(modules, LIMIT_S)
    try:
        return await rehearse(at, sandbox)
    finally:
        await sandbox.close()


# ------------------------------------------------------------------ ten thousand


@pytest.mark.shows("3.4")
@pytest.mark.timeout(60, func_only=True)
async def test_ten_thousand_sleepers_of_three_versions_are_rehearsed_and_not_one_byte_is_written(
    stage: Stage, redis: OwnRedis, plant: Plant
) -> None:
    for behaviour, count in ((Quiet1, 3_334), (Scout2, 3_333), (Scout3, 3_333)):
        await fill(stage, behaviour, count)
    support = "tests.integration.code_change_support"
    good = plant("good_scouts", f"from {support} import Scout4\n")
    bad = plant("bad_scouts", f"from {support} import Broken4\n")
    before = dump(redis.url)
    tried = await rehearsed(stage.at, good)
    again = await rehearsed(stage.at, bad)
    assert dump(redis.url) == before
    print(f"\n{tried.sleepers:,} sleepers: {tried.duration_ms} ms; with a broken migration: {again.duration_ms} ms")
    told = [(kind.behaviour, kind.version, kind.sleepers, kind.would_fail) for kind in tried.kinds]
    assert told == [("scout", 1, 3_334, 0), ("scout", 2, 3_333, 0), ("scout", 3, 3_333, 0)]
    assert tried.failures == ()
    assert [kind.would_fail for kind in again.kinds] == [3_334, 3_333, 0]
    some = again.failures[0].told()
    assert some["error"] == "scout: the migration from version 2 failed: KeyError: 'titles'"
    assert (some["from_version"], some["to_version"], some["held"]) == (1, 4, False)


# ------------------------------------------------------------------ what user code may do to the sandbox

WILD = """
import os, sys, time
from maestro import Behaviour, migrates

print("an import may print")


class Wild(Behaviour):
    version = 2

    @migrates(1)
    def does(state):
        match state.get("do"):
            case "loop":
                while True:
                    pass
            case "sleep":
                time.sleep(60)
            case "exit":
                sys.exit(3)
            case "die":
                os._exit(4)
            case "segfault":
                os.kill(os.getpid(), 11)
            case "print":
                print("x" * 100_000)
                sys.stdout.flush()
                os.write(1, b"{}\\n")
            case "close":
                os.close(1)
            case "read":
                sys.stdin.read()
            case "raise":
                raise ValueError("two\\nlines")
            case "none":
                return None
            case "environment":
                raise ValueError(" ".join(sorted(os.environ)))
        return {}
"""


def sleeper(do: str, version: int = 1, behaviour: str = "wild") -> Sleeper:
    return Sleeper(CID, behaviour, version, {"do": do})


async def errors(modules: tuple[str, ...], *sleepers: Sleeper) -> tuple[list[str | None], int]:
    """What is told of each, and how many processes it took."""
    sandbox = Sandbox(modules, LIMIT_S)
    try:
        return [verdict.error for verdict in await sandbox.judge(sleepers)], sandbox.processes
    finally:
        await sandbox.close()


async def test_whatever_a_migration_does_the_next_sleeper_is_tried(plant: Plant) -> None:
    wild = plant("wild_things", WILD)
    harmless = ["print", "close", "read", "raise", "none", "exit", "well"]
    told, processes = await errors((wild,), *map(sleeper, harmless))
    by_deed = dict(zip(harmless, told, strict=True))
    assert [deed for deed, error in by_deed.items() if error is None] == ["print", "close", "read", "well"]
    assert by_deed["raise"] == "wild: the migration from version 1 failed: ValueError: two lines"
    assert "it returned NoneType" in str(by_deed["none"])
    assert "SystemExit: 3" in str(by_deed["exit"])
    assert processes == 1


async def test_one_that_ends_or_holds_up_the_process_costs_that_process_only(plant: Plant) -> None:
    wild = plant("wild_deaths", WILD)
    told, processes = await errors((wild,), sleeper("well"), sleeper("die"), sleeper("loop"), sleeper("well"))
    assert told == [None, "it ended its process with status 4", "it took longer than 1 s", None]
    assert processes == 3


async def test_a_kind_that_goes_on_ending_processes_is_not_tried_for_ever(plant: Plant) -> None:
    wild = plant("wild_kind", WILD)
    told, processes = await errors((wild,), *[sleeper("segfault")] * 40, sleeper("well", version=2))
    assert told[:MOST_ENDS] == ["it ended its process with status -11"] * MOST_ENDS
    assert set(told[MOST_ENDS:-1]) == {"not tried: 3 others of wild, version 1, ended their process"}
    assert told[-1] is not None, "a kind of its own is tried: this state has a field that version 2 lacks"
    assert "does not fit NoState" in told[-1]
    assert processes == MOST_ENDS + 1


async def test_user_code_sees_no_variable_of_ours(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAESTRO_REDIS_PASSWORD", "secret")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    monkeypatch.setenv("OF_THE_USER", "theirs")
    (told,), _ = await errors((plant("wild_environment", WILD),), sleeper("environment"))
    assert "OF_THE_USER" in str(told)
    assert "MAESTRO_" not in str(told)
    assert "RAY_" not in str(told)


async def test_no_process_is_left(plant: Plant) -> None:
    marker = f"of-{new_token('test')}"
    source = f"import subprocess\nsubprocess.Popen(['sleep', '600'], env={{'MARKER': '{marker}'}})\n" + WILD
    sandbox = Sandbox((plant("wild_children", source),), LIMIT_S)
    await sandbox.judge([sleeper("well")])
    assert len(processes_with(marker)) == 1
    await sandbox.close()
    deadline = time.monotonic() + 10
    while processes_with(marker):
        assert time.monotonic() < deadline, "a child of user code outlives the sandbox"
        await asyncio.sleep(0.02)


def processes_with(marker: str) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue  # it has ended, or is not ours
        if marker.encode() in environment and state != "Z":
            found.append(int(process.name))
    return found


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("raise KeyError('no')", "cannot import 'broken_module': KeyError: 'no'"),
        ("import sys; sys.exit(5)", "cannot import 'broken_module': SystemExit: 5"),
        ("import os; os._exit(5)", "importing broken_module ended its process with status 5"),
        ("from maestro import Behaviour\nclass A(Behaviour):\n  version = 0", "'broken_module': broken_module.A: "),
    ],
)
async def test_code_that_cannot_be_loaded_is_named(plant: Plant, source: str, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await errors((plant("broken_module", source),), sleeper("well"))
    assert message in refused.value.message


# ------------------------------------------------------------------ who is tried


async def test_only_the_living_are_tried_and_who_is_held_already_is_marked(stage: Stage, plant: Plant) -> None:
    support = "tests.integration.code_change_support"
    await fill(stage, Quiet1, 3)
    done, held, _ = await stage.all()
    await verbs.order(stage.at, done, Control.KILL)
    await stage.settle()
    stage.around = stage.surroundings(Broken4)
    await verbs.send(stage.at, held, "wake")
    await stage.settle()
    tried = await rehearsed(stage.at, plant("two_scouts", f"from {support} import Broken4\n"))
    assert [(failure.sleeper.cid == held, failure.sleeper.is_held) for failure in tried.failures] == [
        (True, True),
        (False, False),
    ]
    assert [failure.sleeper.cid != held for failure in tried.newly_held] == [True]
    mended = await rehearsed(stage.at, plant("no_scouts", f"from {support} import Pupil, Scout4\n"))
    assert (mended.sleepers, mended.failures) == (2, ())


async def test_an_unknown_behaviour_a_newer_state_and_damage_are_told(
    stage: Stage, redis: OwnRedis, plant: Plant
) -> None:
    support = "tests.integration.code_change_support"
    await fill(stage, Pupil, 1)
    await fill(stage, Scout4, 2)
    place = f"maestro:{stage.backend.tenant}:{{0}}:c:{(await stage.all())[2]}"
    with client.Redis.from_url(redis.url) as store:
        sealed = store.get(place)
        assert isinstance(sealed, bytes)
        store.set(place, sealed.replace(b'"papers"', b'"pepers"'))
    tried = await rehearsed(stage.at, plant("old_scouts", f"from {support} import Scout3\n"))
    told = {failure.sleeper.behaviour: failure for failure in tried.failures}
    assert str(told["pupil"].verdict.error).startswith("no behaviour 'pupil' here")
    assert told["scout"].verdict.error == "scout state has version 4, this code has 3"
    assert "was changed after it was written" in str(told["?"].verdict.error)
    assert [failure.sleeper.behaviour for failure in tried.newly_held] == ["pupil", "scout"]
    assert tried.sleepers == 3


async def test_where_nobody_sleeps_no_process_is_begun(stage: Stage) -> None:
    sandbox = Sandbox(("no.such.module",))
    assert (await rehearse(stage.at, sandbox)).sleepers == 0
    assert sandbox.processes == 0
