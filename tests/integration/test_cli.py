"""The command line against a real embedded Redis, with the loops and a host in this process. up, down and demo: e2e."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from maestro.cli.app import run
from maestro.cli.errors import told as told_of
from maestro.continuation.checkpoint import digest
from maestro.errors import MaestroError
from maestro.ids import ContinuationId, Partition
from maestro.tick.store import OutboxRow
from tests.integration.cli_support import CALL_USD_MICROS, Town

PATIENCE_S = 20.0
LISTENING = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # a shell's background ignores it
MAESTRO = [sys.executable, "-c", f"{LISTENING}; from maestro.cli import main; main()"]
PAPER = '{"title": "Sleeping computations", "abstract": "on sleeping computations", "link": "https://example.org/1"}'


class Answer:
    """What a command line answered."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def json(self) -> Any:
        assert self.status == 0, self.err
        return orjson.loads(self.out)


Ask = Callable[..., Answer]


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    home = Path(tempfile.mkdtemp(prefix="mcli-", dir="/tmp"))
    try:
        with Town(home / "h") as town:
            yield town
    finally:
        shutil.rmtree(home)


@pytest.fixture
def maestro(town: Town, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Ask:
    """One command line in this process; what it wrote comes back."""
    monkeypatch.setenv("MAESTRO_HOME", str(town.home))
    monkeypatch.setenv("MAESTRO_CLOCK", "virtual")

    def ask(*arguments: str) -> Answer:
        status = run(arguments)
        out, err = capfd.readouterr()
        return Answer(status, out, err)

    return ask


@pytest.fixture(autouse=True)
def _hooks() -> Iterator[None]:
    """The command line owns its process and sets its hooks; the tests' process gets its own back."""
    before = sys.excepthook
    yield
    sys.excepthook = before


def counter(maestro: Ask, *more: str) -> str:
    """A counter that has had its first tick; its id."""
    cid = str(maestro("start", "counter", "--goal", "count what comes", *more, "-o", "json").json["id"])
    until(maestro, cid, lambda told: told["rev"] >= 1)
    return cid


def until(maestro: Ask, cid: str, holds: Callable[[Any], bool]) -> Any:
    """What `show` tells as soon as that holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds(told := maestro("show", cid, "-o", "json").json):
        assert time.monotonic() < deadline, told
        time.sleep(0.02)
    return told


def asleep(told: Any) -> bool:
    return bool(told["activity"] == "sleeping" and not told["unread"])


# ---------------------------------------------------------------- start and look


def test_start_prints_the_id_and_nothing_else(maestro: Ask):
    answer = maestro("start", "counter", "--goal", "count")
    assert answer.status == 0
    assert maestro("show", answer.out.strip(), "-o", "json").json["goal"]["goal"] == "count"
    assert answer.err == ""


def test_start_takes_budget_input_name_and_pool(maestro: Ask):
    start = ("start", "counter", "--goal", "count", "--name", "rich", "--pool", "swarm")
    maestro(*start, "--budget", "usd=1.50,expensive_model_calls=20", "--input", '{"n": 1}')
    told = maestro("show", "--name", "rich", "-o", "json").json
    assert (told["name"], told["pool"], told["input"]) == ("rich", "swarm", {"n": 1})
    assert told["budget"]["usd"]["granted"] == 1_500_000
    assert told["budget"]["usd"]["readable"] == "$0.00 of $1.50 spent, $1.50 free"
    assert told["budget"]["expensive_model_calls"]["granted"] == 20


def test_pools_tells_who_waits_for_an_actor_and_for_how_long(maestro: Ask):
    maestro("start", "counter", "--goal", "count", "--pool", "gpu")
    maestro("clock", "advance", "1h")
    rows = {row["pool"]: row for row in maestro("pools", "-o", "json").json}
    assert rows["gpu"]["ready"] == 1
    assert rows["gpu"]["oldest_ms"] >= 3_600_000
    assert (rows["gpu"]["actors"], rows["gpu"]["waiting_to_restart"]) == (None, None), "Ray does not run here"
    title = " ".join(maestro("pools").out.splitlines()[0].split())
    assert title == "POOL READY THE OLDEST FOR PLACES ACTORS WAITING TO RESTART"


def test_start_waits_for_the_result(maestro: Ask):
    answer = maestro("start", "counter", "--goal", "count", "--input", '{"finish": true}', "--wait", "-o", "json")
    assert answer.json["result"] is None
    assert maestro("show", answer.json["id"], "-o", "json").json["status"] == "completed"


def test_start_tells_of_a_behaviour_that_nobody_here_knows(maestro: Ask):
    answer = maestro("start", "conter", "--goal", "count")
    assert answer.status == 0
    assert "No behaviour 'conter' here (known: counter, literature, reader)" in answer.err
    told = until(maestro, answer.out.strip(), lambda told: told["hold"] is not None)
    assert told["hold"] == "unservable"


def test_an_id_is_found_by_prefix_and_by_name(maestro: Ask):
    cid = counter(maestro, "--name", "found")
    for words in ([cid], [cid[:18]], ["found"], ["--name", "found"], ["--name=found"]):
        assert maestro("why", *words, "-o", "json").json["id"] == cid


def test_list_shows_rows_and_filters_them(maestro: Ask):
    cid = counter(maestro, "--name", "listed")
    rows = {row["id"]: row for row in maestro("list", "-o", "json").json}
    row = rows[cid]
    assert (row["behaviour"], row["activity"], row["rev"], row["goal"]) == (
        "counter",
        "sleeping",
        1,
        "count what comes",
    )
    assert (row["spent_usd_micros"], row["spent"]) == (0, "$0.00")
    assert cid in {row["id"] for row in maestro("ps", "--state", "sleeping", "-o", "json").json}
    assert cid not in {row["id"] for row in maestro("ps", "--state", "done", "-o", "json").json}
    assert {row["behaviour"] for row in maestro("list", "--behaviour", "counter", "-o", "json").json} == {"counter"}
    lines = [orjson.loads(line) for line in maestro("list", "-o", "jsonl").out.splitlines()]
    assert {row["id"] for row in lines} == set(rows)
    table = maestro("list").out.splitlines()
    assert table[0].split() == ["ID", "NAME", "BEHAVIOUR", "STATE", "TICKS", "SPENT", "GOAL", "WHY"]
    assert any(line.split()[1:4] == ["listed", "counter", "sleeping"] for line in table)


def test_a_tree_has_children_below_their_parents(maestro: Ask):
    parent = counter(maestro, "--name", "parent")
    maestro("send", parent, '{"spawn": "a child"}')
    until(maestro, parent, lambda told: len(told["children"]) == 1)
    children = maestro("list", "--parent", "parent", "-o", "json").json
    assert [row["goal"] for row in children] == ["a child"]
    tree = [line for line in maestro("list", "--tree").out.splitlines() if "parent" in line or "a child" in line]
    assert tree[-1].startswith("  ")


def test_why_is_one_sentence(maestro: Ask):
    cid = counter(maestro, "--input", '{"subscribe": "tide.*"}')
    assert maestro("why", cid).out == (
        "asleep until an event, a message, a timer or a child's end; subscribed to tide.*\n"
    )


def test_the_log_has_the_shape_that_others_build_on(maestro: Ask):
    cid = counter(maestro)
    maestro("send", cid, "hello")
    until(maestro, cid, lambda told: told["rev"] == 2)
    (first, second) = (orjson.loads(line) for line in maestro("journal", cid, "-o", "jsonl").out.splitlines())
    assert set(first) >= {
        "cid", "tenant", "rev", "epoch", "behaviour", "behaviour_version", "trigger", "wait", "directives", "effects",
        "charges", "state_hash", "previous_hash", "hash", "committed_at_ms", "reason",
    }  # fmt: skip
    assert second["previous_hash"] == first["hash"]
    assert [first["trigger"]["kind"], second["trigger"]["kind"]] == ["start", "message"]
    assert maestro("log", cid, "--tick", "2", "-o", "json").json == second
    assert [line.split()[0] for line in maestro("log", cid).out.splitlines()] == ["TICK", "1", "2"]


def test_what_was_seen_costed_and_found_is_told(maestro: Ask):
    scout = str(
        maestro("start", "literature", "--goal", "sleeping computations", "--name", "scout", "-o", "json").json["id"]
    )
    until(maestro, scout, asleep)
    published = maestro("publish", "arxiv.cs.AI", PAPER, "--key", "paper-1", "-o", "json").json
    until(maestro, scout, lambda told: told["rev"] >= 3 and asleep(told))

    (entry,) = [e for e in maestro("field", "scout", "-o", "json").json if e["kind"] == "event"]
    assert (entry["title"], entry["provenance"]["event"]) == ("Sleeping computations", published["id"])
    (finding,) = maestro("findings", "--root", "scout", "-o", "json").json
    assert (finding["title"], finding["links"]) == ("Sleeping computations", ["https://example.org/1"])
    assert finding in maestro("findings", "-o", "json").json
    costs = maestro("costs", "--by", "behaviour,tier,model,day,continuation", "-o", "json").json
    mine = [row for row in costs["rows"] if row["behaviour"] in ("literature", "reader")]
    assert {(row["behaviour"], row["tier"], row["calls"]) for row in mine} == {
        ("literature", "haiku", 1),
        ("reader", "sonnet", 1),
    }
    assert [row["usd_micros"] for row in mine] == [CALL_USD_MICROS] * 2
    assert costs["total_usd_micros"] == costs["ledger_usd_micros"] == sum(row["usd_micros"] for row in costs["rows"])
    assert costs["open_usd_micros"] == 0
    by_day = [orjson.loads(line) for line in maestro("costs", "--by", "day", "-o", "jsonl").out.splitlines()]
    assert sum(row["usd_micros"] for row in by_day) == costs["total_usd_micros"]


# ---------------------------------------------------------------- steer


def test_an_approval_is_waited_for_and_given(maestro: Ask):
    cid = counter(maestro)
    maestro("send", cid, '{"ask": "launch"}')
    until(maestro, cid, lambda told: told["activity"] == "waiting_on_you")
    (wait,) = [row for row in maestro("waits", "-o", "json").json if row["id"] == cid]
    _, verb, _, approval = wait["answer"].split()
    assert verb == "approve"
    assert maestro("approve", cid, approval[:14], "-o", "json").json["accepted"] is True
    told = until(maestro, cid, lambda told: told["state"]["decisions"])
    assert told["state"]["decisions"] == ["approved"]
    again = maestro("approve", cid, approval)
    assert (again.status, again.out) == (1, "")
    assert again.err == f"maestro: {cid} waits for no approval {approval} (open: none)\n"


def test_a_denial_is_told(maestro: Ask):
    cid = counter(maestro)
    maestro("send", cid, '{"ask": "launch"}')
    until(maestro, cid, lambda told: told["activity"] == "waiting_on_you")
    approval = next(row for row in maestro("waits", "-o", "json").json if row["id"] == cid)["asked"][0]["approval_id"]
    assert maestro("deny", cid, approval).status == 0
    assert until(maestro, cid, lambda told: told["state"]["decisions"])["state"]["decisions"] == ["denied"]


def test_the_same_key_sends_once(maestro: Ask):
    cid = counter(maestro)
    mails = {maestro("send", cid, "hello", "--key", "k", "-o", "json").json["mail"] for _ in range(2)}
    assert len(mails) == 1
    maestro("wake", cid)
    assert until(maestro, cid, lambda told: told["rev"] >= 3 and asleep(told))["state"]["n"] == 1


def test_a_result_from_outside_wakes(maestro: Ask):
    cid = counter(maestro)
    assert maestro("resolve", cid, "operation-1", '{"ok": true}').status == 0
    until(maestro, cid, lambda told: told["rev"] == 2)


def test_a_reply_needs_a_question(maestro: Ask):
    cid = counter(maestro)
    answer = maestro("reply", cid, "yes")
    assert (answer.status, answer.err) == (1, f"maestro: {cid} asks nothing (see `maestro why {cid}`)\n")


def test_a_frozen_one_sleeps_on_until_it_is_thawed(maestro: Ask):
    cid = counter(maestro)
    assert maestro("freeze", cid).out == f"{cid} frozen\n"
    maestro("send", cid, "hello")
    told = maestro("show", cid, "-o", "json").json
    assert (told["hold"], told["unread"], told["rev"]) == ("frozen", 1, 1)
    assert maestro("thaw", cid).status == 0
    until(maestro, cid, lambda told: told["rev"] == 2)
    assert maestro("thaw", cid).err == f"maestro: {cid} is neither frozen nor held (see `maestro why {cid}`)\n"


def test_a_held_one_is_tried_again_when_it_is_thawed(maestro: Ask):
    cid = str(maestro("start", "nobody-knows", "--goal", "x", "-o", "json").json["id"])
    until(maestro, cid, lambda told: told["hold"] == "unservable")
    (wait,) = [row for row in maestro("waits", "-o", "json").json if row["id"] == cid]
    assert wait["answer"] == f"maestro thaw {cid}"
    before = maestro("show", cid, "-o", "json").json["epoch"]
    assert maestro("thaw", cid).status == 0
    until(maestro, cid, lambda told: told["epoch"] > before)
    maestro("kill", cid)


def test_an_order_to_all_needs_a_yes_above_ten(maestro: Ask):
    started = [maestro("start", "counter", "--goal", "one of many").out.strip() for _ in range(11)]
    for cid in started:
        maestro("freeze", cid)
    refused = maestro("thaw")
    assert refused.status == 2
    assert refused.err.endswith("continuations would be thawed (add --yes if they are meant)\n")
    assert set(started) <= set(maestro("thaw", "--yes", "-o", "json").json["ids"])


def test_the_brake_needs_no_yes_and_holds_everything_until_it_is_let_go(maestro: Ask):
    assert maestro("freeze", "--reason", "a fire").out == "everything is frozen\n"
    assert maestro("freeze").out == "everything is frozen already\n"
    cid = maestro("start", "counter", "--goal", "to wait").out.strip()
    why = maestro("why", cid).out
    assert why.startswith("everything is frozen by person at ")
    assert "a fire" in why
    assert maestro("thaw", "-o", "json").json == {"done": "thawed", "all": True}
    until(maestro, cid, lambda told: told["rev"] > 0)


def test_a_fork_is_merged_into_its_origin(maestro: Ask):
    cid = counter(maestro, "--budget", "usd=1.00")
    fork = maestro("fork", cid, "--key", "k").out.strip()
    assert maestro("fork", cid, "--key", "k").out.strip() == fork
    assert maestro("merge", fork, "--into", cid).out == f"1 will be merged into {cid}\n"
    until(maestro, fork, lambda told: told["stop_detail"] == f"merged:{cid}")
    assert maestro("merge", fork, "--into", cid, "-o", "json").json["ordered"] == []
    assert maestro("show", cid, "-o", "json").json["budget"]["usd"]["granted"] == 1_000_000
    itself = maestro("merge", cid, "--into", cid)
    assert (itself.status, itself.err) == (2, f"maestro: {cid} cannot be merged into itself (name another)\n")


def test_what_has_ended_is_left_as_it_is(maestro: Ask):
    cid = counter(maestro)
    assert maestro("kill", cid, "--children", "orphan").out == f"{cid} will end at once\n"
    until(maestro, cid, lambda told: told["status"] == "cancelled")
    again = maestro("cancel", cid, "-o", "json")
    assert (again.status, again.json) == (0, {"id": cid, "accepted": False, "status": "cancelled"})
    assert maestro("kill", cid, "--children", "sell").status == 2


def test_a_budget_is_set_to_what_is_said(maestro: Ask):
    cid = counter(maestro, "--budget", "usd=1.00,tokens=10")
    told = maestro("rebudget", cid, "usd=2.50", "tokens=-4", "-o", "json").json["budget"]
    assert (told["usd"]["granted"], told["tokens"]["granted"]) == (2_500_000, 6)
    assert maestro("rebudget", cid, "usd=many").status == 2


def test_a_budget_is_changed_by_what_is_said(maestro: Ask):
    cid = counter(maestro, "--budget", "usd=1.00,tokens=10")
    told = maestro("rebudget", cid, "usd=+0.50", "tokens=-4", "-o", "json").json["budget"]
    assert (told["usd"]["granted"], told["tokens"]["granted"]) == (1_500_000, 6)
    refused = maestro("rebudget", cid, "usd=-9")
    assert refused.status == 1
    assert refused.err == "maestro: cannot take back 9.00 usd: only 1.50 free (take back 1.50 at most)\n"


def test_a_fork_goes_its_own_way(maestro: Ask):
    cid = counter(maestro)
    maestro("send", cid, "hello")
    until(maestro, cid, lambda told: told["rev"] == 2)
    copy = maestro("fork", cid, "--at", "1", "--share", "0.25").out.strip()
    told = until(maestro, copy, lambda told: told["rev"] == 1)
    assert told["forked_from"] == {"id": cid, "rev": 1}
    assert told["budget"]["usd"]["granted"] == 250_000
    assert told["state"]["n"] == 0


@pytest.mark.parametrize(("verb", "stop"), [("cancel", "cancelled_by_user"), ("kill", "cancelled_by_user")])
def test_an_end_is_an_end(maestro: Ask, verb: str, stop: str):
    cid = counter(maestro)
    assert maestro(verb, cid).status == 0
    told = until(maestro, cid, lambda told: told["status"] == "cancelled")
    assert told["stop_reason"] == stop
    refused = maestro("send", cid, "hello")
    assert (refused.status, refused.out) == (1, "")
    assert cid in refused.err


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


# ---------------------------------------------------------------- errors


LABEL = "use 1 to 64 of letters, digits, '_', '.', '-', beginning with a letter or digit"
FORMATS = "'xml' is not one of 'table', 'json', 'jsonl'"
TOKEN = "use letters, digits, '_' and '-', at most 64 of them between two dots"
SUMS = "behaviour, tier, provider, model, day, continuation, account, tenant"
RESOURCES = "use usd, tokens, cheap_model_calls, expensive_model_calls, human.approvals, human.reviews or tool.NAME"
ADDRESS = "give an address such as https://example.org/feed.xml, or file:, maildir:, cron:, every:"
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


# ---------------------------------------------------------------- as a process


def environment(town: Town, **more: str) -> dict[str, str]:
    return {**os.environ, "MAESTRO_HOME": str(town.home), "MAESTRO_CLOCK": "virtual", **more}


def test_watch_is_live_until_ctrl_c(maestro: Ask, town: Town):
    cid = counter(maestro)
    with subprocess.Popen(
        [*MAESTRO, "watch", cid, "-o", "jsonl"],
        env=environment(town),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout is not None
        first = orjson.loads(watching.stdout.readline())
        assert first["cid"] == cid
        maestro("send", cid, "hello")
        while (fact := orjson.loads(watching.stdout.readline())).get("rev") != 2:
            pass
        assert (fact["type"], fact["trigger"]["kind"]) == ("committed", "message")
        watching.send_signal(signal.SIGINT)
        out, err = watching.communicate(timeout=PATIENCE_S)
        assert (watching.returncode, out, err) == (130, "", "")


def test_a_reader_that_goes_away_is_no_error(maestro: Ask, town: Town):
    counter(maestro)
    for words in (["list"], ["list", "-o", "jsonl"], ["watch", "-o", "jsonl"]):
        with subprocess.Popen(
            [*MAESTRO, *words], env=environment(town), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as writing:
            assert writing.stdout is not None
            assert writing.stderr is not None
            writing.stdout.close()
            if words[0] == "watch":
                maestro("start", "counter", "--goal", "something to tell")
            assert (writing.wait(PATIENCE_S), writing.stderr.read()) == (0, b""), words


def test_a_poor_locale_shows_what_it_cannot_write(maestro: Ask, town: Town):
    maestro("start", "counter", "--goal", "論文", "--name", "poor")
    env = environment(town, LANG="C", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", PYTHONIOENCODING="ascii")
    shown = subprocess.run([*MAESTRO, "list"], env=env, capture_output=True, check=True)
    assert b"\\u8ad6\\u6587" in shown.stdout
    assert shown.stderr == b""


def test_help_loads_nothing_that_is_heavy():
    program = "import sys; from maestro.cli.app import run; run(['--help']); print(*sys.modules, file=sys.stderr)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert {"rich", "redis", "pydantic", "ray", "litellm", "maestro.client"} & set(ran.stderr.split()) == set()
    assert "Start what is missing" in ran.stdout
