"""`maestro rehearse`, `maestro up` and the how-to: what a person is told of code under which sleepers would be held."""

import asyncio
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from maestro.adapters.redis.backend import open_backend
from maestro.behaviours.counter import Counter
from maestro.cli.app import run as maestro_run
from maestro.ids import Partition, TenantId, new_token
from maestro.tick.behaviour import Behaviour, Repertoire
from tests.chaos.redis_server import OwnRedis
from tests.integration.rehearsal_support import Plant, Quiet1, dump, emptied, fill, plant
from tests.stage import SEAL, Stage

__all__ = ["plant"]

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "change-code-under-sleepers.md"


@pytest.fixture(scope="module")
def redis() -> Iterator[OwnRedis]:
    """A store that `maestro up` takes: one that gives nothing away."""
    redis = OwnRedis()
    yield redis
    redis.close()


class Shop:
    """An installation on a Redis of ours, as the command line finds it."""

    def __init__(self, url: str, capfd: pytest.CaptureFixture[str]) -> None:
        self.url, self._capfd = url, capfd

    def ask(self, *arguments: str) -> tuple[int, str, str]:
        status = maestro_run(arguments)
        return (status, *self._capfd.readouterr())


@pytest.fixture
def shop(redis: OwnRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shop:
    """One counter and two scouts of version 1 sleep in it."""
    return furnished(redis, tmp_path, monkeypatch, capfd, [(Counter, 1), (Quiet1, 2)])


def furnished(
    redis: OwnRedis,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    sleepers: Sequence[tuple[type[Behaviour[Any]], int]],
) -> Shop:
    """An installation of its own, which the environment describes and so many sleep in."""
    key, tenant = home / "key", new_token("shop")
    key.write_bytes(SEAL.key)
    key.chmod(0o600)
    emptied(redis)
    settings = {"HOME": home / "home", "REDIS_URL": redis.url, "TENANT": tenant, "MAC_KEY_FILE": key}
    for name, value in settings.items():
        monkeypatch.setenv(f"MAESTRO_{name}", str(value))

    async def fill_it() -> None:
        backend = await open_backend(redis.url, TenantId(tenant))
        for behaviour, count in sleepers:
            await fill(Stage(backend), behaviour, count)
        assert len(await backend.records.ids(Partition(0))) == sum(count for _, count in sleepers)
        await backend.close()

    asyncio.run(fill_it())
    return Shop(redis.url, capfd)


def test_rehearse_lists_who_would_fail_and_its_status_says_so(shop: Shop, plant: Plant) -> None:
    support = "tests.integration.code_change_support"
    good = plant("cli_good", f"from {support} import Scout4\n")
    bad = plant("cli_bad", f"from {support} import Broken4\n")
    before = dump(shop.url)
    status, out, err = shop.ask("rehearse", "--behaviours", good)
    assert status == 0, err
    assert "WOULD FAIL" in out
    assert "3 tried in" in err
    status, out, err = shop.ask("rehearse", "--behaviours", bad, "-o", "json")
    assert (status, orjson.loads(err)["code"]) == (1, "unservable")
    told = orjson.loads(out)
    assert (told["sleepers"], told["would_fail"], len(told["failures"])) == (3, 2, 2)
    assert told["kinds"][1] == {"behaviour": "scout", "version": 1, "sleepers": 2, "would_fail": 2}
    status, out, _ = shop.ask("rehearse", "--behaviours", bad, "-o", "jsonl")
    assert [orjson.loads(line)["to_version"] for line in out.splitlines()] == [4, 4]
    status, out, err = shop.ask("rehearse", "--behaviours", bad)
    assert "KeyError: 'titles'" in out
    assert "2 of 3 would fail" in err
    status, _, err = shop.ask("rehearse", "--behaviours", "no.such.module")
    assert (status, "cannot import 'no.such.module'" in err) == (2, True)
    assert dump(shop.url) == before


def test_up_refuses_code_under_which_sleepers_would_be_held(shop: Shop, plant: Plant) -> None:
    bad = plant("up_bad", "from tests.integration.code_change_support import Broken4\n")
    before = dump(shop.url)
    status, _, err = shop.ask("up", "--behaviours", bad)
    assert status == 1
    assert "2 of 3 sleepers would be held under this code: " in err
    assert "KeyError: 'titles'" in err
    assert "`maestro rehearse` lists all of them; `maestro up --accept-holds` goes on" in err
    assert dump(shop.url) == before


def test_the_how_to_says_what_happens(
    redis: OwnRedis,
    tmp_path: Path,
    plant: Plant,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    text = HOW_TO.read_text()
    yesterday, today, renamed = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    consoles = re.findall(r"^```console\n\$ maestro (.*?)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    shop = furnished(redis, tmp_path, monkeypatch, capfd, [(behaviour_of(yesterday, "Scout"), 2)])
    slip = today.replace('state["title"]', 'state["titel"]')
    assert slip != today
    for source, status, (command, printed) in zip((today, slip), (0, 1), consoles, strict=True):
        plant("scout", source)
        assert (shop.ask(*command.split())[0], alike(shop.ask(*command.split())[1])) == (status, alike(printed))
    status, _, err = shop.ask("up", "--behaviours", "scout")
    assert (status, "2 of 2 sleepers would be held" in err) == (1, True)
    assert Repertoire([behaviour_of(renamed, "Ranger")]).find("scout").name == "ranger"


def behaviour_of(source: str, name: str) -> type[Behaviour[Any]]:
    spaces: dict[str, Any] = {"__name__": "scout"}
    exec(compile(source, "scout.py", "exec"), spaces)  # noqa: S102 - it is what a reader would write
    found: type[Behaviour[Any]] = spaces[name]
    return found


def alike(printed: str) -> list[list[str]]:
    """The words of each line; ids differ from run to run."""
    return [
        ["ID" if re.fullmatch(r"[0-9a-z]{22}-0", word) else word for word in line.split()]
        for line in printed.splitlines()
    ]
