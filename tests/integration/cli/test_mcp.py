"""`maestro mcp`: Maestro as its own MCP server, over standard streams, looked at and approved on the command line."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from tests.integration.cli.asking import Ask
from tests.integration.cli_support import Town

SERVE = "from maestro.cli import main; main()"

pytestmark = pytest.mark.timeout(300)  # it begins processes that import for a second, or ten on a busy machine


def entry(file: Path, town: Town, may: str) -> None:
    argv = orjson.dumps(["-c", SERVE, "mcp", "serve", "--may", may]).decode()
    home = orjson.dumps(str(town.home)).decode()
    file.write_text(
        f'[me]\ncommand = "{sys.executable}"\nargs = {argv}\n'
        f'env = {{ MAESTRO_HOME = {home}, MAESTRO_CLOCK = "virtual" }}\nside_effects = {{ list = "pure" }}\n'
    )


def test_what_was_looked_at_is_approved_and_nothing_else(
    maestro: Ask, town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mcp.toml"
    monkeypatch.setenv("MAESTRO_MCP_FILE", str(file))
    entry(file, town, "look")
    told = maestro("mcp")
    assert "me is not approved: look at it with `maestro mcp check me`" in told.err + told.out
    looked = maestro("mcp", "check", "me", "-o", "json").json
    assert {each["kind"] for each in looked["differences"]} == {"new"}

    entry(file, town, "look,stop")  # in the meantime it has become another
    refused = maestro("mcp", "approve", "me", looked["digest"])
    assert (refused.status, "look again: `maestro mcp check me`" in refused.err) == (1, True)
    assert maestro("mcp", "list", "-o", "json").json == []

    entry(file, town, "look")
    assert "me.why" in maestro("mcp", "approve", "me", looked["digest"], "-o", "json").json["tools"]
    effects = {row["tool"]: row["side_effect"] for row in maestro("mcp", "-o", "json").json}
    assert (effects["me.list"], effects["me.status"], "me.kill" in effects) == ("pure", "unsafe", False)


def test_served_over_http_it_is_there_for_who_has_the_token(
    maestro: Ask, town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mcp.toml"
    monkeypatch.setenv("MAESTRO_MCP_FILE", str(file))
    argv = [sys.executable, "-c", SERVE, "mcp", "serve", "--may", "look", "--http", "0", "-o", "json"]
    env = {**os.environ, "MAESTRO_HOME": str(town.home), "MAESTRO_CLOCK": "virtual", "MAESTRO_MCP_FILE": ""}
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True) as serving:
        try:
            assert serving.stdout
            at = orjson.loads(serving.stdout.readline())
            assert at["url"].startswith("http://127.0.0.1:")
            assert Path(at["token_file"]).stat().st_mode & 0o077 == 0
            file.write_text(f'[desk]\nurl = "{at["url"]}"\n')
            assert maestro("mcp", "check", "desk").status == 1, "nobody is served without the token"
            file.write_text(f'[desk]\nurl = "{at["url"]}"\ntoken_file = "{at["token_file"]}"\n')
            looked = maestro("mcp", "check", "desk", "-o", "json").json
            assert {each["tool"] for each in looked["differences"]} > {"list", "why", "log"}
        finally:
            serving.send_signal(signal.SIGINT)
            assert serving.wait(30) in (0, 130, -signal.SIGINT)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("check",), "check which server?"),
        (("check", "nobody"), "no MCP server 'nobody'"),
        (("serve", "--may", "rule"), "'rule' is no group of verbs"),
        (("serve", "--http", "everywhere"), "write PORT, or ADDRESS:PORT"),
    ],
)
def test_what_cannot_be_meant_is_refused(maestro: Ask, words: tuple[str, ...], told: str) -> None:
    refused = maestro("mcp", *words)
    assert refused.status == 2
    assert told in refused.err
