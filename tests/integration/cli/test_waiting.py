"""`maestro wait`: it blocks until there is something for you, prints it, exits 0; when its time is over, 124."""

import itertools
import subprocess

import orjson
import pytest

from tests.integration.cli.asking import PAPER, PATIENCE_S, Ask, asleep, counter, until
from tests.integration.cli.test_as_a_process import MAESTRO, environment
from tests.integration.cli_support import Town

pytestmark = pytest.mark.spec("06.12")


def waiting(town: Town, *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*MAESTRO, "wait", *words, "--timeout-s", str(PATIENCE_S), "-o", "json"],
        env=environment(town),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_blocks_until_a_question_comes_and_prints_it(maestro: Ask, town: Town):
    cid = counter(maestro)
    with waiting(town, cid) as blocked:
        maestro("send", cid, '"no question"')
        until(maestro, cid, lambda told: told["rev"] >= 2 and asleep(told))
        assert blocked.poll() is None
        maestro("send", cid, '{"ask": "launch"}')
        out, err = blocked.communicate(timeout=PATIENCE_S)
    assert (blocked.returncode, err) == (0, "")
    told = orjson.loads(out)
    assert (told["kind"], told["continuation"], told["question"]) == ("approval", cid, "approve: launch")
    maestro("kill", cid)


def test_what_stands_open_already_and_an_end_are_told_at_once(maestro: Ask):
    cid = counter(maestro)
    maestro("send", cid, '{"ask": "launch"}')
    until(maestro, cid, lambda told: told["activity"] == "waiting_on_you")
    assert maestro("wait", cid).out.startswith(f"{cid}  approval: approve: launch")
    assert maestro("wait", "-o", "json").json["continuation"] == cid, "of anybody"
    maestro("kill", cid)
    until(maestro, cid, lambda told: told["status"] == "cancelled")
    told = maestro("wait", cid, "-o", "json").json
    assert (told["kind"], told["status"]) == ("end", "cancelled")


def test_a_new_finding_of_anybody_is_told_and_an_old_one_is_not(maestro: Ask, town: Town):
    scout = str(maestro("start", "literature", "--goal", "sleeping computations", "-o", "json").json["id"])
    until(maestro, scout, asleep)
    maestro("publish", "arxiv.cs.AI", PAPER, "--key", "old")
    until(maestro, scout, lambda told: told["rev"] >= 3 and asleep(told))
    assert maestro("wait", scout, "--timeout-s", "0.5").status == 124
    with waiting(town) as blocked:
        for number in itertools.count():
            maestro("publish", "arxiv.cs.AI", PAPER.replace("/1", f"/{number}"), "--key", f"new-{number}")
            until(maestro, scout, asleep)
            if blocked.poll() is not None:
                break
        out, _ = blocked.communicate(timeout=PATIENCE_S)
    told = orjson.loads(out)
    assert (told["kind"], told["title"]) == ("finding", "Sleeping computations")


def test_a_time_that_passes_without_anything_is_status_124(maestro: Ask):
    cid = counter(maestro)
    answer = maestro("wait", cid, "--timeout-s", "0.2")
    assert (answer.status, answer.out) == (124, "")
    assert answer.err.startswith("maestro: not done within 0.2 s")
