"""A model provider of one's own: a real HTTP server that speaks the wire formats of four providers, by script.

    with FakeProvider() as fake:
        fake.script(Status(429, retry_after_s=1), Say("hello"))
        os.environ["MAESTRO_TIER_HAIKU"] = "openai/fake"            # or anthropic/fake
        os.environ["MAESTRO_TIER_HAIKU_API_BASE"] = fake.openai_base  # or anthropic_base, foundry_base, bedrock_base

It counts on its own side: calls, repeated bodies, tokens and money that it would bill. When the script is used up,
it gives `default` for ever. Invariants: one request is one connection and one thread; nothing outlives `close`.
"""

import json
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from maestro.testing.formats import JsonObject, Refusal, Say, format_of
from maestro.testing.streams import content_type, frames, is_stream

__all__ = [
    "Act",
    "Cut",
    "Drop",
    "FakeProvider",
    "Hang",
    "JsonObject",
    "Junk",
    "Reply",
    "Say",
    "Seen",
    "Status",
    "Trickle",
]

_HEADERS = {"content-type": "application/json", "connection": "close"}
FRAMES_BEFORE_CUT = 4  # in each format that is behind the first words, and before any usage that counts
SLICE_S = 0.05  # how soon a hanging answer notices that the server closes


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer computed from the request's body."""

    of: Callable[[JsonObject], Say]


@dataclass(frozen=True, slots=True)
class Status:
    """An HTTP error."""

    code: int
    message: str = "scripted"
    retry_after_s: float | None = None
    kind: str | None = None
    """The error's code in the body, such as content_policy_violation."""


@dataclass(frozen=True, slots=True)
class Hang:
    """Nothing comes (with `after_headers`: only those) until the client goes away or the server closes."""

    after_headers: bool = False


@dataclass(frozen=True, slots=True)
class Trickle:
    """A good answer, one byte per `every_s`; it is billed."""

    every_s: float = 10.0
    say: Say = field(default_factory=Say)


@dataclass(frozen=True, slots=True)
class Cut:
    """A good answer that breaks off before its usage; it is billed."""

    say: Say = field(default_factory=Say)


@dataclass(frozen=True, slots=True)
class Drop:
    """The connection closes before any byte."""


@dataclass(frozen=True, slots=True)
class Junk:
    """Status 200 with these bytes; it is billed as `say`."""

    body: bytes = b"\xff\xfe not json"
    say: Say = field(default_factory=Say)


Act = Say | Reply | Status | Hang | Trickle | Cut | Drop | Junk


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived."""

    path: str
    headers: Mapping[str, str]
    body: JsonObject


class FakeProvider:
    """A scripted provider on a loopback port of its own."""

    def __init__(
        self,
        default: Act | None = None,
        input_micros_per_mtok: int = 1_000_000,
        output_micros_per_mtok: int = 5_000_000,
    ) -> None:
        self.default: Act = default or Say()
        self.calls: list[Seen] = []
        self.billed: list[Say] = []
        self._prices = (input_micros_per_mtok, output_micros_per_mtok)
        self._script: deque[Act] = deque()
        self._lock = threading.Lock()
        self.closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.fake = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(SLICE_S,), name="fake-provider")
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def openai_base(self) -> str:
        return f"{self.url}/v1"

    @property
    def anthropic_base(self) -> str:
        return self.url

    @property
    def foundry_base(self) -> str:
        return f"{self.url}/anthropic"

    @property
    def bedrock_base(self) -> str:
        return self.url

    @property
    def billed_tokens(self) -> int:
        return sum(say.input_tokens + say.output_tokens for say in self.billed)

    @property
    def billed_usd_micros(self) -> int:
        """Its bill, each answer rounded up to a whole micro-dollar."""
        return sum(-(-self._price(say) // 1_000_000) for say in self.billed)

    @property
    def repeats(self) -> int:
        """How many requests had a body that had come before."""
        bodies = Counter(json.dumps(seen.body, sort_keys=True) for seen in self.calls)
        return sum(count - 1 for count in bodies.values())

    def script(self, *acts: Act) -> None:
        """The next calls get these, in order."""
        with self._lock:
            self._script.extend(acts)

    def close(self) -> None:
        """The server is gone, and what it hung with it."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def take(self, seen: Seen) -> Act:
        """What this request gets; counted."""
        with self._lock:
            self.calls.append(seen)
            return self._script.popleft() if self._script else self.default

    def _price(self, say: Say) -> int:
        """Cached input costs a tenth, input that is put into the cache a quarter more."""
        into, out = self._prices
        cached = say.cache_read_tokens * into // 10 + say.cache_creation_tokens * into * 5 // 4
        return say.plain_tokens * into + cached + say.output_tokens * out

    def bill(self, say: Say) -> None:
        with self._lock:
            self.billed.append(say)


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # server_close joins them
    request_queue_size = 1_024  # a crowd comes at once
    fake: FakeProvider


class _Handler(BaseHTTPRequestHandler):
    """One connection: reads a request, acts one act out."""

    protocol_version = "HTTP/1.1"
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]  # it is made for this server alone
    timeout = 5  # seconds for a client to send its request

    def log_message(self, format: str, *args: object) -> None:
        """The calls are kept; nothing is printed."""

    def do_POST(self) -> None:  # the name is the parent's
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        act = self.server.fake.take(Seen(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        try:
            self._perform(act.of(body) if isinstance(act, Reply) else act, body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client went away: that is what some acts are about

    def _perform(self, act: Act, body: JsonObject) -> None:
        if is_stream(self.path, body) and isinstance(act, Say | Cut | Trickle):
            self._stream(act, body)
            return
        match act:
            case Say():
                self.server.fake.bill(act)
                self._send(200, self._answer(act, body), self._wire(act, body)[1])
            case Status():
                self._refuse(act)
            case Hang(after_headers=after_headers):
                if after_headers:
                    self._head(200, 1_000)
                self._hold()
            case Trickle(every_s=every_s, say=say):
                self.server.fake.bill(say)
                self._trickle(self._answer(say, body), every_s)
            case Cut(say=say):
                self.server.fake.bill(say)
                answer = self._answer(say, body)
                self._head(200, len(answer))
                self.wfile.write(answer[: answer.index(b'"usage"')])
                self.close_connection = True
            case Junk(body=junk, say=say):
                self.server.fake.bill(say)
                self._send(200, junk)
            case Drop() | Reply():
                self.close_connection = True

    def _answer(self, say: Say, body: JsonObject) -> bytes:
        return json.dumps(self._wire(say, body)[0]).encode()

    def _wire(self, say: Say, body: JsonObject) -> tuple[JsonObject, dict[str, str]]:
        return format_of(self.path).answer(say, body)

    def _refuse(self, act: Status) -> None:
        error, headers = format_of(self.path).refusal(Refusal(act.code, act.message, act.kind))
        retry = {} if act.retry_after_s is None else {"retry-after": f"{act.retry_after_s:g}"}
        self._send(act.code, json.dumps(error).encode(), headers | retry)

    def _send(self, code: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self._head(code, len(body), headers)
        self.wfile.write(body)

    def _head(self, code: int, length: int, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(code)
        for name, text in (_HEADERS | {"content-length": str(length)} | dict(headers or {})).items():
            self.send_header(name, text)
        self.end_headers()
        self.close_connection = True

    def _trickle(self, answer: bytes, every_s: float) -> None:
        self._head(200, len(answer))
        for place in range(len(answer)):
            self.wfile.write(answer[place : place + 1])
            if self.server.fake.closing.wait(every_s):
                break
        self.close_connection = True

    def _stream(self, act: "Say | Cut | Trickle", body: JsonObject) -> None:
        """An answer in frames, each a chunk of its own; one that is cut ends behind its first words."""
        say = act if isinstance(act, Say) else act.say
        self.server.fake.bill(say)
        self.send_response(200)
        for name, text in (("content-type", content_type(self.path)), ("transfer-encoding", "chunked")):
            self.send_header(name, text)
        self.end_headers()
        self.close_connection = True
        sent = frames(self.path, say, body)
        for frame in sent[: FRAMES_BEFORE_CUT if isinstance(act, Cut) else None]:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(frame), frame))
            if isinstance(act, Trickle) and self.server.fake.closing.wait(act.every_s):
                return
        if not isinstance(act, Cut):
            self.wfile.write(b"0\r\n\r\n")

    def _hold(self) -> None:
        """Returns when the client has gone away or the server closes."""
        self.connection.settimeout(SLICE_S)
        while not self.server.fake.closing.is_set():
            try:
                if not self.connection.recv(1):
                    break
            except TimeoutError:
                continue
        self.close_connection = True
