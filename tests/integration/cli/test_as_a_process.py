"""The command line as a process: signals, pipes, locales, what it loads."""

import os
import signal
import subprocess
import sys

import orjson

from tests.integration.cli.asking import PATIENCE_S, Ask, counter
from tests.integration.cli_support import Town

LISTENING = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # a shell's background ignores it
MAESTRO = [sys.executable, "-c", f"{LISTENING}; from maestro.cli import main; main()"]


# ---------------------------------------------------------------- as a process


def environment(town: Town, **more: str) -> dict[str, str]:
    return {**os.environ, "MAESTRO_HOME": str(town.home), "MAESTRO_CLOCK": "virtual", **more}


def test_watch_is_live_until_ctrl_c(maestro: Ask, town: Town):
    cid = counter(maestro)
    with subprocess.Popen(
        [*MAESTRO, "watch", cid, "-o", "jsonl"],
        env=environment(town),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout is not None
        first = orjson.loads(watching.stdout.readline())
        assert first["cid"] == cid
        maestro("send", cid, "hello")
        while (fact := orjson.loads(watching.stdout.readline())).get("rev") != 2:
            pass
        assert (fact["type"], fact["trigger"]["kind"]) == ("committed", "message")
        watching.send_signal(signal.SIGINT)
        out, err = watching.communicate(timeout=PATIENCE_S)
        assert (watching.returncode, out, err) == (130, "", "")


def test_a_reader_that_goes_away_is_no_error(maestro: Ask, town: Town):
    counter(maestro)
    for words in (["list"], ["list", "-o", "jsonl"], ["watch", "-o", "jsonl"]):
        with subprocess.Popen(
            [*MAESTRO, *words], env=environment(town), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as writing:
            assert writing.stdout is not None
            assert writing.stderr is not None
            writing.stdout.close()
            if words[0] == "watch":
                maestro("start", "counter", "--goal", "something to tell")
            assert (writing.wait(PATIENCE_S), writing.stderr.read()) == (0, b""), words


def test_a_poor_locale_shows_what_it_cannot_write(maestro: Ask, town: Town):
    maestro("start", "counter", "--goal", "論文", "--name", "poor")
    env = environment(town, LANG="C", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", PYTHONIOENCODING="ascii")
    shown = subprocess.run([*MAESTRO, "list"], env=env, capture_output=True, check=True)
    assert b"\\u8ad6\\u6587" in shown.stdout
    assert shown.stderr == b""


def test_help_loads_nothing_that_is_heavy():
    program = "import sys; from maestro.cli.app import run; run(['--help']); print(*sys.modules, file=sys.stderr)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert {"rich", "redis", "pydantic", "ray", "litellm", "maestro.client"} & set(ran.stderr.split()) == set()
    assert "Start what is missing" in ran.stdout


TIDY = """
import time
from maestro.cli import app, main

def run(_words):
    try:
        print("begun", flush=True)
        time.sleep(60)
    finally:
        print("tidied", flush=True)

app.run = run
main()
"""


def test_told_to_end_it_tidies_up_first() -> None:
    """`maestro demo` would leave its own Ray behind."""
    with subprocess.Popen([sys.executable, "-c", TIDY], stdout=subprocess.PIPE, text=True) as working:
        assert working.stdout is not None
        assert working.stdout.readline() == "begun\n"
        working.send_signal(signal.SIGTERM)
        assert working.stdout.read() == "tidied\n"
        assert working.wait(30) == 128 + signal.SIGTERM
