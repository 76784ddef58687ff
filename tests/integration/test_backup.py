"""A backup is three things of MAESTRO_HOME; in another one, under another Redis, everything goes on from them."""

import asyncio
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from maestro.bootstrap import look_back
from maestro.client import ContinuationHandle, Maestro
from maestro.errors import IntegrityError
from tests.integration.cli_support import Town

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "back-up-and-restore.md").read_text()
PARTS = re.findall(r"^\| `([\w./]+)` \|", PAGE, re.MULTILINE)
PATIENCE_S = 20.0


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="mbk-", dir="/tmp"))
    yield made
    shutil.rmtree(made)


async def seen(handle: ContinuationHandle, rev: int) -> tuple[object, ...]:
    """What is known of one that has had so many ticks: what it has, why it is as it is, what it did."""
    async with asyncio.timeout(PATIENCE_S):
        while int(str((status := await handle.astatus())["rev"])) < rev:  # noqa: ASYNC110 - seen from outside, as users do
            await asyncio.sleep(0.02)
    return status["rev"], status["budget"], await handle.awhy(), [record["hash"] for record in await handle.alog()]


async def counting(maestro: Maestro, name: str, letters: int) -> tuple[object, ...]:
    """One that has counted so many letters, and what is known of it."""
    handle = await maestro.astart("counter", goal="count what comes", name=name)
    await seen(handle, 1)
    for number in range(letters):
        await handle.asend({"n": number}, key=f"{name}-{number}")
        await seen(handle, number + 2)
    return await seen(handle, letters + 1)


async def told(maestro: Maestro, name: str) -> tuple[object, ...]:
    return await seen(await maestro.aget(name), 1)


def restored(at: Path, to: Path) -> Path:
    """What the how-to names is in a new home, and nothing else."""
    assert len(PARTS) == 3
    to.mkdir(mode=0o700)
    for part in PARTS:
        source = at / part
        (to / part).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, to / part)
    return to


def test_on_a_new_machine_everything_is_there_and_goes_on(folder: Path) -> None:
    names = [f"kept-{number}" for number in range(3)]
    with Town(folder / "old") as old:
        before = [old.do(counting(old.maestro, name, 1 + number)) for number, name in enumerate(names)]
        asyncio.run(look_back(old.settings))  # as `maestro up` does: it is remembered
        home = restored(folder / "old", folder / "new")
    assert not (folder / "old" / "redis" / "data").exists(), "the old one is gone"
    with Town(home) as new:
        assert asyncio.run(look_back(new.settings)) is None, "it is the store that is remembered"
        assert [new.do(told(new.maestro, name)) for name in names] == before
        rev, _, _, hashes = new.do(_after(new.maestro, names[0]))
        assert (rev, len(hashes)) == (3, 3)  # type: ignore[arg-type]


async def _after(maestro: Maestro, name: str) -> tuple[object, ...]:
    """It is sent one more letter."""
    handle = await maestro.aget(name)
    await handle.asend({"n": 9}, key="afterwards")
    return await seen(handle, 3)


def test_without_the_key_nothing_of_it_is_believed(folder: Path) -> None:
    with Town(folder / "old") as old:
        old.do(counting(old.maestro, "kept", 1))
        asyncio.run(look_back(old.settings))
        home = restored(folder / "old", folder / "new")
    (home / "mac.key").unlink()
    with Town(home) as new, pytest.raises(IntegrityError):
        new.do(told(new.maestro, "kept"))
