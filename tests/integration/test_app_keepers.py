"""Keepers of what Serve hosts: they are there at once, whatever loading Serve and the application takes."""

import asyncio
import subprocess
import sys
from pathlib import Path
from time import monotonic

import pytest

from actors import serving
from actors.blueprint import PANE_APP
from actors.pane_keeper import PaneKeeperActor
from maestro import bootstrap
from maestro.settings import Settings
from tests.integration import slow_gate

LIGHT = "import sys, actors.pane_keeper, actors.kernel_keeper; sys.exit('ray.serve' in sys.modules)"
WITHIN_S = 20.0


async def test_a_keeper_answers_while_what_it_asks_serve_with_is_still_being_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "HOST", "tests.integration.slow_host:Host")
    monkeypatch.setattr(serving, "LOOK_MS", 10)
    monkeypatch.setattr(bootstrap, "enter_process", lambda *_: None)  # this process is pytest's
    keeper = PaneKeeperActor(incarnation="pane#1", settings=Settings.load(home=tmp_path).to_json(), app=PANE_APP)
    try:
        await asyncio.sleep(0.05)
        told = await keeper.told()
        assert (told["state"], told["message"]) == ("NOT_STARTED", "Serve is being loaded")
        slow_gate.OPENED.set()
        until = monotonic() + WITHIN_S
        while (told := await keeper.told())["state"] != "RUNNING":
            assert monotonic() < until, told
            await asyncio.sleep(0.01)
        assert told["message"] != "MainThread", "who asks meanwhile is answered"
    finally:
        slow_gate.OPENED.set()
        await keeper.stop("the test is over")


def test_neither_a_keeper_nor_its_supervisor_loads_serve_to_begin() -> None:
    assert subprocess.run([sys.executable, "-c", LIGHT], check=False, timeout=100).returncode == 0
