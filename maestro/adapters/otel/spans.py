"""Spans of wakes: put around the ports of a tick, which knows nothing of them.

    tick BEHAVIOUR                      from before its adoption to after its commit; linked to the commits that woke it
    |- adopt                            the round trip that took it in
    |- chat TIER · execute_tool NAME    as `genai` tells them
    `- commit                           its id is known to whoever is woken by what it wrote

Invariants: a span changes neither what a port returns nor what it raises, and waits for nobody; an error is told by its
code, because its text may hold what was said; one wake is one trace,
and all tries of one tick are the same one; what is begun here is ended here: by its commit, its hand-back, its hold, or
when its slot takes the next.

Not here: calls that nobody waits for (decision 0027), whose answers come with a later wake; what the runtime does
between ticks.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, cast

import orjson
from opentelemetry import trace
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Link, Span, SpanContext, Status, StatusCode, TraceFlags, Tracer
from pydantic import JsonValue

from maestro.adapters.otel import genai
from maestro.adapters.otel.genai import Value
from maestro.adapters.otel.names import cause_of, commit_of, trace_of
from maestro.continuation.mail import Mail
from maestro.errors import Fenced, MaestroError
from maestro.ids import ContinuationId, Epoch, HolderId, Partition
from maestro.pager.dispatch import ModelCallResult
from maestro.pager.request import ModelRequest
from maestro.tick.linger import Linger
from maestro.tick.mind import Faculties, Pager
from maestro.tick.store import Adopted, Commit, Committed, Held, Store
from maestro.tick.workbench import Workbench
from maestro.tools.calls import Order, ToolRunner

LINKS = 32  # of one wake: a digest of a thousand mails is one tick, and its trace stays readable

_trace: ContextVar[int | None] = ContextVar("trace", default=None)
_span: ContextVar[int | None] = ContextVar("span", default=None)


class ToldIds(RandomIdGenerator):
    """Random ids, but for the spans whose ids others can work out."""

    def generate_trace_id(self) -> int:
        return _trace.get() or super().generate_trace_id()

    def generate_span_id(self) -> int:
        return _span.get() or super().generate_span_id()


@dataclass(slots=True)
class Wake:
    """A tick under way in one slot."""

    cid: ContinuationId
    rev: int
    root: Span
    open: bool = True

    def close(self, ended: str, because: str | None = None) -> None:
        """Its trace is whole; again, it stays as it was."""
        if self.open:
            self.open = False
            self.root.set_attribute("maestro.ended", ended)
            if because is not None:
                self.root.set_status(Status(StatusCode.ERROR, because))
            self.root.end()


_wake: ContextVar[Wake | None] = ContextVar("wake", default=None)
"""Of the slot that is asking, and of all that its tick begins."""


class Spans:
    """What is put around the ports of one process."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def around_store(self, store: Store) -> Store:
        return cast(Store, _TracedStore(store, self))

    def around_faculties(self, faculties: Faculties) -> Faculties:
        bench = faculties.bench
        around = None if bench is None else self._around_bench(bench)
        return replace(faculties, pager=_TracedPager(faculties.pager, self), bench=around)

    def _around_bench(self, bench: Workbench) -> Workbench:
        servers = None if bench.servers is None else _TracedTools(bench.servers, self)
        return replace(
            bench,
            workers=_TracedTools(bench.workers, self),
            inline=_TracedTools(bench.inline, self),
            servers=servers,
        )

    def begun(self, adopted: Adopted, since_ns: int, held: Mapping[str, str]) -> None:
        """A wake begins in this slot, with the round trip that adopted it behind it."""
        rev = adopted.rev + 1
        mails = (*adopted.controls, *adopted.mail)
        with _told(trace_of(adopted.cid, rev)):
            root = self._tracer.start_span(
                "tick", links=_links(mails), attributes={**_about(adopted, mails), **held}, start_time=since_ns
            )
        wake = Wake(adopted.cid, rev, root)
        _wake.set(wake)
        self._tracer.start_span("adopt", context=trace.set_span_in_context(root), start_time=since_ns).end()

    @contextmanager
    def part(
        self, name: str, attributes: Mapping[str, Value], id: int | None = None, links: Sequence[Link] = ()
    ) -> Iterator[Span]:
        """A span of the wake in hand, ended with an error by whatever is raised inside; in no wake, one by itself."""
        wake = _wake.get()
        context = trace.set_span_in_context(wake.root) if wake else None
        with _told(None, id):
            span = self._tracer.start_span(name, context=context, attributes=dict(attributes), links=links)
        try:
            yield span
        except BaseException as error:
            kind = error.code if isinstance(error, MaestroError) else type(error).__name__
            span.set_attribute("error.type", kind)
            span.set_status(Status(StatusCode.ERROR, kind))
            raise
        finally:
            span.end()

    def ended(self, cid: ContinuationId, ended: str, because: str | None = None) -> None:
        """The wake in hand, if it is that continuation's, is over."""
        wake = _wake.get()
        if wake is not None and wake.cid == cid:
            wake.close(ended, because)


class _TracedStore:
    """A store whose adoptions begin traces, and whose commits, hand-backs and holds end them."""

    def __init__(self, store: Store, spans: Spans) -> None:
        self._store = store
        self._spans = spans

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def adopt(
        self,
        pool: str,
        holder: HolderId,
        lease_ms: int,
        partition: Partition,
        only: ContinuationId | None = None,
        linger: Linger | None = None,
    ) -> Adopted | None:
        _drop()
        since_ns = time.time_ns()
        adopted = await self._store.adopt(pool, holder, lease_ms, partition, only, linger)
        if adopted is not None:
            self._spans.begun(adopted, since_ns, {"maestro.pool": pool, "maestro.holder": holder})
        return adopted

    async def commit(
        self, commit: Commit, adopt_next: tuple[str, HolderId, int] | None = None, linger: Linger | None = None
    ) -> Committed:
        since_ns = time.time_ns()
        about: dict[str, Value] = {"maestro.status": str(commit.status), "maestro.record_bytes": len(commit.record)}
        links = [_link(birth.cid, 1, {"maestro.born": birth.cid}) for birth in commit.births[:LINKS]]
        mine = commit_of(commit.cid, commit.rev)
        _name(commit)
        try:
            with self._spans.part("commit", about, mine, links):
                committed = await self._store.commit(commit, adopt_next, linger)
        except Fenced:
            self._spans.ended(commit.cid, "fenced", "a newer epoch owns the continuation")
            raise
        self._spans.ended(commit.cid, "committed")
        if committed.next is not None and adopt_next is not None:
            self._spans.begun(
                committed.next, since_ns, {"maestro.pool": adopt_next[0], "maestro.holder": adopt_next[1]}
            )
        return committed

    async def release(
        self, cid: ContinuationId, epoch: Epoch, retry_in_ms: int, error: str | None, counts: bool
    ) -> None:
        await self._store.release(cid, epoch, retry_in_ms, error, counts)
        self._spans.ended(cid, "handed back", f"tried again in {retry_in_ms} ms: see its log")

    async def hold(self, held: Held) -> None:
        await self._store.hold(held)
        self._spans.ended(held.cid, "held", str(held.hold))


class _TracedPager:
    def __init__(self, pager: Pager, spans: Spans) -> None:
        self._pager = pager
        self._spans = spans

    async def call(self, request: ModelRequest) -> ModelCallResult:
        with self._spans.part(f"{genai.CHAT} {request.tier}", genai.of_request(request)) as span:
            result = await self._pager.call(request)
            span.set_attributes(dict(genai.of_result(result)))
        return result


class _TracedTools:
    def __init__(self, runner: ToolRunner, spans: Spans) -> None:
        self._runner = runner
        self._spans = spans

    async def run(self, order: Order) -> JsonValue:
        with self._spans.part(f"{genai.EXECUTE_TOOL} {order.tool.name}", genai.of_order(order)):
            return await self._runner.run(order)


def _drop() -> None:
    """A slot that takes the next without having written has lost the one before."""
    wake = _wake.get()
    if wake is not None:
        wake.close("lost", "its lease was lost, or its outcome is unknown")
        _wake.set(None)


@contextmanager
def _told(trace_id: int | None, span_id: int | None = None) -> Iterator[None]:
    """The next span has these ids."""
    tokens = _trace.set(trace_id), _span.set(span_id)
    try:
        yield
    finally:
        _trace.reset(tokens[0])
        _span.reset(tokens[1])


def _about(adopted: Adopted, mails: Sequence[Mail]) -> Mapping[str, Value]:
    first = mails[0] if mails else None
    return {
        "maestro.continuation": adopted.cid,
        "maestro.tick": adopted.rev + 1,
        "maestro.epoch": adopted.epoch,
        "maestro.tries": adopted.tries,
        "maestro.mail": len(mails),
        "maestro.woken_by": "" if first is None else f"{first.kind} {first.subject}".strip(),
        "maestro.caused_by": tuple(mail.id for mail in mails[:LINKS]),
        "maestro.waited_ms": adopted.now_ms - adopted.ready_since_ms,
    }


def _links(mails: Sequence[Mail]) -> Sequence[Link]:
    """To the commits that wrote them, each once."""
    causes = {cause: mail for mail in reversed(mails[:LINKS]) if (cause := cause_of(mail)) is not None}
    return [
        _link(cid, rev, {"maestro.mail.id": mail.id, "maestro.mail.kind": str(mail.kind)})
        for (cid, rev), mail in causes.items()
    ]


def _link(cid: str, rev: int, attributes: Mapping[str, Value]) -> Link:
    """To the commit of that tick."""
    flags = TraceFlags(TraceFlags.SAMPLED)
    return Link(SpanContext(trace_of(cid, rev), commit_of(cid, rev), is_remote=True, trace_flags=flags), attributes)


def _name(commit: Commit) -> None:
    """The wake in hand is called after its behaviour: a resident's adoption carries no checkpoint that names it."""
    wake = _wake.get()
    if wake is not None and wake.root.is_recording():
        behaviour = orjson.loads(commit.checkpoint.partition(b"\n")[2]).get("behaviour")
        wake.root.update_name(f"tick {behaviour}")
        wake.root.set_attribute("maestro.behaviour", str(behaviour))
