"""Answers in pieces as people see them: `maestro watch ID`, and the synchronous form of the client."""

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from maestro.client import Maestro
from maestro.runtime.hearing import Answer, Cursor, Piece
from tests.integration.cli.asking import PATIENCE_S, Ask, asleep, until
from tests.integration.cli.test_as_a_process import MAESTRO, environment
from tests.integration.cli_support import Town

SAID = "It bears on the goal."


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    home = Path(tempfile.mkdtemp(prefix="mcli-", dir="/tmp"))
    try:
        with Town(home / "h", "tests.integration.cli.teller") as town:
            yield town
    finally:
        shutil.rmtree(home)


@pytest.fixture
def cid(maestro: Ask) -> str:
    """One that tells its answers, and waits to be asked."""
    cid = str(maestro("start", "teller", "--goal", "tell", "-o", "json").json["id"])
    until(maestro, cid, asleep)
    return cid


def test_watch_tells_an_answer_and_then_the_next(maestro: Ask, town: Town, cid: str):
    with subprocess.Popen(
        [*MAESTRO, "watch", cid, "--last", "1", "-o", "jsonl"],
        env=environment(town),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout is not None
        watching.stdout.readline()
        for question in ("why?", "the last"):
            maestro("send", cid, question)
            text = ""
            while (told := orjson.loads(watching.stdout.readline()))["type"] != "answer":
                text += told["text"] if told["type"] == "piece" else ""
            assert (told["cid"], text, told["text"]) == (cid, SAID, SAID)
        watching.send_signal(signal.SIGINT)
        _, err = watching.communicate(timeout=PATIENCE_S)
        assert (watching.returncode, err) == (130, "")


def test_a_handle_streams_without_asyncio_and_goes_on_behind_any_cursor(maestro: Ask, cid: str):
    maestro("send", cid, "the last")
    until(maestro, cid, lambda told: told["status"] == "completed")
    client = Maestro.connect()
    handle = client.get(cid)
    heard = list(handle.stream(str(Cursor(0)), timeout_s=PATIENCE_S))
    assert [type(one) for one in heard] == [Piece, Answer]
    assert list(handle.stream(heard[0].cursor)) == heard[1:]
    assert list(handle.stream(heard[1].cursor)) == []
    client.close()
