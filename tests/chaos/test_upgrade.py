"""Upgraded and rolled back, one process after the other, under load: two versions of Maestro at once on one store.

The version before is what stood at an earlier commit, taken out of the history of this repository. Between the two lie
new fields of the checkpoint, other scripts, other keys: what a rolling upgrade really meets.
"""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from maestro.chaos import catalogue
from maestro.chaos.annals import Annals
from maestro.chaos.catalogue import PROFILES
from maestro.chaos.client import Client
from maestro.chaos.ground import BareGround, reached
from maestro.chaos.outside import Outside
from maestro.chaos.proxy import Proxy
from maestro.chaos.run import Plan, Verdict, run
from maestro.home import private_folder, short_folder

ROOT = Path(__file__).parents[2]
BEFORE = "221fb04"
"""The state before the commit of 22 November that brought streams in pieces, marks of waits and the audit's chain."""
ROUNDS = int(os.environ.get("UPGRADE_ROUNDS", "2"))
EVERY_S = 4.0
FIRST_S = 5.0
"""As `maestro.chaos.schedule` has it."""
BODY = "maestro.chaos.body"
REPLACED_S = 60.0


@dataclass(eq=False, slots=True)
class RollingGround(BareGround):
    """With each heal all its processes give way, one after the other, to those of the other version."""

    versions: tuple[Path, ...] = ()
    """Where the code of each lies; it begins with the first."""
    rolls: int = field(default=0, init=False)
    mixed: int = field(default=0, init=False)
    """How often both were seen at work at once."""

    async def restore(self) -> None:
        await BareGround.restore(self)
        self.rolls += 1
        await self._roll(self.versions[self.rolls % len(self.versions)])

    async def _roll(self, version: Path) -> None:
        os.environ["PYTHONPATH"] = str(version)
        for body in bodies():
            with contextlib.suppress(psutil.NoSuchProcess):
                body.terminate()
            await self._replaced(body, version)
            self.mixed += len({version_of(each) for each in bodies()}) > 1

    async def _replaced(self, body: psutil.Process, version: Path) -> None:
        async with asyncio.timeout(REPLACED_S):
            while body.is_running() or len(bodies()) < self.hosts + 1:  # noqa: ASYNC110 - processes ring no bell
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)  # both work for a while


def bodies() -> list[psutil.Process]:
    """The processes that tick, and the one that keeps the loops."""
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if BODY in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                found.append(child)
    return found


def version_of(body: psutil.Process) -> str:
    """Whose code it runs."""
    with contextlib.suppress(psutil.Error):
        return str(body.environ().get("PYTHONPATH", ""))
    return ""


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as it was."""
    folder = tmp_path_factory.mktemp("before")
    told = subprocess.run(["git", "archive", BEFORE, "maestro"], cwd=ROOT, capture_output=True, check=False)
    if told.returncode:
        pytest.skip(f"the history of this checkout does not reach back to {BEFORE}")
    subprocess.run(["tar", "-x"], input=told.stdout, cwd=folder, check=True)
    return folder


async def rolled(folder: Path, versions: tuple[Path, ...], rolls: int) -> tuple[RollingGround, Verdict]:
    """A whole run with so many changes of version; its evidence is in `folder`."""
    place = short_folder(private_folder(folder), "mc")
    minutes = (FIRST_S + EVERY_S * (rolls - 1) + 1) / 60
    plan = Plan("upgrade", seed=1, minutes=minutes, every_s=EVERY_S, tellers=5, resumes_within_s=90)
    with Outside() as outside, contextlib.closing(Annals(folder / "history.jsonl")) as annals:
        async with (
            Proxy(f"127.0.0.1:{outside.port}") as way_out,
            RollingGround(place, provider=outside.provider.openai_base, versions=versions) as ground,
        ):
            at = await reached(ground)
            try:
                client = Client(at, annals, outside, plan.seed, f"http://127.0.0.1:{way_out.port}/act")
                return ground, await run(plan, ground, client, annals, folder, outside)
            finally:
                await at.backend.close()
                shutil.rmtree(place, ignore_errors=True)


@pytest.mark.shows("9.5")
@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_upgraded_and_rolled_back_under_load_every_promise_is_kept(
    tmp_path: Path, before: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """N-1 -> N -> N-1, two rounds, with a kill -9 before each; `make upgrade` has ten."""
    monkeypatch.setitem(PROFILES, "upgrade", (catalogue.F36, catalogue.F53))
    monkeypatch.setenv("PYTHONPATH", str(before))
    monkeypatch.chdir(tmp_path)  # `python -m` looks here first
    assert whose_code() == before / "maestro"
    ground, verdict = await rolled(tmp_path / "run", (before, ROOT), 2 * ROUNDS)
    print(f"{ROUNDS} rounds: {verdict.figures}")
    assert verdict.violations == ()
    assert ground.rolls == 2 * ROUNDS + 1  # once more when the run was over: it ends on today's code
    assert ground.mixed >= 2 * ROUNDS
    assert whose_code() == ROOT / "maestro"


def whose_code() -> Path:
    """What a process that starts now imports."""
    program = "import maestro.chaos.body as body; print(body.__file__)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return Path(told.stdout.strip()).parents[1]
