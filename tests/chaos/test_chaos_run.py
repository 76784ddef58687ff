"""Whole runs of `maestro chaos` on plain processes and a real Redis: green on what we ship, red without a guard."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from maestro.chaos import catalogue
from maestro.chaos.catalogue import PROFILES
from maestro.chaos.run import Plan, judged
from maestro.chaos.stage import staged
from tests.chaos.unguarded import lacking

EVERY_S = 2.6
WOUNDS = [wound for wound in PROFILES["everything"] if "bare" in wound.grounds]
MINUTES = len(WOUNDS) * EVERY_S / 60 + 0.08
"""Long enough to meet each once."""


@pytest.mark.shows("4.7")
@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_a_short_soak_keeps_every_promise_and_can_be_judged_again_from_its_files(tmp_path: Path) -> None:
    """Every fault that plain processes can meet, one each 2.6 s; `make soak` is 30 minutes on the whole cluster."""
    folder = tmp_path / "run"
    plan = Plan("everything", seed=1, minutes=MINUTES, every_s=EVERY_S, tellers=5, resumes_within_s=90)
    verdict = await staged(plan, folder, "bare", lease_ms=1_000)
    assert verdict.violations == ()
    assert set(verdict.figures["faults"]) == {f"{wound.id} {wound.does}" for wound in WOUNDS}  # type: ignore[arg-type]
    assert verdict.figures["stale_refused"]
    told = maestro("chaos", "check", str(folder / "history.jsonl"), "-o", "json")
    assert told.returncode == 0, told.stderr
    answer = json.loads(told.stdout)
    assert (answer["ok"], answer["violations"], answer["ticks"]) == (True, [], verdict.figures["ticks"])
    some = next((folder / "exports").iterdir())
    some.write_bytes(some.read_bytes().replace(b"keep books", b"keep Books", 1))
    told = maestro("chaos", "check", str(folder / "history.jsonl"), "-o", "json")
    assert told.returncode == 1
    assert "I10" in {each["invariant"] for each in json.loads(told.stdout)["violations"]}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("guard", "caught"),
    [("fencing", {"I3"}), ("dedupe", {"I2"}), ("reservation", {"I7"}), ("fsync", {"I1"})],
)
async def test_a_build_that_lacks_a_guard_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guard: str, caught: set[str]
) -> None:
    wound = catalogue.F1 if guard == "fsync" else catalogue.F7
    monkeypatch.setitem(PROFILES, "planted", (wound,))
    plan = Plan("planted", seed=1, minutes=0.13, every_s=4.0, tellers=3, settle_s=3)
    durable = guard != "fsync"
    with lacking(guard) if durable else contextlib.nullcontext():
        preload = "tests.chaos.unguarded" if durable else ""
        verdict = await staged(plan, tmp_path / "run", "bare", hosts=1, preload=preload, durable=durable)
    assert caught & {violation.invariant for violation in verdict.violations}, verdict.violations


def test_evidence_of_another_run_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").write_text("")
    told = maestro("chaos", "run", str(tmp_path), "--ground", "bare")
    assert told.returncode == 2
    assert "another folder" in told.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "--profile", "nonsense"), "profile"),
        (("run", "--ground", "moon"), "ground"),
        (("check",), "history"),
        (("check", "/nonexistent"), "history.jsonl"),
        (("dance",), "run or check"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_fix(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    told = maestro("chaos", *words, *((str(tmp_path / "new"),) if words[0] == "run" else ()))
    assert told.returncode == 2
    assert said in told.stderr


def test_an_empty_history_is_no_proof(tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").write_text("")
    assert judged(tmp_path).violations != ()


def maestro(*words: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("maestro")
    return subprocess.run([program, *words], capture_output=True, text=True, timeout=120, check=False)
