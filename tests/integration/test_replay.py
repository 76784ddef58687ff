"""From the log alone: the state rebuilt, every flipped bit found, every decision made again."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from random import Random

import orjson
import pytest
from pydantic import BaseModel

from maestro.adapters.memory.backend import MemoryBackend, backend_over, empty_memory
from maestro.adapters.redis.backend import open_backend
from maestro.budget.vector import BudgetVector
from maestro.clock import ManualClock
from maestro.continuation.blocks import name_of
from maestro.continuation.checkpoint import Checkpoint, digest, replay
from maestro.continuation.directive import Closing, Sleep
from maestro.continuation.mail import Mail
from maestro.errors import InvalidInput, StoreUnavailable
from maestro.ids import ContinuationId, Partition, TenantId
from maestro.mesh.event import Event
from maestro.pager.dispatch import ModelCallResult
from maestro.pager.request import ModelRequest
from maestro.policy.policy import Policy, policy_of
from maestro.policy.question import PolicyConfig
from maestro.runtime import verbs
from maestro.runtime.sweeping import sweep
from maestro.runtime.verification import verified
from maestro.runtime.whatif import redecided
from maestro.tick.asking import kept_prompt, read_prompt
from maestro.tick.behaviour import Behaviour
from maestro.tick.blocks import SPARED_MS
from maestro.tick.context import Tick
from tests.chaos.redis_server import OwnRedis
from tests.stage import Stage

TENANT = TenantId("default")
EVENTS = 500
GOLDEN = Path(__file__).parents[1] / "data" / "golden"


class Diary(BaseModel):
    pages: list[str] = []
    moods: dict[str, float] = {}
    loud: bool = False


class Diarist(Behaviour[Diary]):
    """Writes, deletes, changes its mind, sets timers and subscribes: all that a patch may have to say."""

    name = "diarist"
    version = 1

    async def start(self, tick: Tick[Diary]) -> Closing:
        tick.subscribe("day.>")
        return Sleep.until_woken()

    async def on_event(self, tick: Tick[Diary], event: Event) -> Closing:
        luck, state = Random(event.key), tick.state
        state.moods[luck.choice("abcde")] = luck.choice([0.0, -0.0, 1.0, 0.1 + 0.2, 1e300])
        if luck.random() < 0.3 and state.moods:
            state.moods.pop(luck.choice(sorted(state.moods)))
        state.pages = [*state.pages[-5:], f"{event.key} <entry> \\x \u00e4 {luck.random()}"]
        state.loud = not state.loud
        if luck.random() < 0.2:
            tick.set_timer(luck.choice("xyz"), tick.now_ms + 10**9)
        if luck.random() < 0.2:
            tick.unsubscribe(tick.subscribe(f"other.{luck.choice('pq')}"))
        return Sleep.until_woken("another day")

    async def on_message(self, tick: Tick[Diary], message: Mail) -> Closing:
        await tick.think(str(message.body), step="opus", about="what was said before. " * 100)
        return Sleep.until_woken()


def in_memory() -> Stage:
    return Stage(MemoryBackend(clock=ManualClock(), tenant=TENANT), Diarist)


@pytest.mark.spec("01.11")
async def test_replay_of_a_log_of_500_events_equals_the_checkpoint_at_every_tick() -> None:
    stage = in_memory()
    cid = await stage.start(Diarist)
    await stage.settle()
    kept: list[Checkpoint] = [await stage.checkpoint(cid)]
    for number in range(EVENTS):
        await stage.publish("day.one", f"day-{number}")
        await stage.settle()
        kept.append(await stage.checkpoint(cid))
    bodies = await verbs.record_bodies(stage.at, cid)
    assert len(bodies) == EVENTS + 2
    assert replay(bodies) == kept[-1]
    assert replay(bodies).body() == kept[-1].body()
    for rev in (1, 2, 77, 250, EVENTS):
        assert replay(bodies[: rev + 1]) == kept[rev - 1]
    assert (await verified(stage.at, cid)).damages == ()


@pytest.fixture
async def on_redis() -> AsyncIterator[tuple[Stage, OwnRedis]]:
    server = OwnRedis()
    try:
        stage = Stage(await open_backend(server.url, TENANT, virtual=True), Diarist)
        yield stage, server
        await stage.backend.close()
    finally:
        server.close()


async def small(stage: Stage) -> ContinuationId:
    """One that has had an event and a thought whose prompt lies in blocks."""
    cid = await stage.start(Diarist)
    await stage.settle()
    await stage.publish("day.one", "day")
    await stage.settle()
    await verbs.send(stage.at, cid, "What follows?")
    await stage.settle()
    return cid


async def test_every_flipped_byte_of_what_is_kept_is_found_and_named() -> None:
    """One byte at a time, each of them, in checkpoint, records and blocks."""
    memory = empty_memory(clock=ManualClock())
    stage = Stage(backend_over(memory, TENANT), Diarist)
    cid = await small(stage)
    (partition,) = memory.partitions
    row, blocks = partition.rows[cid], partition.blocks
    whole = await verified(stage.at, cid)
    assert (whole.records, whole.blocks, whole.damages) == (4, len(blocks), ())
    assert whole.blocks >= 2

    async def found(name: str) -> None:
        damages = (await verified(stage.at, cid)).damages
        assert damages, f"{name} was flipped, and nobody saw"
        assert any(name in damage for damage in damages), (name, damages)

    for place in range(len(row.checkpoint)):
        good = row.checkpoint
        row.checkpoint = flipped(good, place)
        await found("checkpoint")
        row.checkpoint = good
    for number, (at_ms, good) in enumerate(tuple(row.log)):
        for place in range(len(good)):
            row.log[number] = at_ms, flipped(good, place)
            await found(f"record {number}")
        row.log[number] = at_ms, good
    for name, (good, put_ms) in tuple(blocks.items()):
        for place in range(len(good)):
            blocks[name] = flipped(good, place), put_ms
            await found(name)
        blocks[name] = good, put_ms
    assert (await verified(stage.at, cid)).damages == ()


async def test_a_flipped_byte_is_found_on_redis_in_times_too_and_so_is_what_is_missing(
    on_redis: tuple[Stage, OwnRedis],
) -> None:
    stage, _ = on_redis
    cid = await small(stage)
    wire = stage.backend.records._keys.wire  # type: ignore[attr-defined]
    log = f"maestro:{TENANT}:{{0}}:l:{cid}"
    lines = await wire.execute("LRANGE", log, 0, -1)
    for number, good in enumerate(lines):
        for place in range(good.index(b" ") + 1):
            await wire.execute("LSET", log, number, flipped(good, place))
            assert (await verified(stage.at, cid)).damages, f"byte {place} of the time of record {number}"
        await wire.execute("LSET", log, number, good)
    assert (await verified(stage.at, cid)).damages == ()

    for block in await wire.execute("KEYS", f"maestro:{TENANT}:{{0}}:o:*"):
        name = block.decode().rpartition(":")[2]
        body = await wire.execute("GET", block)
        await wire.execute("DEL", block)
        assert f"block {name} is missing" in str((await verified(stage.at, cid)).damages)
        await wire.execute("SET", block, body)
    await wire.execute("RPOP", log)
    assert "records at rev" in str((await verified(stage.at, cid)).damages)


def flipped(good: bytes, place: int) -> bytes:
    return good[:place] + bytes([good[place] ^ (1 << place % 7)]) + good[place + 1 :]


async def test_a_recorded_prompt_is_read_back_word_for_word_and_kept_under_the_same_names() -> None:
    stage = in_memory()
    cid = await small(stage)
    (note,) = (await verbs.records(stage.at, cid))[-1].effects
    prompt = await read_prompt(note.asked, partial(stage.backend.blocks.get, cid))
    assert prompt.messages[-1].content.startswith("What follows?\n\n# About\nwhat was said before.")
    blocks: dict[str, bytes] = {}
    assert kept_prompt(prompt, blocks) == note.asked
    assert await stage.backend.blocks.get(cid, list(blocks)) == blocks
    assert note.answer["inline"]["content"] == "ok"  # type: ignore[index, call-overload]


async def test_another_policy_decides_recorded_calls_anew_and_touches_nothing() -> None:
    stage = in_memory()
    cid = await stage.start(Diarist, budget=BudgetVector({"usd": 10_000_000}))
    for number in range(3):
        await verbs.send(stage.at, cid, f"thought {number}")
        await stage.settle()
    calls, before = stage.model.asked, await verbs.glance_of(stage.at, cid)

    as_it_was = await redecided(stage.at, cid, Policy(advisor_enabled=False))
    assert [(row.recorded, row.agrees, row.delta_usd_micros) for row in as_it_was] == [("opus: as_asked", True, 0)] * 3
    cheap = await redecided(stage.at, cid, policy_of('advisor_enabled = false\nallowed_tiers = ["haiku"]'))
    assert {(row.new.step, row.new.reason) for row in cheap} == {("haiku", "confined")}
    assert all(row.delta_usd_micros < 0 for row in cheap)
    eager = policy_of("advisor_enabled = false\n[thresholds]\ndownshift_remaining_permille = 1000\n")
    assert {row.new.reason for row in await redecided(stage.at, cid, eager)} == {"cost_guard"}, (
        "the advisor is off: plain sonnet"
    )
    assert (stage.model.asked, await verbs.glance_of(stage.at, cid)) == (calls, before)


@pytest.mark.parametrize(
    ("text", "field", "said"),
    [
        ("cheap = true", "policy.cheap", "thresholds, advisor, advisor_enabled, allowed_tiers"),
        ("[thresholds]\nalert_used_permille = 1001", "policy.thresholds.alert_used_permille", "1000"),
        ("[thresholds]\nfloor_remaining_permille = 700", "policy.thresholds", "the floor comes last"),
        ('allowed_tiers = ["gpt"]', "policy.allowed_tiers.0", "'opus', 'sonnet' or 'haiku'"),
        ("allowed_tiers = []", "policy.allowed_tiers", "at least 1 item"),
        ("[schedule]\npatience = 3", "policy.schedule.patience", "patience_ms"),
        ("cheap", "policy", "no TOML"),
    ],
)
def test_a_policy_that_is_none_names_its_field(text: str, field: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as refused:
        policy_of(text)
    assert refused.value.field == field


def test_an_empty_policy_is_the_shipped_one() -> None:
    assert policy_of("").config == PolicyConfig()


@pytest.mark.parametrize("file", sorted(GOLDEN.glob("*.jsonl")), ids=lambda file: file.stem)
def test_logs_written_by_earlier_code_replay_to_the_states_that_they_had(file: Path) -> None:
    """Never rewrite these files: `python -m tests.golden NAME` adds one for the code of the day."""
    *records, last = file.read_bytes().splitlines()
    bodies = [orjson.loads(line)["body"].encode() for line in records]
    checkpoint = replay(bodies)
    told = orjson.loads(last)
    assert digest(bodies[-1]) == told["hash"]
    assert orjson.loads(orjson.dumps(checkpoint.state)) == told["state"]
    assert len(bodies) == told["records"]


class Away:
    """A pager that cannot tell whether anybody answered: the intent stays open."""

    async def call(self, request: ModelRequest) -> ModelCallResult:
        raise StoreUnavailable("nobody knows")


async def test_a_sweep_takes_what_nothing_refers_to_and_has_not_been_put_for_a_day() -> None:
    memory = empty_memory(clock=ManualClock())
    stage = Stage(backend_over(memory, TENANT), Diarist)
    cid = await small(stage)
    (partition,) = memory.partitions
    needed = set(partition.blocks)
    stage.pager = Away()
    await verbs.send(stage.at, cid, "Another thought, which is still open")
    await stage.tick()
    opened = set(partition.blocks) - needed
    await stage.backend.blocks.put(cid, {name_of(b"nobody's"): b"nobody's"})
    assert opened
    assert await sweep(stage.at, Partition(0)) == 0, "too fresh"
    await stage.advance(SPARED_MS + 1)
    assert await sweep(stage.at, Partition(0)) == 1
    assert set(partition.blocks) == needed | opened, "what an open journal refers to stays"
    assert (await verified(stage.at, cid)).damages == ()
