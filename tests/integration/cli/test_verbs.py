"""Starting, looking and steering by the command line, against a real embedded Redis. up, down and demo: e2e."""

import re

import orjson
import pytest

from tests.integration.cli.asking import PAPER, Ask, asleep, counter, until
from tests.integration.cli_support import CALL_USD_MICROS

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
    assert "No behaviour 'conter' here (known: counter, literature, reader; MAESTRO_BEHAVIOURS" in answer.err
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
    told = maestro("field", "scout", "-o", "table").err
    assert re.search(r"Complete up to event (\d+) of \1\.", told), told
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
