"""The warehouse on a recorded run: its rows, the ledgers, the feed and the provider's own count say the same.

Its keeper is killed between every two of its steps, and begins again from what is kept.
"""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from maestro.adapters.duckdb.reader import Answer, asked
from maestro.adapters.duckdb.stock import MANY, ParquetStock, stretches
from maestro.budget.vector import BudgetVector
from maestro.continuation.directive import Closing, Finish, Sleep
from maestro.continuation.mail import Mail
from maestro.errors import AnswerLost, InvalidInput, ModelError
from maestro.ids import Partition
from maestro.policy.question import Signals
from maestro.runtime import moneys, verbs
from maestro.runtime.backend import Backend
from maestro.runtime.warehousing import Warehouse, fresh
from maestro.tick.behaviour import Behaviour, NoState
from maestro.tick.context import Tick
from maestro.warehouse.rows import Row
from maestro.warehouse.stock import BEGINNING, Stretch
from tests.stage import CHARGE_TOKENS, CHARGE_USD_MICROS, Stage

GRANT = BudgetVector({"usd": 20_000_000, "tokens": 200_000, "human.approvals": 2, "human.reviews": 1})
MODELS = "select coalesce(sum(usd_micros), 0), coalesce(sum(tokens), 0), count(*) from fact_model_call"
SPENT = "select continuation, sum(usd_micros), sum(tokens) from fact_spent group by 1 having sum(usd_micros) > 0"


class Asker(Behaviour[NoState]):
    """Thinks, lets a child think, asks people."""

    async def start(self, tick: Tick[NoState]) -> Closing | None:
        await tick.think("is it so?", signals=Signals(complexity=0.8, domain="biology"))
        tick.spawn(Child, goal="read", budget=tick.budget.share(0.5))
        return Sleep.until_woken()

    async def on_message(self, tick: Tick[NoState], message: Mail) -> Closing | None:
        if message.subject == "ask":
            return tick.ask_approval("send it", {"to": message.body})
        try:
            await tick.think("and this?")
        except ModelError:
            return Sleep.until_woken()
        return Sleep.until_woken()


class Child(Behaviour[NoState]):
    async def start(self, tick: Tick[NoState]) -> Closing | None:
        await tick.think("what does it say?", step="haiku")
        return Finish()


class Killed(Exception):
    """The keeper died here."""


class MortalStock(ParquetStock):
    """A stock whose process dies before, or right after, each of its writes in turn."""

    dying = False

    def store(self, stretch: Stretch, rows: Sequence[Row]) -> None:
        MortalStock.dying = not MortalStock.dying
        if MortalStock.dying:
            raise Killed
        super().store(stretch, rows)
        raise Killed


@pytest.fixture
async def stage(backend: Backend) -> AsyncIterator[Stage]:
    stage = Stage(backend, Asker, Child)
    yield stage
    await stage.audit()


async def kept(warehouse: Warehouse) -> None:
    """All that is told is kept."""
    while await warehouse.step() == 0:
        pass


async def ask(stage: Stage, folder: Path, sql: str, tail: bool = False) -> Answer:
    stock = ParquetStock(folder)
    rows = await fresh(stage.backend, {p: stock.reached(p) for p in verbs.partitions(stage.at)}) if tail else []
    return asked(folder, rows, sql)


async def lived(stage: Stage) -> None:
    """A family thinks, loses an answer, and asks people."""
    root = await stage.start(Asker, budget=GRANT)
    await stage.start(Asker, budget=GRANT)
    await stage.settle()
    price = BudgetVector({"usd": 100, "tokens": 3, "expensive_model_calls": 1})
    stage.model.script[:] = [AnswerLost("lost", hint="planted", charge=price.model_dump())]
    for key in ("lost", "one", "two"):
        await verbs.send(stage.at, root, key)
        await stage.settle()
    await verbs.send(stage.at, root, "ask", "ask")
    await stage.settle()


async def spent(stage: Stage) -> dict[str, tuple[int, int]]:
    ledgers = {cid: (await stage.ledger(cid)).spent for cid in await stage.all()}
    return {cid: (spent["usd"], spent["tokens"]) for cid, spent in ledgers.items() if spent["usd"]}


def by_continuation(answer: Answer) -> dict[Any, tuple[Any, Any]]:
    return {cid: (usd, tokens) for cid, usd, tokens in answer.rows}


@pytest.mark.spec("05.10")
@pytest.mark.parametrize("backend", [("memory", 3), ("redis", 3)], ids=["memory", "redis"], indirect=True)
async def test_rows_feed_ledgers_and_the_provider_count_the_same(stage: Stage, tmp_path: Path) -> None:
    await lived(stage)
    told = await ask(stage, tmp_path, SPENT, tail=True)
    assert by_continuation(told) == await spent(stage), "of what is not kept yet, the feed tells"
    await kept(Warehouse(stage.backend, ParquetStock(tmp_path)))
    assert by_continuation(await ask(stage, tmp_path, SPENT)) == await spent(stage)
    assert by_continuation(await ask(stage, tmp_path, SPENT, tail=True)) == await spent(stage), "nothing counts twice"

    calls = stage.model.answered.total()
    billed = calls * CHARGE_USD_MICROS + 100, calls * CHARGE_TOKENS + 3, calls + 1
    assert (await ask(stage, tmp_path, MODELS)).rows == (billed,), "the provider's own count, and the answer it lost"
    tiers = await ask(stage, tmp_path, "select tier, provider, status, count(*) from fact_model_call group by all")
    assert Counter({(tier, provider, status): n for tier, provider, status, n in tiers.rows}) == {
        ("sonnet", "scripted", "answered"): calls - 2,
        ("haiku", "scripted", "answered"): 2,
        ("sonnet", None, "failed"): 1,
    }
    known = await ask(stage, tmp_path, "select complexity, domain, count(*) from fact_model_call group by all")
    assert Counter({(how, what): n for how, what, n in known.rows}) == {(0.8, "biology"): 2, (0.5, None): calls - 1}
    log = [record for cid in await stage.all() for record in await verbs.records(stage.at, cid)]
    effects = {(r.cid, r.rev, note.ordinal): note.charge.get("usd", 0) for r in log for note in r.effects}
    places = await ask(stage, tmp_path, "select continuation, tick, ordinal, usd_micros from fact_model_call")
    assert {(cid, rev, ordinal): usd for cid, rev, ordinal, usd in places.rows} == effects, "each by its place in a log"
    people = await ask(stage, tmp_path, "select resource, units, program from fact_human_request")
    assert people.rows == (("human.approvals", 1, Asker.name),)


@pytest.mark.spec("05.10")
@pytest.mark.parametrize("backend", [("memory", 3), ("redis", 3)], ids=["memory", "redis"], indirect=True)
async def test_a_keeper_that_is_killed_between_its_steps_keeps_each_movement_once(stage: Stage, tmp_path: Path) -> None:
    await lived(stage)
    for _ in range(50):
        try:
            if await Warehouse(stage.backend, MortalStock(tmp_path)).step() > 0:
                break
        except Killed:
            continue
    else:
        pytest.fail("it never came to an end")
    counted = await ask(stage, tmp_path, "select count(*), count(distinct (id, entry)) from movement")
    assert counted.rows[0][0] == counted.rows[0][1], "each once in the files themselves"
    assert by_continuation(await ask(stage, tmp_path, SPENT)) == await spent(stage)


@pytest.mark.parametrize("backend", [("memory", 1)], ids=["memory"], indirect=True)
async def test_what_is_made_anew_is_what_was_there_and_two_keepers_count_nothing_twice(
    stage: Stage, tmp_path: Path
) -> None:
    await lived(stage)
    everything = "select * exclude (time) from fact_spent order by call_id, entry"
    stock = ParquetStock(tmp_path)
    keeper = Warehouse(stage.backend, stock)
    await kept(keeper)
    before = await ask(stage, tmp_path, everything)
    assert before.rows
    for after in (keeper, Warehouse(stage.backend, stock)):
        await moneys.soften(stage.at, (await stage.all())[0], GRANT)  # a fact that makes no row
        await kept(keeper)
        stock.clear()
        assert stock.reached(Partition(0)) == BEGINNING
        await moneys.soften(stage.at, (await stage.all())[0], GRANT)
        await kept(after)
        assert await ask(stage, tmp_path, everything) == before, "whoever kept it before, or did not"
    again = await fresh(stage.backend, {Partition(0): BEGINNING})
    stock.store(Stretch(Partition(1), "0-0", "2-0"), again)  # no stretch covers it
    assert await ask(stage, tmp_path, everything) == before, "what two have kept is there once"


def test_many_stretches_become_one_and_a_death_in_between_changes_nothing(tmp_path: Path) -> None:
    stock, row = ParquetStock(tmp_path), Row("model", "charge", "a call", 1, "acme", "a", usd_micros=5)
    for number in range(MANY):
        stock.store(Stretch(Partition(0), f"{number}-0", f"{number + 1}-0"), [row._replace(id=f"call {number}")])
    left = next(tmp_path.glob("*_7-0.parquet")).read_bytes()
    assert stock.compact(Partition(0))
    assert [(s.after, s.last) for s in stretches(tmp_path)] == [("0-0", f"{MANY}-0")]
    (tmp_path / "0_6-0_7-0.parquet").write_bytes(left)
    assert asked(tmp_path, [], MODELS).rows == ((5 * MANY, 0, MANY),), "what was not dropped yet is not counted again"
    assert len(stretches(tmp_path)) == 2
    assert ParquetStock(tmp_path).reached(Partition(0)) == f"{MANY}-0"
    assert len(stretches(tmp_path)) == 1, "the next start drops it"


@pytest.mark.parametrize(
    "sql", ["drop table movement", "select 1; select 2", "copy movement to 'out.csv'", "attach 'other.db'", "selec", ""]
)
def test_nothing_but_one_select_is_answered(tmp_path: Path, sql: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        asked(tmp_path, [], sql)
    assert refused.value.field == "sql"


def test_a_select_reads_nothing_but_the_warehouse(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InvalidInput, match="Permission"):
        asked(tmp_path, [], f"select * from read_csv('{tmp_path}/secret.csv')")  # noqa: S608
