"""From settings to spans that reach a collector, by OTLP over HTTP.

Invariant: a collector that is slow, away or refuses costs its spans and nothing else: they are sent by a thread of
their own, at most QUEUED of them wait, and what is beyond that is dropped.
"""

import importlib
from collections.abc import Mapping

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from maestro.adapters.otel.spans import Spans, ToldIds
from maestro.errors import InvalidInput
from maestro.home import read_private
from maestro.settings import Settings

EXPORTER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
QUEUED = 2_048
EVERY_MS = 1_000
SEND_S = 2  # of one batch, retries and all; a process that ends waits for its last one


class Exported:
    """The spans of one process, and their way out."""

    def __init__(self, settings: Settings, process: str) -> None:
        told = {"service.name": "maestro", "service.instance.id": process, "service.namespace": settings.tenant}
        self._provider = TracerProvider(resource=Resource.create(told), id_generator=ToldIds(), shutdown_on_exit=False)
        self._provider.add_span_processor(_processor(settings))
        spans = Spans(self._provider.get_tracer("maestro"))
        self.around_store = spans.around_store
        self.around_faculties = spans.around_faculties

    def close(self) -> None:
        """What was ended is sent, or was given up after SEND_S; blocks for as long."""
        self._provider.shutdown()


def check(settings: Settings) -> None:
    """What sends traces is installed, where traces are wanted.

    Raises:
        InvalidInput: it is not, or the file of headers is not good.
    """
    if settings.otel_endpoint is not None:
        _exporter(settings)


def headers_of(text: str) -> Mapping[str, str]:
    """NAME=VALUE, one a line.

    Raises:
        InvalidInput: a line is none.
    """
    pairs = [line.partition("=") for line in text.splitlines() if line.strip()]
    if not all(name.strip() and equals for name, equals, _ in pairs):
        raise InvalidInput(
            "otel_headers_file has a line that is no header",
            field="otel_headers_file",
            hint="write NAME=VALUE, one a line",
        )
    return {name.strip(): value.strip() for name, _, value in pairs}


def _processor(settings: Settings) -> SpanProcessor:
    return BatchSpanProcessor(_exporter(settings), max_queue_size=QUEUED, schedule_delay_millis=EVERY_MS)


def _exporter(settings: Settings) -> SpanExporter:
    try:
        module = importlib.import_module(EXPORTER)
    except ModuleNotFoundError as error:
        raise InvalidInput(
            f"traces are wanted (otel_endpoint), and {error.name} is not installed",
            field="otel_endpoint",
            hint="pip install 'maestro-continuations[otel]' on every node, or unset MAESTRO_OTEL_ENDPOINT",
        ) from None
    file = settings.otel_headers_file
    headers = headers_of(read_private(file)) if file is not None else None
    endpoint = f"{str(settings.otel_endpoint).rstrip('/')}/v1/traces"
    exporter: SpanExporter = module.OTLPSpanExporter(endpoint=endpoint, headers=headers, timeout=SEND_S)
    return exporter
