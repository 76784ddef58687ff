"""What the command line refuses: one line, with its fix and its status."""

import os
from pathlib import Path

import orjson
import pytest

from maestro.cli.errors import told as told_of
from maestro.errors import MaestroError
from tests.integration.cli.asking import Ask, counter

# ---------------------------------------------------------------- errors


LABEL = "use 1 to 64 of letters, digits, '_', '.', '-', beginning with a letter or digit"
FORMATS = "'xml' is not one of 'table', 'json', 'jsonl'"
TOKEN = "use letters, digits, '_' and '-', at most 64 of them between two dots"
SUMS = (
    "behaviour, tier, provider, model, day, continuation, account, tenant, key, project, session, domain, step, status"
)
RESOURCES = "use usd, tokens, cheap_model_calls, expensive_model_calls, human.approvals, human.reviews or tool.NAME"
ADDRESS = "give an address such as https://example.org/feed.xml, or file:, maildir:, cron:, every:, mcp:"
REFUSALS = [
    ("bogus", 2, "no such command 'bogus' (see `maestro --help`)"),
    ("list --bogus", 2, "no such option: --bogus (see `maestro list --help`)"),
    ("show", 2, "missing argument 'ID' (see `maestro show --help`)"),
    ("start counter", 2, "missing option '--goal' (see `maestro start --help`)"),
    ("list -o xml", 2, f"invalid value for '-o' / '--output': {FORMATS} (see `maestro list --help`)"),
    ("show nobody", 3, "no continuation 'nobody' (see `maestro list`)"),
    ("show 00000000000000000000ab-0", 3, "no continuation '00000000000000000000ab-0' (see `maestro list`)"),
    ("show 00000000000000000000ab-zz", 3, "no continuation '00000000000000000000ab-zz' (see `maestro list`)"),
    ("show --name nobody", 3, "no continuation is named 'nobody' (see `maestro list`)"),
    ("sources --remove nobody", 3, "no source 'nobody' (see `maestro sources` for names)"),
    ("sources --add nonsense", 2, "'nonsense' is not SUBJECT=URL (write arxiv.cs.AI=https://HOST/FEED)"),
    ("sources --add a.b=ftp://x", 2, f"'ftp://x' is no address of a feed ({ADDRESS})"),
    ("costs --by moon", 2, f"cannot sum by 'moon' (use one or more of {SUMS})"),
    ("clock advance", 2, "advance by how much? (write `maestro clock advance 21d`)"),
    ("clock show 3d", 2, "show takes no time (write `maestro clock advance 21d` to move it)"),
    ("clock advance soon", 2, "'soon' is no duration (write 90s, 15m, 3h, 21d or 1h30m)"),
    ("publish a..b {}", 2, f"'' is no token of a subject ({TOKEN})"),
    ("start counter --goal x --budget gold=1", 2, f"unknown resource 'gold' ({RESOURCES})"),
    ("start counter --goal x --name a/b", 2, f"'a/b' is no valid name ({LABEL})"),
    ("rebudget x usd=+1", 3, "no continuation 'x' (see `maestro list`)"),
    ("rebudget x usd", 2, "'usd' is not NAME=VALUE (write usd=+1.00, usd=-0.50 or usd=2.00)"),
    ("list --timeout-s 0", 124, "not done within 0 s (see `maestro status`, or give it longer)"),
    ("--tenant a/b list", 2, f"tenant: 'a/b' is no valid tenant ({LABEL}) (give another tenant)"),
]


@pytest.mark.parametrize(("arguments", "status", "said"), REFUSALS, ids=[words for words, _, _ in REFUSALS])
def test_an_error_is_one_line_with_its_fix_and_its_status(maestro: Ask, arguments: str, status: int, said: str):
    answer = maestro(*arguments.split())
    assert (answer.status, answer.out, answer.err) == (status, "", f"maestro: {said}\n")


def test_an_error_is_json_on_stderr_where_json_is_asked_for(maestro: Ask):
    answer = maestro("show", "nobody", "-o", "json")
    assert (answer.status, answer.out) == (3, "")
    assert orjson.loads(answer.err) == {
        "code": "not_found", "message": "no continuation 'nobody'", "field": "id", "hint": "see `maestro list`",
    }  # fmt: skip


def test_an_ambiguous_prefix_is_told_with_two_examples(maestro: Ask):
    ids = sorted(counter(maestro) for _ in range(2))
    answer = maestro("show", ids[0][:3])
    assert answer.status == 1
    assert f"ids begin with '{ids[0][:3]}' (such as 0" in answer.err


def test_a_store_that_is_not_there_is_status_4(maestro: Ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("MAESTRO_HOME", str(tmp_path / "nothing"))
    answer = maestro("list")
    assert (answer.status, answer.err) == (
        4,
        "maestro: no store runs here (start it with `maestro up`, or set MAESTRO_REDIS_URL)\n",
    )
    assert not (tmp_path / "nothing").exists(), "a look leaves nothing behind"
    monkeypatch.setenv("MAESTRO_REDIS_URL", "redis://:hunter2@127.0.0.1:1/0")
    refused = maestro("list")
    assert refused.status == 4
    assert "no answer from the store" in refused.err
    assert "hunter2" not in refused.err


def test_a_time_that_passes_is_status_124_and_undoes_nothing(maestro: Ask):
    answer = maestro("start", "counter", "--goal", "never ends", "--name", "endless", "--wait", "--timeout-s", "5")
    assert (answer.status, answer.out) == (124, "")
    assert maestro("show", "endless").status == 0


def test_text_that_is_not_utf_8_reaches_nobody(maestro: Ask):
    answer = maestro("start", "counter", "--goal", os.fsdecode(b"\xff\xfe"))
    assert (answer.status, answer.err) == (2, "maestro: goal is not text in UTF-8 (send UTF-8)\n")


def test_nothing_in_a_goal_steers_the_terminal(maestro: Ask):
    goal = "a\x1b[31mred\x1b[0m\nFAKE  counter  completed\x9b1m\u202e"
    cid = str(maestro("start", "counter", "--goal", goal, "-o", "json").json["id"])
    assert maestro("show", cid, "-o", "json").json["goal"]["goal"] == goal
    for words in (
        ["list"],
        ["show", cid],
        ["list", "-o", "json"],
        ["show", cid, "-o", "json"],
        ["log", cid, "--tick", "0"],
    ):
        out = maestro(*words).out
        assert not set("\x1b\x9b\u202e") & set(out), words
    (line,) = [line for line in maestro("list").out.splitlines() if "red" in line]
    assert "\\x1b[31mred\\x1b[0m\\nFAKE  counter  completed\\x9b1m\\u202e" in line


def test_a_defect_is_one_line_too(maestro: Ask, monkeypatch: pytest.MonkeyPatch):
    def broken(_: object) -> str:
        raise ZeroDivisionError("seven")

    monkeypatch.setattr("maestro.pane.views.why", broken)
    answer = maestro("list")
    assert (answer.status, answer.out, answer.err.count("\n")) == (1, "", 1)
    assert answer.err.startswith("maestro: a defect of Maestro: ZeroDivisionError: seven at ")


def test_an_unknown_error_of_the_core_keeps_its_status(monkeypatch: pytest.MonkeyPatch):
    class Odd(MaestroError):
        code, exit_status = "odd", 77

    assert told_of(Odd("odd"), []) == 77
