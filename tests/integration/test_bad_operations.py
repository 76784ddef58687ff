"""What an operator can do wrong, by the names of the catalogue (B83 to B96): what other tests do not show already.

docs/bad-inputs.md says of each which tests show it.
"""

import importlib.metadata
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import grpc  # type: ignore[import-untyped]  # it ships no types
import pytest

from actors import fitness
from maestro.adapters.redis import checks
from maestro.cli import doctor
from maestro.cli.app import run
from maestro.continuation.mail import Kind, Mail
from maestro.errors import InvalidInput, UnfitInstallation
from maestro.ids import ContinuationId, MailId, TimeMs
from maestro.runtime.verbs import glance_of
from maestro.runtime.verification import quarantine, verified
from maestro.settings import Settings
from tests.chaos.farm import farm
from tests.integration.test_moving import Listener, in_memory
from tests.stage import SEAL, Stage


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAESTRO_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('tenant = "a"\nbehaviour = "b"\n', "line 2"),
        ('tenant = "a"\n\ntenant = "b"\n', "line 3"),
        ('tenant = "a"\n\tpool_size: 3\n', "line 2"),
        ("tenant: !!python/object/apply:os.system ['touch pwned']\n", "line 1"),
        ('tenant = "a"\nhome = !!python/object:os.environ\n', "line 2"),
    ],
)
def test_b83_a_file_with_something_wrong_in_it_is_refused_with_its_line_and_nothing_of_it_runs(
    place: Path, text: str, line: str
) -> None:
    (place / "maestro.toml").write_text(text)
    with pytest.raises(InvalidInput, match=line):
        Settings.load()
    assert not (place / "pwned").exists()


@pytest.mark.parametrize("text", ['pool_size = "three"', "pool_size = 1.5", "pool_size = [3]", "heart = 7"])
def test_b83_a_value_of_a_wrong_type_is_refused_by_its_name(place: Path, text: str) -> None:
    (place / "maestro.toml").write_text(text)
    with pytest.raises(InvalidInput) as refused:
        Settings.load()
    assert refused.value.field == text.partition(" ")[0]
    assert "maestro.toml" in str(refused.value.hint)


@pytest.mark.shows("9.6")
@pytest.mark.parametrize(
    ("line", "check", "fix"),
    [
        ("appendonly no", "appendonly", "CONFIG SET appendonly yes"),
        ("appendfsync everysec", "appendfsync", "CONFIG SET appendfsync always"),
        ("maxmemory-policy allkeys-lru", "maxmemory-policy", "CONFIG SET maxmemory-policy noeviction"),
    ],
)
def test_b85_up_refuses_a_store_that_loses_what_it_acknowledged(
    place: Path, capfd: pytest.CaptureFixture[str], line: str, check: str, fix: str
) -> None:
    with farm() as servers:
        url = f"redis://127.0.0.1:{servers.add(line).port}/0"
        assert run(("up", "--redis-url", url, "--behaviours", "nowhere")) == 1  # else nothing is begun either: status 2
        said = capfd.readouterr().err
        assert f"the store's {check} is {line.split()[1]}: {fix}" in said
        assert "MAESTRO_INSECURE_DEV=1" in said
        assert not (place / "home").exists(), "something was started"
        settings = Settings.load(redis_url=url)
        (wrong,) = fitness.check_fit(settings.having(insecure_dev=True))
        assert check in wrong
        if check == "appendfsync":
            assert fitness.check_fit(settings.having(redis_fsync="everysec")) == []


def test_b85_a_store_that_keeps_everything_is_let_pass_and_so_is_one_that_does_not_tell(place: Path) -> None:
    with farm() as servers:
        server = servers.add("maxmemory-policy noeviction")
        settings = Settings.load(redis_url=f"redis://127.0.0.1:{server.port}/0")
        assert fitness.check_fit(settings) == []
        server.say("CONFIG", "SET", "appendfsync", "everysec")
        server.say("ACL", "SETUSER", "default", "-config")
        assert fitness.check_fit(settings) == []


@pytest.mark.parametrize(("version", "fits"), [("5.0.14", False), ("6.0.16", False), ("6.2.0", True), ("8.2.1", True)])
def test_b86_a_server_without_the_commands_that_we_need_is_named(version: str, fits: bool) -> None:
    finding = checks._version({"redis_version": version})
    assert (finding.check, finding.ok, finding.seen) == ("version", fits, version)
    assert finding.fix == "install Redis 6.2 or later, or Valkey"


@pytest.mark.parametrize(
    ("version", "fits"), [("2.59.1", False), ("2.60.0", True), ("2.60.3", True), ("2.61.0", False)]
)
def test_b87_a_ray_that_was_not_tested_is_named(monkeypatch: pytest.MonkeyPatch, version: str, fits: bool) -> None:
    installed = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version if name == "ray" else installed(name))
    (finding,) = [found for found in doctor._versions() if found.check == "ray"]
    assert (finding.ok, finding.seen, finding.wanted) == (fits, version, "2.60.*")


def test_b87_up_refuses_a_ray_that_was_not_tested(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fitness.check_fit(Settings.load()) == []
    installed = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.61.0" if name == "ray" else installed(name))
    with pytest.raises(UnfitInstallation, match=r"Ray 2\.61\.0 was not tested: install 2\.60"):
        fitness.check_fit(Settings.load())
    assert len(fitness.check_fit(Settings.load(insecure_dev=True))) == 1


@contextmanager
def control_store(asks: str | None) -> Iterator[int]:
    """Something that answers as Ray's control store does: everybody, or who brings the token."""

    def answer(_: bytes, context: grpc.ServicerContext) -> bytes:
        if asks and ("authorization", asks) not in context.invocation_metadata():
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "InvalidAuthToken")
        return b""

    method = grpc.unary_unary_rpc_method_handler(answer)
    service, _, name = fitness.CHECK_ALIVE.strip("/").partition("/")
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {name: method}),))
    port = server.add_insecure_port("0.0.0.0:0")
    server.start()
    yield port
    server.stop(None).wait()


@pytest.mark.shows("9.6")
@pytest.mark.parametrize(
    ("host", "asks", "refused"),
    [("127.0.0.1", None, False), ("localhost", None, False), ("machine", None, True), ("machine", "Bearer t", False)],
)
def test_b87_up_refuses_a_ray_of_others_that_lets_anyone_in(
    place: Path, monkeypatch: pytest.MonkeyPatch, host: str, asks: str | None, refused: bool
) -> None:
    with control_store(asks) as port:
        named = fitness.lets_anyone_in
        monkeypatch.setattr(fitness, "lets_anyone_in", lambda address: named(address.replace("machine", "127.0.0.1")))
        wrong = fitness.check_fit(Settings.load(ray_address=f"{host}:{port}", insecure_dev=True))
    assert [text.startswith(f"Ray at machine:{port} lets anyone in") for text in wrong] == [True] * refused


async def ticked(stage: Stage, times: int) -> ContinuationId:
    """One that has so many ticks in its log, beside its birth."""
    cid = await stage.start(Listener)
    await stage.settle()
    for number in range(1, times):
        mail = Mail(id=MailId(f"m{number}"), kind=Kind.MESSAGE, sender="test", body=number, sent_ms=TimeMs(0))
        await stage.backend.store.deliver(cid, mail)
        await stage.settle()
    return cid


@pytest.mark.shows("9.6")
@pytest.mark.parametrize("how", ["gap", "fork", "order", "cut"])
async def test_b91_a_log_with_a_gap_a_fork_or_a_wrong_chain_is_named(how: str) -> None:
    stage = in_memory()
    cid = await ticked(stage, 4)
    log = stage.backend.store._memory.of(cid).rows[cid].log  # type: ignore[attr-defined]  # what an intruder has
    assert len(log) >= 4
    assert (await verified(stage.at, cid)).damages == ()
    match how:
        case "gap":
            del log[2]
        case "fork":
            at_ms, record = log[2]
            opened = SEAL.open(record, "record", cid, stage.at.tenant)
            other = opened.body + b" "  # the same to a reader, and another record to the chain
            log[2] = (at_ms, SEAL.close(replace(opened, body=other)))
        case "order":
            log[1], log[2] = log[2], log[1]
        case _:
            del log[-1]
    found = await verified(stage.at, cid)
    assert found.damages != ()

    rev = (await glance_of(stage.at, cid)).rev
    await quarantine(stage.at, found)
    glance = await glance_of(stage.at, cid)
    assert glance.frost is not None
    assert glance.frost.reason == f"quarantined: {found.damages[0]}"
    mail = Mail(id=MailId("late"), kind=Kind.MESSAGE, sender="test", body=0, sent_ms=TimeMs(0))
    await stage.backend.store.deliver(cid, mail)
    await stage.settle()
    assert (await glance_of(stage.at, cid)).rev == rev


async def test_b91_a_log_that_grows_while_it_is_looked_at_is_not_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = in_memory()
    cid = await ticked(stage, 2)
    plain = stage.backend.records.log
    grown: list[ContinuationId] = []

    async def log(asked: ContinuationId, first: int = 0, last: int = -1) -> object:
        if not grown:
            grown.append(asked)
            mail = Mail(id=MailId("meanwhile"), kind=Kind.MESSAGE, sender="test", body=0, sent_ms=TimeMs(0))
            await stage.backend.store.deliver(cid, mail)
            await stage.settle()
        return await plain(asked, first, last)

    monkeypatch.setattr(type(stage.backend.records), "log", lambda _, *asked: log(*asked))
    found = await verified(stage.at, cid)
    assert grown
    assert (found.damages, found.records) == ((), (await glance_of(stage.at, cid)).rev + 1)


class Elsewhere:
    """The clock of another machine, as its Redis tells it."""

    def __init__(self, ahead_s: float) -> None:
        self._ahead_s = ahead_s

    def time(self) -> tuple[int, int]:
        now = time.time() + self._ahead_s
        return int(now), int(now % 1 * 1_000_000)


@pytest.mark.parametrize(("ahead_s", "fits"), [(0.0, True), (3_600.0, False), (-3_600.0, False)])
def test_b93_clocks_that_do_not_agree_are_named(ahead_s: float, fits: bool) -> None:
    finding = checks._skew(Elsewhere(ahead_s))  # type: ignore[arg-type]  # of a client it asks the time only
    assert (finding.check, finding.ok) == ("clock", fits)
    assert "synchronise" in finding.fix
