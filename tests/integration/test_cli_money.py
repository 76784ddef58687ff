"""Money on the command line: accounts, soft caps, transfers, corrections, the warehouse and policies in files."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from maestro.adapters.duckdb.spending import KEYS
from maestro.cli.app import run
from tests.integration.cli.asking import PAPER, Answer, Ask, asleep, counter, until
from tests.integration.cli_support import CALL_USD_MICROS, Town


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    home = Path(tempfile.mkdtemp(prefix="mcli-", dir="/tmp"))
    try:
        with Town(home / "h") as town:
            yield town
    finally:
        shutil.rmtree(home)


@pytest.fixture
def maestro(town: Town, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Ask]:
    """One command line in this process; what it wrote comes back."""
    monkeypatch.setenv("MAESTRO_HOME", str(town.home))
    monkeypatch.setenv("MAESTRO_CLOCK", "virtual")
    before = sys.excepthook

    def ask(*arguments: str) -> Answer:
        status = run(arguments)
        out, err = capfd.readouterr()
        return Answer(status, out, err)

    yield ask
    sys.excepthook = before


def usd(maestro: Ask, account: str) -> tuple[int, int, int]:
    """What an account was granted, has lent and has left."""
    (row,) = [row for row in maestro("accounts", "show", account, "-o", "json").json if row["resource"] == "usd"]
    return row["granted"], row["lent"], row["free"]


def test_an_account_lends_what_is_started_on_it_and_refuses_what_it_has_not(maestro: Ask):
    assert maestro("accounts", "-o", "json").json == []
    unknown = maestro("start", "counter", "--goal", "x", "--account", "acme/key-7")
    assert (unknown.status, "no account 'acme/key-7'" in unknown.err) == (3, True)
    for _ in range(2):
        assert maestro("accounts", "grant", "acme", "usd=+5", "--key", "first").status == 0
    cid = counter(maestro, "--account", "acme/key-7", "--budget", "usd=2.00")
    assert usd(maestro, "acme") == (5_000_000, 2_000_000, 3_000_000)
    assert maestro("rebudget", cid, "usd=+1.00").status == 0
    assert usd(maestro, "acme")[1] == 3_000_000
    refused = maestro("start", "counter", "--goal", "x", "--account", "acme/key-8", "--budget", "usd=2.01")
    assert refused.status == 1
    assert "account acme has 2.00 usd left, and 2.01 were asked for" in refused.err
    assert "5" in maestro("accounts").out
    assert maestro("accounts", "grant", "acme").status == 2
    assert maestro("accounts", "show", "a//b").status == 0, "nobody of that name has anything"


def test_soft_caps_are_set_beside_what_is_granted(maestro: Ask):
    cid = counter(maestro, "--budget", "usd=1.00")
    told = maestro("rebudget", cid, "--soft", "usd=0.50", "-o", "json").json["budget"]["usd"]
    assert (told["granted"], told["soft_cap"]) == (1_000_000, 500_000)
    told = maestro("rebudget", cid, "usd=2.00", "-o", "json").json["budget"]["usd"]
    assert (told["granted"], told["soft_cap"]) == (2_000_000, 500_000)
    assert "$0.00 of $2.00 spent, $2.00 free, soft cap $0.50" in maestro("show", cid).out
    assert maestro("rebudget", cid).status == 2
    assert maestro("rebudget", cid, "--soft", "usd=some").status == 2


def test_a_transfer_stays_inside_a_family_and_a_correction_needs_a_charge(maestro: Ask):
    one, other = counter(maestro, "--budget", "usd=1.00"), counter(maestro, "--budget", "usd=1.00")
    refused = maestro("transfer", one, other, "usd=0.50")
    assert (refused.status, "is not of the family of" in refused.err) == (2, True)
    assert maestro("transfer", one, one, "usd=0.00").status == 2
    maestro("send", one, '{"spawn": "a child"}')
    (child,) = until(maestro, one, lambda told: len(told["children"]) == 1)["children"]
    had = maestro("show", child["id"], "-o", "json").json["budget"]["usd"]["granted"]
    for _ in range(2):
        maestro("transfer", one, child["id"], "usd=0.50", "--key", "k", "-o", "json")
    assert maestro("show", child["id"], "-o", "json").json["budget"]["usd"]["granted"] == had + 500_000
    nothing = maestro("refund", one, "call-x", "usd=0.01", "-o", "json")
    assert (nothing.status, "nothing is charged in full under 'call-x'" in nothing.err) == (1, True)


def test_the_warehouse_answers_one_select_about_all_that_was_spent(maestro: Ask, town: Town, tmp_path: Path):
    assert maestro("accounts", "grant", "lab", "usd=+5").status == 0
    given = ("--goal", "sleeping computations", "--account", "lab/key-1/reading/monday", "-o", "json")
    scout = str(maestro("start", "literature", *given).json["id"])
    until(maestro, scout, asleep)
    maestro("publish", "arxiv.cs.AI", PAPER, "--key", "paper-1")
    until(maestro, scout, lambda told: told["rev"] >= 3 and asleep(told))
    sql = "select program, tier, count(*) as calls, sum(usd_micros)::bigint as paid from fact_model_call group by all"
    rows = maestro("query", f"{sql} order by 1", "-o", "json").json
    assert rows == [
        {"program": "literature", "tier": "haiku", "calls": 1, "paid": CALL_USD_MICROS},
        {"program": "reader", "tier": "sonnet", "calls": 1, "paid": CALL_USD_MICROS},
    ]
    assert maestro("query", "select 1 as one").out.split() == ["ONE", "1"]
    refused = maestro("query", "drop table movement")
    assert (refused.status, "only one SELECT is answered" in refused.err) == (2, True)
    known = maestro("query", "select complexity, domain from fact_model_call").out.split()
    assert known == ["COMPLEXITY", "DOMAIN", "0.5", "-", "0.5", "-"]
    near = maestro("query", "select * from fact_model")
    assert (near.status, near.err.count("\n")) == (2, 1), "one line"
    assert 'Did you mean "fact_model_call"?' in near.err
    for key in KEYS:
        told = maestro("costs", "--by", key, "-o", "json").json
        assert told["total_usd_micros"] == told["ledger_usd_micros"] == 2 * CALL_USD_MICROS
    told = maestro("costs", "--by", "tenant,key,project,session", "-o", "json").json["rows"]
    assert [[row[key] for key in ("tenant", "key", "project", "session", "usd_micros")] for row in told] == [
        ["lab", "key-1", "reading", "monday", 2 * CALL_USD_MICROS]
    ], "a child's are its family's"
    assert maestro("costs", "--by", "planet").status == 2
    warehouse = town.home / "warehouse" / town.settings.tenant
    warehouse.mkdir(parents=True)
    (warehouse / "0_0-0_1-0.parquet").write_bytes(b"no table")
    broken = maestro("costs")
    assert (broken.status, "the warehouse cannot be read" in broken.err, "move" in broken.err) == (4, True, True)
    shutil.rmtree(warehouse)
    assert maestro("costs").status == 0, "the feed tells it all the same"

    policy = tmp_path / "policy.toml"
    policy.write_text('name = "haiku-only"\nallowed_tiers = ["haiku"]\nadvisor_enabled = false\n')
    assert maestro("policy", "check", str(policy), "-o", "json").json["policy"] == "haiku-only@1"
    told = maestro("policy", "whatif", str(policy), "-o", "json").json
    assert (told["calls"], told["changed"]) == (2, 1)
    assert told["delta_usd_micros"] <= 0, "the prices of this town are flat"
    assert maestro("policy", "whatif", str(policy), "--since", "7d").status == 0
    policy.write_text("allowed_tiers = []\n")
    bad = maestro("policy", "check", str(policy))
    assert (bad.status, "policy.allowed_tiers" in bad.err) == (2, True)
