"""The mesh, history, time, status and the doctor by the command line, against a real embedded Redis."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from maestro.continuation.checkpoint import digest
from maestro.ids import ContinuationId, Partition
from maestro.tick.store import OutboxRow
from tests.integration.cli.asking import Ask, counter, until
from tests.integration.cli_support import Town

# ---------------------------------------------------------------- mesh


def test_an_event_is_published_once_per_key(maestro: Ask):
    cid = counter(maestro, "--input", '{"subscribe": "sea.>"}')
    first, second = (
        maestro("publish", "sea.north", '{"wind": 9}', "--key", "gale", "-o", "json").json for _ in range(2)
    )
    assert (first["duplicate"], second["duplicate"], first["matched"]) == (False, True, 1)
    until(maestro, cid, lambda told: told["state"]["events"] == 1)
    (event,) = maestro("events", "sea.*", "-o", "json").json
    assert (event["id"], event["key"], event["payload"], event["source"]) == (
        first["id"],
        "gale",
        {"wind": 9},
        "person",
    )
    assert maestro("events", "sky.>", "-o", "json").json == []


def test_dead_letters_are_told_with_their_cause(maestro: Ask, town: Town):
    assert maestro("dead-letters", "-o", "json").json == []
    ended = counter(maestro)
    maestro("kill", ended)
    until(maestro, ended, lambda told: told["status"] == "cancelled")
    town.do(_bury(town, ended))
    (letter,) = maestro("dead-letters", "-o", "json").json
    assert (letter["cause"], letter["to"]) == ("already_terminal", ended)
    assert "already_terminal" in maestro("dead-letters").out


async def _bury(town: Town, ended: str) -> None:
    """What the relay does with a row that can never arrive."""
    outbox = town.at.backend.outbox
    wire: Any = town.at.backend.store._keys.wire  # type: ignore[attr-defined]  # a row as a commit would write it
    place = town.at.backend.store._keys.partition(Partition(0))  # type: ignore[attr-defined]
    position = await wire.execute("XADD", f"{place}:outbox", "*", "i", "x:1:0", "k", "mail", "t", ended, "p", "{}")
    await outbox.bury(Partition(0), position.decode(), OutboxRow("x:1:0", "mail", ended, b"{}"), "already_terminal")


def test_sources_are_added_changed_and_removed(maestro: Ask):
    added = maestro("sources", "--add", "arxiv.cs.LG=https://example.org/rss", "--every-s", "60", "-o", "json").json
    (source,) = [row for row in added if row["name"] == "arxiv-cs-LG"]
    assert (source["subject"], source["url"], source["every_ms"], source["state"], source["items_published"]) == (
        "arxiv.cs.LG", "https://example.org/rss", 60_000, "new", 0,
    )  # fmt: skip
    assert "seen" not in source
    (changed,) = maestro(
        "sources", "--add", "arxiv.cs.LG=https://example.org/rss", "--every-s", "90", "-o", "json"
    ).json
    assert changed["every_ms"] == 90_000
    other = maestro("sources", "--add", "arxiv.cs.LG=https://example.org/other")
    assert other.status == 1
    assert other.err == (
        "maestro: source arxiv-cs-LG polls https://example.org/rss already "
        "(remove it first: `maestro sources --remove arxiv-cs-LG`)\n"
    )
    assert maestro("sources", "--remove", "arxiv-cs-LG", "-o", "json").json == []


# ---------------------------------------------------------------- history and time


def test_a_log_replays_to_any_tick(maestro: Ask):
    cid = counter(maestro)
    for n in range(2):
        maestro("send", cid, "hello")
        until(maestro, cid, lambda told: told["rev"] == n + 2)  # noqa: B023 - called before n moves on
    assert [
        maestro("replay", cid, "--tick", str(tick), "-o", "json").json["checkpoint"]["state"]["n"] for tick in (1, 2, 3)
    ] == [0, 1, 2]
    assert maestro("replay", cid, "-o", "json").json["rev"] == 3
    beyond = maestro("replay", cid, "--tick", "4")
    assert (beyond.status, beyond.err) == (2, f"maestro: {cid} has no tick 4 (give 0 to 3)\n")


def test_an_export_is_whole_and_never_overwrites(maestro: Ask, town: Town, tmp_path: Path):
    cid = counter(maestro)
    file = tmp_path / "one.jsonl"
    told = maestro("export", cid, str(file), "-o", "json").json
    assert (told["id"], told["bytes"], told["mode"]) == (cid, file.stat().st_size, "copied")
    assert file.stat().st_mode & 0o777 == 0o600
    again = maestro("export", cid, str(file))
    assert (again.status, again.err) == (
        1,
        f"maestro: {file}: File exists (name another file, or change its permissions)\n",
    )
    here = maestro("import", str(file))
    assert (here.status, here.err) == (1, f"maestro: {cid} lives here already (an export goes where it is not)\n")
    assert maestro("export", cid, str(tmp_path / "two"), "--to", "mars").status == 2
    assert not (tmp_path / "two").exists()


def test_what_moves_away_says_where_to_and_can_come_home_once(maestro: Ask, town: Town, tmp_path: Path):
    cid = counter(maestro)
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    assert maestro("export", cid, str(first), "--move", "--to", "mars", "-o", "json").json["mode"] == "moved"
    refused = maestro("send", cid, "hello")
    assert (refused.status, refused.err) == (1, f"maestro: {cid} has moved to mars (ask for it there)\n")
    assert "moved to mars" in maestro("why", cid).out
    maestro("export", cid, str(second), "--move")
    assert second.read_bytes() == first.read_bytes()
    home = maestro("import", str(first), "-o", "json").json
    assert (home["id"], home["new"], home["mode"]) == (cid, True, "move")
    assert maestro("import", str(second), "-o", "json").json["new"] is False
    maestro("send", cid, "hello")
    until(maestro, cid, lambda told: told["rev"] == 2)
    assert maestro("verify", cid).status == 0


def test_another_policy_is_tried_on_what_was_recorded(maestro: Ask, town: Town, tmp_path: Path):
    policy = tmp_path / "policy.toml"
    policy.write_text("[thresholds]\nfloor = 3\n")
    cid = counter(maestro)
    wrong = maestro("whatif", cid, "--policy", str(policy), "-o", "json")
    assert (wrong.status, orjson.loads(wrong.err)["field"]) == (2, "policy.thresholds.floor")
    policy.write_text('allowed_tiers = ["haiku"]\n')
    assert maestro("whatif", cid, "--policy", str(policy), "-o", "json").json == []


def test_verify_names_what_is_damaged(maestro: Ask, town: Town):
    whole, broken = counter(maestro), counter(maestro)
    assert maestro("verify", whole, "-o", "json").json == [
        {"id": whole, "ok": True, "records": 2, "blocks": 0, "damages": []}
    ]
    undo = town.do(_damage(town, broken))
    answer = maestro("verify", broken, "-o", "json")
    assert answer.status == 1
    assert orjson.loads(answer.out)[0]["ok"] is False
    assert orjson.loads(answer.out)[0]["damages"][0].startswith("record 1: ")
    assert orjson.loads(answer.err)["code"] == "integrity"
    assert broken in orjson.loads(answer.err)["message"]
    assert whole not in orjson.loads(answer.err)["message"]
    town.do(undo)
    assert maestro("verify").status == 0


def test_b91_the_doctor_names_a_damaged_log_and_quarantine_lets_nothing_of_it_run(maestro: Ask, town: Town):
    whole, broken = counter(maestro), counter(maestro)
    undo = town.do(_damage(town, broken))
    answer = maestro("doctor", "-o", "json")
    (logs,) = [check for check in orjson.loads(answer.out)["checks"] if check["check"] == "logs"]
    assert (answer.status, logs["ok"]) == (1, False)
    assert broken in logs["seen"]
    assert whole not in logs["seen"]
    assert "--quarantine" in logs["fix"]

    assert maestro("verify", "--quarantine").status == 1
    assert maestro("show", whole, "-o", "json").json["hold"] is None
    assert "quarantined: record 1" in maestro("why", broken).out
    rev = maestro("show", broken, "-o", "json").json["rev"]
    maestro("send", broken, "hello")
    maestro("send", whole, "hello")
    until(maestro, whole, lambda told: told["rev"] == rev + 1)
    assert maestro("show", broken, "-o", "json").json["rev"] == rev

    town.do(undo)
    maestro("thaw", broken)
    until(maestro, broken, lambda told: told["rev"] == rev + 1)


async def _damage(town: Town, cid: str) -> Any:
    """One byte of the last log record is another; returns what puts it right."""
    wire: Any = town.at.backend.store._keys.wire  # type: ignore[attr-defined]
    place = f"{town.at.backend.store._keys.partition(Partition(0))}:l:{cid}"  # type: ignore[attr-defined]
    (line,) = await wire.execute("LRANGE", place, -1, -1)
    await wire.execute("LSET", place, -1, line[:-2] + b"x}")
    return wire.execute("LSET", place, -1, line)


def test_a_block_that_nothing_refers_to_is_swept_after_a_day_and_no_other(maestro: Ask, town: Town):
    cid = ContinuationId(counter(maestro))
    stray = digest(b"left by a tick that never ended")
    town.do(town.at.backend.blocks.put(cid, {stray: b"left by a tick that never ended"}))
    assert maestro("sweep", "-o", "json").json == {"blocks": 0, "partitions": {"0": 0}}
    maestro("clock", "advance", "2d")
    assert maestro("sweep", "-o", "json").json["blocks"] >= 1
    assert town.do(town.at.backend.blocks.get(cid, [stray])) == {}
    assert maestro("verify").status == 0


def test_the_clock_moves_when_it_is_told_to(maestro: Ask):
    before = maestro("clock", "show", "-o", "json").json
    after = maestro("clock", "advance", "21d", "-o", "json").json
    assert before["clock"] == "virtual"
    assert after["now_ms"] - before["now_ms"] >= 21 * 86_400_000 == after["advanced_ms"]
    assert maestro("clock", "advance", "1h30m").out.startswith("1 h 30 min later: 20")


# ---------------------------------------------------------------- status and doctor


def test_status_tells_of_the_store_and_that_ray_is_not_there(maestro: Ask):
    answer = maestro("status", "-o", "json")
    told = orjson.loads(answer.out)
    assert answer.status == 4
    assert orjson.loads(answer.err) == {
        "code": "cluster", "message": "no local Ray cluster runs here", "field": None, "hint": "run `maestro up`",
    }  # fmt: skip
    assert (told["store"]["answers"], told["store"]["kind"], told["store"]["fsync"]) == (True, "embedded", "always")
    assert "@" not in told["store"]["address"]
    assert set(told) >= {
        "by_activity", "by_behaviour", "by_status", "ready", "timers", "outbox", "projections", "dead_letters",
        "totals", "sources", "supervisors", "lateness_ms", "ray", "now_ms",
    }  # fmt: skip
    assert told["totals"]["committed"] > 0
    assert told["totals"]["fenced"] == 0
    assert sum(told["by_activity"].values()) == told["continuations"] == len(maestro("list", "-o", "json").json)
    assert maestro("status").out.startswith("store ")


def test_the_doctor_finds_nothing_wrong_here(maestro: Ask):
    answer = maestro("doctor", "-o", "json")
    assert answer.status == 0, answer.err
    checks = {check["check"] for check in answer.json["checks"]}
    assert checks >= {
        "environment",
        "home",
        "embedded server",
        "behaviours",
        "tier opus",
        "store appendfsync",
        "listeners",
    }
    assert answer.json["settings"]["clock"] == "virtual"


@pytest.mark.parametrize(
    ("name", "value", "check"),
    [
        ("MAESTRO_TENNANT", "acme", "environment"),
        ("MAESTRO_BEHAVIOURS", "no_such_module", "behaviours"),
        ("MAESTRO_TIER_OPUS", "openai/no-such-model", "tier opus"),
        ("MAESTRO_TIER_OPUS", "nonsense", "tiers"),
    ],
)
def test_the_doctor_names_each_failure_with_its_fix(
    maestro: Ask, monkeypatch: pytest.MonkeyPatch, name: str, value: str, check: str
):
    if check == "tier opus":  # the others have targets with a price
        monkeypatch.setenv("MAESTRO_TIER_SONNET", "anthropic/claude-sonnet-4-5")
        monkeypatch.setenv("MAESTRO_TIER_HAIKU", "anthropic/claude-haiku-4-5")
    monkeypatch.setenv(name, value)
    answer = maestro("doctor", "-o", "json")
    assert answer.status == 1
    (failed,) = [row for row in orjson.loads(answer.out)["checks"] if not row["ok"]]
    assert failed["check"] == check
    assert failed["fix"]
    assert orjson.loads(answer.err)["message"].endswith(f"checks failed: {check}")


def test_the_doctor_sees_a_file_that_is_open_to_others(maestro: Ask, town: Town):
    password = town.home / "redis" / "password"
    password.chmod(0o644)
    try:
        answer = maestro("doctor", "-o", "json")
    finally:
        password.chmod(0o600)
    failed = {row["check"]: row["fix"] for row in orjson.loads(answer.out)["checks"] if not row["ok"]}
    assert answer.status == 1
    assert failed["embedded server"] == f"chmod 600 {password}"
