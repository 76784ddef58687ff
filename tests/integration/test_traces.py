"""Traces: one for each wake, linked to what caused it, with nothing of what was said in them.

The spans go through the real SDK into memory here; `test_traces_sent.py` has them sent to a collector.
"""

import asyncio
import contextlib
import inspect
import os
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.trace import StatusCode
from pydantic import BaseModel

from maestro import Behaviour, Event, Finish, Sleep, Tick, tool
from maestro.adapters.memory.backend import backend_over, empty_memory
from maestro.adapters.otel import genai
from maestro.adapters.otel.names import commit_of, trace_of
from maestro.adapters.otel.seam import Around
from maestro.adapters.otel.spans import Spans, ToldIds
from maestro.budget.vector import BudgetVector
from maestro.clock import ManualClock
from maestro.errors import Fenced, ToolError
from maestro.runtime.host import Host, HostSettings
from maestro.tick.mind import Faculties
from maestro.tick.runner import run
from tests.stage import ALICE, LEASE_MS, Stage

SECRET = "c4n4ry-goal"
PATIENCE_S = 20.0
WORD = re.compile(r'"(gen_ai\.[\w.]+)"')


class Noted(BaseModel):
    notes: list[str] = []


@tool(side_effect="pure", runs="inline")
async def measure(what: str) -> str:
    """How long it is."""
    return f"{len(what)} letters of {what}"


class Asker(Behaviour[Noted]):
    async def start(self, tick: Tick[Noted]) -> Finish:
        tick.state.notes.append(await tick.think("What of it?", about=SECRET, step="haiku"))
        await tick.use(measure, what=SECRET)
        tick.publish("traced.news", {"text": SECRET}, key="first")
        tick.spawn(Child, goal=SECRET, budget=BudgetVector({}))
        return Finish(result="asked")


class Child(Behaviour[Noted]):
    async def start(self, tick: Tick[Noted]) -> Finish:
        return Finish(result="born")


@tool(side_effect="pure", runs="inline")
async def stumble(over: str) -> str:
    """Falls, and cries out what it was told."""
    raise ValueError(over)


class Stumbler(Behaviour[Noted]):
    async def start(self, tick: Tick[Noted]) -> Finish:
        with contextlib.suppress(ToolError):
            await tick.use(stumble, over=SECRET)
        return Finish(result="stumbled")


class Failing(Behaviour[Noted]):
    async def start(self, tick: Tick[Noted]) -> Finish:
        raise ValueError(SECRET)


class Listener(Behaviour[Noted]):
    async def start(self, tick: Tick[Noted]) -> Sleep:
        tick.subscribe("traced.>")
        return Sleep.until_woken()

    async def on_event(self, tick: Tick[Noted], event: Event) -> Sleep:
        return Sleep.until_woken()


class TracedStage(Stage):
    """A stage whose process sends traces."""

    def __init__(self, spans: Around) -> None:
        self._spans = spans
        backend = backend_over(empty_memory(clock=ManualClock()))
        traced = replace(backend, store=spans.around_store(backend.store))
        super().__init__(traced, Asker, Child, Failing, Listener, Stumbler, tools=[measure, stumble])

    def equipped(self, faculties: Faculties) -> Faculties:
        return self._spans.around_faculties(faculties)


@pytest.fixture
def sent() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def stage(sent: InMemorySpanExporter) -> TracedStage:
    provider = TracerProvider(id_generator=ToldIds(), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(sent))
    return TracedStage(Spans(provider.get_tracer("maestro")))


def wakes(sent: InMemorySpanExporter) -> list[ReadableSpan]:
    """The root of each trace, in the order of their ends."""
    return [span for span in sent.get_finished_spans() if span.parent is None]


def below(sent: InMemorySpanExporter, root: ReadableSpan) -> dict[str, ReadableSpan]:
    """The parts of a wake, by name."""
    spans = [span for span in sent.get_finished_spans() if span.parent == root.context]
    return {span.name: span for span in spans}


def links(span: ReadableSpan) -> list[tuple[int, int]]:
    return [(link.context.trace_id, link.context.span_id) for link in span.links]


async def hosted(stage: TracedStage, ticks: int) -> None:
    """A host has ended so many ticks, adopting with its commits where it can."""
    host = Host(HostSettings("default", ALICE, 1, idle_ms=50), stage.around, stage.backend.signals)
    serving = asyncio.create_task(host.serve())
    async with asyncio.timeout(PATIENCE_S):
        while host.ticks < ticks:
            await stage.relay.step()
            await asyncio.sleep(0.005)
    host.stop()
    await serving


async def test_a_wake_is_a_trace_with_its_adoption_its_calls_and_its_commit(
    stage: TracedStage, sent: InMemorySpanExporter
) -> None:
    cid = await stage.start(Asker)
    await hosted(stage, 2)
    root = next(span for span in wakes(sent) if span.name == "tick asker")
    parts = below(sent, root)
    assert list(parts) == ["adopt", "chat haiku", "execute_tool measure", "commit"]
    assert root.attributes is not None
    assert root.attributes["maestro.continuation"] == cid
    assert (root.attributes["maestro.tick"], root.attributes["maestro.ended"]) == (1, "committed")
    assert root.attributes["maestro.woken_by"] == "start"
    assert all(root.start_time <= part.start_time <= part.end_time <= root.end_time for part in parts.values())  # type: ignore[operator]  # ended spans have both
    assert parts["commit"].context.span_id == commit_of(cid, 1)
    assert root.context.trace_id == trace_of(cid, 1)


async def test_a_wake_is_linked_to_the_commit_that_wrote_what_woke_it(
    stage: TracedStage, sent: InMemorySpanExporter
) -> None:
    listener = await stage.start(Listener)
    await hosted(stage, 1)
    asker = await stage.start(Asker)
    await hosted(stage, 3)
    woken = next(span for span in wakes(sent) if span.attributes["maestro.tick"] == 2)  # type: ignore[index]
    assert woken.attributes is not None
    assert woken.attributes["maestro.continuation"] == listener
    assert woken.attributes["maestro.woken_by"] == "event traced.news"
    assert links(woken) == [(trace_of(asker, 1), commit_of(asker, 1))]
    commits = {
        (span.context.trace_id, span.context.span_id) for span in sent.get_finished_spans() if span.name == "commit"
    }
    assert set(links(woken)) <= commits, "what it is linked to was sent"


async def test_a_commit_is_linked_to_the_first_ticks_of_its_children(
    stage: TracedStage, sent: InMemorySpanExporter
) -> None:
    await stage.start(Asker)
    await hosted(stage, 2)
    born = next(span for span in wakes(sent) if span.name == "tick child")
    commit = below(sent, next(span for span in wakes(sent) if span.name == "tick asker"))["commit"]
    assert links(commit) == [(born.context.trace_id, below(sent, born)["commit"].context.span_id)]


async def test_tries_of_one_tick_are_one_trace_and_say_how_they_ended(
    stage: TracedStage, sent: InMemorySpanExporter
) -> None:
    cid = await stage.start(Failing)
    for _ in range(2):
        await stage.handed_back()
        await stage.advance(60_000)
        await stage.timekeeper.step()
    tries = wakes(sent)
    assert {span.context.trace_id for span in tries} == {trace_of(cid, 1)}
    assert [(span.attributes["maestro.tries"], span.attributes["maestro.ended"]) for span in tries] == [  # type: ignore[index]
        (1, "handed back"), (2, "handed back")
    ]  # fmt: skip
    assert all(span.status.status_code is StatusCode.ERROR for span in tries)


async def test_a_wake_whose_lease_was_lost_ends_with_an_error(stage: TracedStage, sent: InMemorySpanExporter) -> None:
    await stage.start(Child)
    late = await stage.taken()
    await stage.advance(2 * LEASE_MS)
    await stage.reaper.step()
    outcome = await run(late, stage.around)
    with pytest.raises(Fenced):
        await stage.write(late, outcome)
    (root,) = wakes(sent)
    assert root.attributes is not None
    assert root.attributes["maestro.ended"] == "fenced"
    assert below(sent, root)["commit"].attributes["error.type"] == Fenced.__name__  # type: ignore[index]


async def test_a_slot_that_takes_the_next_without_having_written_ends_the_trace_of_the_one_before(
    stage: TracedStage, sent: InMemorySpanExporter
) -> None:
    await stage.start(Child)
    await stage.taken()
    assert wakes(sent) == []
    assert await stage.adopt() is None
    assert [span.attributes["maestro.ended"] for span in wakes(sent)] == ["lost"]  # type: ignore[index]


async def test_nothing_of_what_was_said_is_in_a_span(stage: TracedStage, sent: InMemorySpanExporter) -> None:
    await stage.start(Asker, goal=SECRET)
    await stage.start(Failing, goal=SECRET)
    await stage.start(Stumbler, goal=SECRET)
    await stage.settle()
    told = "".join(span.to_json() for span in sent.get_finished_spans())
    assert {"execute_tool measure", "execute_tool stumble"} <= {span.name for span in sent.get_finished_spans()}
    assert SECRET not in told


def test_the_words_for_models_and_tools_are_those_of_the_conventions() -> None:
    known = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_")}
    assert set(WORD.findall(inspect.getsource(genai))) - {"gen_ai.system"} <= known


def test_without_the_setting_nothing_is_put_around_and_nothing_is_loaded() -> None:
    code = (
        "import sys\n"
        "from maestro.adapters.otel.seam import Untraced, open_tracing\n"
        "from maestro.settings import Settings\n"
        "assert isinstance(open_tracing(Settings.load(), 'p'), Untraced)\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]\n"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAESTRO_", "OTEL_"))}
    subprocess.run([sys.executable, "-c", code], check=True, env=clean)
