"""What the README and the documents say is run here: blocks, verbs, flags, settings, links, and the example file.

A block below `<!-- tested: ... -->` is executed as it stands, by a shell, against a real embedded Redis; what would
need Ray is not marked. A console block is compared with what its commands print, ids, times and amounts aside.
"""

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from maestro.adapters.memory.backend import MemoryBackend
from maestro.cli.app import VERBS, run
from maestro.ids import ContinuationId
from maestro.runtime.host import Host, HostSettings
from maestro.settings import unknown_environment
from maestro.tick.behaviour import Repertoire
from tests.integration.cli_support import Town
from tests.stage import ALICE, Stage

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "examples"
README = (REPOSITORY / "README.md").read_text()
DOCUMENTS = [REPOSITORY / "README.md", REPOSITORY / "CHANGELOG.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
PATIENCE_S = 20.0

_BLOCK = re.compile(
    r"(?:<!-- tested: (?P<how>\w+) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")
_CHANGING = [  # what differs from run to run
    (re.compile(r"\b01[0-9a-z]{20}-\d+\b"), "ID"),
    (re.compile(r"\bevent-[0-9a-z]+"), "EVENT"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), "TIME"),
    (re.compile(r"\$\d+\.\d+"), "MONEY"),
    (re.compile(r"\s+"), " "),
]


def blocks(language: str, how: str | None = None) -> list[str]:
    """The README's blocks of that language, those marked as tested in that way."""
    return [m["text"] for m in _BLOCK.finditer(README) if m["language"] == language and m["how"] == how]


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    """Of a shell in `examples/`, with a store and all that Ray would run around it; the first behaviour is known."""
    home = Path(tempfile.mkdtemp(prefix="mreadme-", dir="/tmp"))
    ours = {"MAESTRO_HOME": str(home / "h"), "MAESTRO_CLOCK": "virtual", "MAESTRO_BEHAVIOURS": "first"}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAESTRO_")}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, home)
        patch.setenv("MAESTRO_BEHAVIOURS", "first")
        patch.syspath_prepend(str(EXAMPLES))
        stack.enter_context(Town(home / "h"))
        yield {**clean, **ours, "PATH": path, "HOME": str(home)}


def ran(command: Sequence[str], environment: dict[str, str]) -> str:
    """What it prints; it must succeed."""
    done = subprocess.run(command, cwd=EXAMPLES, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def shell(text: str, environment: dict[str, str]) -> str:
    """What these lines print; each must succeed."""
    return ran(["bash", "-euo", "pipefail", "-c", text], environment)


def dialogue(text: str) -> list[tuple[str, str]]:
    """(command, what it printed) of a console block."""
    steps = re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    return [(command, printed) for command, _, printed in (step.partition("\n") for step in steps)]


def alike(text: str) -> str:
    for pattern, word in _CHANGING:
        text = pattern.sub(word, text)
    return text.strip()


async def test_the_first_behaviour_finishes_after_two_events_on_a_host_without_ray() -> None:
    source = (EXAMPLES / "first.py").read_text()
    assert blocks("python")[0] == source, "the README's first behaviour is not examples/first.py"
    spaces: dict[str, Any] = {"__name__": "first"}
    exec(compile(source, "examples/first.py", "exec"), spaces)  # noqa: S102 - it is what a reader would run
    first = spaces["First"]
    assert Repertoire([first]).names == ("first",)
    stage = Stage(MemoryBackend(), first)
    cid = await stage.start(first, goal="When do sleeping computers wake up?")
    host = Host(HostSettings("default", ALICE, 1, idle_ms=50), stage.around, stage.backend.signals)
    serving = asyncio.create_task(host.serve())
    await ticked(stage, cid, 1)
    for number in (1, 2):
        assert await stage.publish("news.science", f"n{number}", f"title {number}") == 1
        await ticked(stage, cid, 1 + number)
    host.stop()
    await serving
    checkpoint = await stage.checkpoint(cid)
    assert (checkpoint.status, checkpoint.result) == ("completed", ["title 1", "title 2"])
    assert len(await stage.backend.records.findings(cid)) == stage.model.asked == 2


async def ticked(stage: Stage, cid: ContinuationId, rev: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (await stage.view(cid)).glance.rev < rev:  # noqa: ASYNC110 - a commit rings no bell
            await asyncio.sleep(0.005)


def test_the_dialogue_of_the_readme_is_what_the_commands_print(environment: dict[str, str]) -> None:
    (text,) = blocks("console", "console")
    steps = dialogue(text)
    assert len(steps) > 3
    for command, printed in steps:
        deadline = time.monotonic() + PATIENCE_S
        writes = re.match(r"maestro (start|publish|send)\b", command)
        while alike(said := shell(command, environment)) != alike(printed):
            assert not writes, f"$ {command}\n{said}"
            assert time.monotonic() < deadline, f"$ {command}\n{said}"
            time.sleep(0.2)


@pytest.mark.parametrize("text", blocks("sh", "sh"))
def test_a_tested_shell_block_of_the_readme_runs(text: str, environment: dict[str, str]) -> None:
    shell(text, environment)


@pytest.mark.parametrize("text", blocks("python", "python"))
def test_a_tested_python_block_of_the_readme_runs(text: str, environment: dict[str, str]) -> None:
    assert "{'usd': {'granted':" in ran([sys.executable, "-c", text], environment)


def test_the_providers_of_the_readme_are_targets_with_a_key_and_a_price(environment: dict[str, str]) -> None:
    (text,) = blocks("sh", "tiers")
    secrets = Path(environment["HOME"]) / ".secrets"
    secrets.mkdir(mode=0o700)
    for name, key in (("haiku", "one,two"), ("anthropic", "one")):
        (secrets / name).write_text(key)
        (secrets / name).chmod(0o600)
    told = orjson.loads(shell(f"{text}\nmaestro doctor -o json || true", environment))
    tiers = {row["check"]: (row["ok"], row["seen"]) for row in told["checks"] if row["check"].startswith("tier")}
    assert tiers == {
        "tier haiku": (True, "anthropic/claude-haiku-4-5, openai/gpt-5.4-nano"),
        "tier sonnet": (True, "anthropic/claude-sonnet-4-6"),
        "tier opus": (True, "openai/my-model at 127.0.0.1:8000"),
    }


def test_a_module_is_found_in_the_folder_where_maestro_is_run(environment: dict[str, str]) -> None:
    told = orjson.loads(shell("maestro doctor -o json || true", environment))
    (behaviours,) = [row for row in told["checks"] if row["check"] == "behaviours"]
    assert behaviours["ok"]
    assert "first" in behaviours["seen"]


def commands() -> Sequence[tuple[str, str]]:
    """(verb, its whole line) wherever a document names a command of ours."""
    found: set[tuple[str, str]] = set()
    for document in DOCUMENTS:
        text = document.read_text()
        shells = [m["text"] for m in _BLOCK.finditer(text) if m["language"] in ("sh", "console")]
        lines = [line for block in shells for line in block.splitlines()]
        for line in [*lines, *_CODE.findall(_BLOCK.sub("", text))]:
            said = re.match(r"(?:\$ |[A-Z_]+=\S+ )*maestro ([a-z-]+)(.*)", line)
            if said:
                found.add((said[1], said[2].partition("#")[0]))
    return sorted(found)


def test_every_command_in_a_document_has_its_verb_and_its_flags(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # no flag is cut at the edge
    found = commands()
    assert len(found) > 20
    assert {verb for verb, _ in found} <= VERBS.keys()
    for verb in sorted({verb for verb, rest in found if "--" in rest}):
        flags = {flag for said, rest in found if said == verb for flag in re.findall(r"--[a-z-]+", rest)}
        assert run([verb, "--help"]) == 0
        known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
        assert flags <= known, (verb, flags - known)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_setting_link_and_make_target_in_a_document_exists(document: Path) -> None:
    text = document.read_text()
    assert not unknown_environment(dict.fromkeys(re.findall(r"\bMAESTRO_[A-Z_]*[A-Z]\b(?!_?\*)", text), "")), document
    assert [link for link in _LINK.findall(text) if not (document.parent / link).exists()] == []
    targets = re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)) <= set(targets)
