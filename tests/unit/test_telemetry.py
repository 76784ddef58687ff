"""Logs: one JSON object a line, nothing that steers a terminal, no secret, and a last word from whoever dies."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

CANARY = 'canary-"quoted"-5f1c'

Line = dict[str, object]


def logged(folder: Path, program: str, expect: int = 0) -> tuple[list[Line], str]:
    """Runs `program` in a process of its own, configured as `worker`; the lines of its file and its stderr."""
    setup = f"""
import structlog
from pathlib import Path
from maestro import telemetry
telemetry.configure("worker", "info", Path({str(folder)!r}))
log = structlog.get_logger()
"""
    ran = subprocess.run([sys.executable, "-c", setup + program], capture_output=True, text=True, check=False)
    assert ran.returncode == expect, ran.stderr
    file = folder / "worker.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else [], ran.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "logs"


def test_a_line_is_json_with_time_level_process_and_what_is_bound(folder: Path):
    program = """
telemetry.bind(continuation="c-1", tick=7, epoch=3, actor="pool/default/0", node="n")
log.info("committed", spent=5)
telemetry.unbind("continuation", "tick")
log.info("idle")
"""
    (committed, idle), stderr = logged(folder, program)
    bound = {"continuation": "c-1", "tick": 7, "epoch": 3, "actor": "pool/default/0", "node": "n"}
    said = {"event": "committed", "spent": 5, "level": "info", "process": "worker"}
    assert {key: value for key, value in committed.items() if key not in ("at", "pid")} == {**bound, **said}
    assert str(committed["at"]).endswith("Z")
    assert isinstance(committed["pid"], int)
    assert "continuation" not in idle
    assert idle["epoch"] == 3
    assert [json.loads(line) for line in stderr.splitlines()] == [committed, idle]


def test_libraries_log_json_too(folder: Path):
    (line,), _ = logged(folder, 'import logging; logging.getLogger("ray").warning("lost %s", "node")')
    assert (line["event"], line["level"], line["process"]) == ("lost node", "warning", "worker")


def test_lines_below_the_level_are_not_written(folder: Path):
    lines, _ = logged(folder, 'log.debug("a"); log.info("b"); telemetry.configure("worker", "error"); log.info("c")')
    assert [line["event"] for line in lines] == ["b"]


def test_configuring_twice_writes_each_line_once(folder: Path):
    lines, stderr = logged(folder, f'telemetry.configure("worker", "info", Path({str(folder)!r})); log.info("once")')
    assert [line["event"] for line in lines] == ["once"]
    assert len(stderr.splitlines()) == 1


def test_no_text_breaks_its_line_or_steers_a_terminal(folder: Path):
    evil = "a\nb\r\x1b[2J\x9b31m\u2028\u202e\x7f\ud800"
    program = f"log.info({evil!r}, **{{{evil!r}: {evil!r}}})"
    (line,), stderr = logged(folder, program)
    assert line["event"] == evil
    text = (folder / "worker.jsonl").read_text()
    assert text.count("\n") == 1
    assert text.strip("\n").isascii()
    assert "\x1b" not in stderr


def test_a_registered_secret_shows_nowhere(folder: Path):
    program = f"""
import logging
from urllib.parse import quote
secret = {CANARY!r}
telemetry.hide([secret])
telemetry.bind(bound=secret)
log.info(secret, key=secret, deep={{"list": [secret, quote(secret, safe="")]}}, **{{secret: 1}})
logging.getLogger("library").error("url redis://:%s@h", secret)
try:
    raise ValueError(secret)
except ValueError:
    log.exception("failed")
telemetry.dying(secret)
raise RuntimeError(secret)
"""
    lines, stderr = logged(folder, program, expect=1)
    written = stderr + "".join(path.read_text() for path in folder.iterdir())
    assert len(lines) == 5
    assert "canary-" not in written
    assert "5f1c" not in written


def test_without_registration_the_canary_is_seen(folder: Path):
    """The test above can fail."""
    _, stderr = logged(folder, f"log.info({CANARY!r})")
    assert "canary-" in stderr


def test_a_process_that_dies_of_an_error_says_why(folder: Path):
    lines, _ = logged(folder, 'telemetry.bind(continuation="c-9"); raise KeyError("lost key")', expect=1)
    assert (lines[-1]["event"], lines[-1]["level"], lines[-1]["continuation"]) == ("dying", "critical", "c-9")
    assert lines[-1]["reason"] == "KeyError: 'lost key'"
    assert "Traceback" in str(lines[-1]["exception"])


def test_a_thread_that_dies_of_an_error_says_why(folder: Path):
    program = "import threading; t = threading.Thread(target=lambda: 1 / 0, name='watchdog'); t.start(); t.join()"
    lines, _ = logged(folder, program)
    assert str(lines[-1]["reason"]).startswith("watchdog ended: ZeroDivisionError")


def test_a_crash_below_python_leaves_its_stack(folder: Path):
    logged(folder, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", expect=-11)
    assert "Segmentation fault" in (folder / "worker.faults").read_text()


def test_the_folder_of_logs_is_ours_alone(folder: Path):
    logged(folder, 'log.info("x")')
    assert folder.stat().st_mode & 0o777 == 0o700


def test_importing_configures_nothing():
    before = list(logging.getLogger().handlers)
    import maestro.telemetry  # noqa: F401, PLC0415 - the import is what is tested

    assert logging.getLogger().handlers == before
