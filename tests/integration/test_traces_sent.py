"""Traces reach a collector that speaks OTLP over HTTP; one that is away costs its spans and nothing else."""

import importlib.util
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from maestro.adapters.otel import opening
from maestro.adapters.otel.names import commit_of, trace_of
from maestro.adapters.otel.seam import Untraced, check_tracing, open_tracing
from maestro.errors import InvalidInput
from maestro.settings import Settings
from tests.integration.test_traces import Asker, TracedStage
from tests.loopback import free_port


def installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # not even what it lies in
        return False


needs_exporter = pytest.mark.skipif(not installed(opening.EXPORTER), reason="needs the extra otel")


@dataclass
class Collector:
    """What came in, as it was sent."""

    url: str
    requests: list[tuple[str, dict[str, str], ExportTraceServiceRequest]] = field(default_factory=list)

    def spans(self) -> dict[str, bytes]:
        """Name -> the id of its trace."""
        return {
            span.name: span.trace_id
            for _, _, request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        }

    def resources(self) -> list[dict[str, str]]:
        return [
            {pair.key: pair.value.string_value for pair in resource.resource.attributes}
            for _, _, request in self.requests
            for resource in request.resource_spans
        ]


@pytest.fixture
def collector() -> Iterator[Collector]:
    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told = ExportTraceServiceRequest.FromString(body)
            made.requests.append((self.path, dict(self.headers), told))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    made = Collector(f"http://127.0.0.1:{server.server_address[1]}")
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    yield made
    server.shutdown()
    serving.join()
    server.server_close()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "MAESTRO_OTEL_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@needs_exporter
async def test_a_collector_gets_the_spans_of_a_wake_with_the_header_that_it_asks_for(
    home: Path, collector: Collector
) -> None:
    headers = home / "headers"
    headers.write_text("authorization=Bearer c4n4ry-otel\n")
    headers.chmod(0o600)
    settings = Settings.load(home=home, otel_endpoint=collector.url, otel_headers_file=headers)
    tracing = open_tracing(settings, "pool/default/1")
    stage = TracedStage(tracing)
    cid = await stage.start(Asker)
    await stage.settle()
    tracing.close()
    assert {"tick asker", "adopt", "chat haiku", "execute_tool measure", "commit"} <= set(collector.spans())
    assert collector.spans()["tick asker"] == trace_of(cid, 1).to_bytes(16, "big")
    path, said, _ = collector.requests[0]
    assert (path, said["authorization"]) == ("/v1/traces", "Bearer c4n4ry-otel")
    assert collector.resources()[0]["service.instance.id"] == "pool/default/1"
    assert "Bearer c4n4ry-otel" in settings.secret_values(), "no log line shows it"
    assert commit_of(cid, 1) != commit_of(cid, 2)


@needs_exporter
async def test_a_collector_that_is_away_costs_its_spans_and_nothing_else(home: Path) -> None:
    tracing = open_tracing(Settings.load(home=home, otel_endpoint=f"http://127.0.0.1:{free_port()}"), "p")
    stage = TracedStage(tracing)
    cid = await stage.start(Asker)
    await stage.settle()
    tracing.close()
    assert (await stage.checkpoint(cid)).status == "completed"


def test_where_the_extra_is_missing_up_is_refused_and_a_process_goes_on_without(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, opening.EXPORTER, None)
    settings = Settings.load(home=home, otel_endpoint="http://127.0.0.1:4318")
    with pytest.raises(InvalidInput) as refused:
        check_tracing(settings)
    assert refused.value.field == "otel_endpoint"
    assert "maestro-continuations[otel]" in str(refused.value.hint)
    assert isinstance(open_tracing(settings, "p"), Untraced)
    check_tracing(Settings.load(home=home))


@pytest.mark.parametrize("url", ["collector:4318", "ftp://h", "http://user:pw@h:1"])
def test_an_endpoint_that_is_none_is_refused(home: Path, url: str) -> None:
    with pytest.raises(InvalidInput, match="otel_endpoint"):
        Settings.load(home=home, otel_endpoint=url)


def test_a_line_that_is_no_header_is_refused() -> None:
    assert opening.headers_of("a=b\n\n c = d=e\n") == {"a": "b", "c": "d=e"}
    with pytest.raises(InvalidInput, match="no header"):
        opening.headers_of("a=b\nwhat\n")


def test_the_name_that_collectors_know_is_taken_and_ours_goes_before_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://theirs:4318")
    assert Settings.load(home=home).otel_endpoint == "http://theirs:4318"
    monkeypatch.setenv("MAESTRO_OTEL_ENDPOINT", "http://ours:4318")
    assert Settings.load(home=home).otel_endpoint == "http://ours:4318"


@pytest.mark.parametrize(
    ("name", "value", "setting", "meant"),
    [("LLM_MAX_RETRIES", "5", "llm_max_retries", 5), ("LLM_REQUEST_TIMEOUT", "7", "llm_request_timeout_s", 7),
     ("LLM_ENABLE_FALLBACK", "false", "failover_enabled", False)],
)  # fmt: skip
def test_a_name_of_others_means_our_setting(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, setting: str, meant: object
) -> None:
    monkeypatch.setenv(name, value)
    assert getattr(Settings.load(home=home), setting) == meant
    monkeypatch.setenv(name, "much")
    with pytest.raises(InvalidInput) as refused:
        Settings.load(home=home)
    assert refused.value.field == name
