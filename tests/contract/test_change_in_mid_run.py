"""A run whose provider and tier change while it goes on: through the real runner, over real wires, nothing rebuilt."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import pytest
from pydantic import BaseModel

from maestro.adapters.memory.backend import MemoryBackend
from maestro.clock import ManualClock
from maestro.continuation.checkpoint import EffectNote
from maestro.continuation.directive import Closing, Sleep
from maestro.continuation.mail import Mail
from maestro.ids import ContinuationId, partition_of
from maestro.pager.dispatch import ModelCallResult
from maestro.pager.failover import FailoverModelRouter
from maestro.pager.request import ModelRequest
from maestro.policy.gradient import Step, Tier
from maestro.runtime import verbs
from maestro.runtime.backend import Backend
from maestro.testing.provider import FakeProvider, Say, Status
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from tests.contract.models import router, target
from tests.stage import PLENTY, Stage

pytestmark = pytest.mark.usefixtures("models_loaded")

RUN = (("azure_ai", Step.OPUS), ("bedrock", Step.SONNET), ("anthropic", Step.HAIKU), ("openai", Step.SONNET))
"""Who answers in each tick of the run, and by which step."""


class Diary(BaseModel):
    lines: list[str] = []


class Diarist(Behaviour[Diary]):
    """Asks what its mail asks, on the step that the mail names, and writes the answer down."""

    async def start(self, tick: Tick[Diary]) -> Closing | None:
        return Sleep.until_woken()

    async def on_message(self, tick: Tick[Diary], message: Mail) -> Closing | None:
        so_far = " / ".join(tick.state.lines)
        answer = await tick.think(f"What of it? So far: {so_far}", step=message.subject, max_output_tokens=200)
        tick.state.lines.append(answer)
        return Sleep.until_woken()


class Pager:
    """A router that is another one from one moment to the next."""

    def __init__(self) -> None:
        self.now: FailoverModelRouter | None = None

    async def __call__(self, request: ModelRequest) -> ModelCallResult:
        assert self.now is not None
        return await self.now.answer(request)


@pytest.fixture
def fakes() -> Iterator[dict[str, FakeProvider]]:
    made = {wire: FakeProvider(Say(f"from {wire}", 10, 5)) for wire, _ in RUN}
    yield made
    for fake in made.values():
        fake.close()


def reaching(fakes: Mapping[str, FakeProvider], *wires: str) -> FailoverModelRouter:
    """A pager whose every tier has that chain."""
    return router({tier: [target(wire, fakes[wire]) for wire in wires] for tier in Tier}, advises=False)


async def asked(stage: Stage, cid: ContinuationId, step: Step) -> None:
    await verbs.send(stage.at, cid, None, subject=step.value)
    await stage.settle()


async def effects(stage: Stage, cid: ContinuationId) -> list[EffectNote]:
    return [note for record in await verbs.records(stage.at, cid) for note in record.effects]


def told(note: EffectNote) -> dict[str, Any]:
    """What the log says of an answer beside its text."""
    assert isinstance(note.detail, dict)
    return note.detail


async def charges(backend: Backend, cid: ContinuationId) -> list[dict[str, Any]]:
    """What the feed tells of each call."""
    facts = [orjson.loads(fact.body) for fact in await backend.records.feed(partition_of(cid), limit=10_000)]
    return [fact for fact in facts if fact["type"] == "budget_charge"]


@pytest.mark.shows("6.4")
@pytest.mark.spec("05.6")
async def test_a_run_goes_on_while_provider_and_tier_change_and_each_leaves_the_same_trail(
    fakes: dict[str, FakeProvider],
) -> None:
    backend, pager = MemoryBackend(1, ManualClock()), Pager()
    stage = Stage(backend, Diarist, model=pager)  # type: ignore[arg-type]  # what it calls is what counts
    cid = await stage.start(Diarist, budget=PLENTY)
    await stage.settle()
    rev = len(await verbs.records(stage.at, cid))
    for wire, step in RUN:
        pager.now = reaching(fakes, wire)
        await asked(stage, cid, step)
        stage = Stage(backend, Diarist, model=pager)  # type: ignore[arg-type]  # and another process goes on with it
    assert await stage.state(cid) == {"lines": [f"from {wire}" for wire, _ in RUN]}
    assert len(await verbs.records(stage.at, cid)) == rev + len(RUN), "one tick for each mail: nothing was rebuilt"
    assert [len(fake.calls) for fake in fakes.values()] == [1, 1, 1, 1]
    last = json.dumps(fakes["openai"].calls[-1].body)
    assert all(f"from {wire}" in last for wire, _ in RUN[:-1]), "the prompt is made of the state, not of a thread"
    trail = await effects(stage, cid)
    assert [note.decision for note in trail] == [f"{step}: as_asked" for _, step in RUN]
    details = [told(note) for note in trail]
    assert [detail["provider"] for detail in details] == [wire for wire, _ in RUN]
    assert {tuple(detail) for detail in details} == {tuple(details[0])}
    assert {(note.kind, note.outcome, tuple(sorted(note.charge))[-1], note.charge["usd"]) for note in trail} == {
        ("model", "answered", "usd", 10 + 5 * 5)
    }
    facts = await charges(backend, cid)
    assert {tuple(sorted(fact)) for fact in facts} == {tuple(sorted(facts[0]))}
    assert [fact["provider"] for fact in facts] == [wire for wire, _ in RUN]
    await stage.audit()


@pytest.mark.shows("6.4")
async def test_a_provider_that_goes_away_in_mid_run_is_followed_by_the_next_in_the_same_tick(
    fakes: dict[str, FakeProvider],
) -> None:
    backend, pager = MemoryBackend(1, ManualClock()), Pager()
    stage = Stage(backend, Diarist, model=pager)  # type: ignore[arg-type]  # what it calls is what counts
    pager.now = reaching(fakes, "azure_ai", "bedrock")
    cid = await stage.start(Diarist, budget=PLENTY)
    await stage.settle()
    await asked(stage, cid, Step.HAIKU)
    fakes["azure_ai"].default = Status(503)
    rev = len(await verbs.records(stage.at, cid))
    await asked(stage, cid, Step.HAIKU)
    assert await stage.state(cid) == {"lines": ["from azure_ai", "from bedrock"]}
    assert len(await verbs.records(stage.at, cid)) == rev + 1
    first, second = await effects(stage, cid)
    assert told(first).keys() == told(second).keys()
    assert first.charge == second.charge
    await stage.audit()
