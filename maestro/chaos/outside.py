"""The world outside, as far as a run can see it: it counts what was really done, on its own side.

A keyed act has one effect per key, however often it is asked for; an unsafe one has an effect each time.
Invariant: what it counted is never taken back; nobody but it knows.
"""

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from pydantic import JsonValue

from maestro.chaos.workload import PRICE_USD_MICROS
from maestro.testing.provider import FakeProvider, Say

POLL_S = 0.05
INPUT_TOKENS, OUTPUT_TOKENS = 20, 5
CALL_USD_MICROS = INPUT_TOKENS + 5 * OUTPUT_TOKENS
"""Of one model call, at the prices of the fake provider."""


class Outside:
    """A server on a loopback port of its own, and a model provider beside it."""

    def __init__(self) -> None:
        self.unsafe_calls: Counter[str] = Counter()
        self.keyed_calls: Counter[str] = Counter()
        self._keys: dict[str, set[str]] = {}
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.outside = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(POLL_S,), name="world-outside")
        self._thread.start()
        self.provider = FakeProvider(default=Say("so be it", input_tokens=INPUT_TOKENS, output_tokens=OUTPUT_TOKENS))

    @property
    def port(self) -> int:
        return int(self._server.server_port)

    def act(self, what: str, key: str, kind: str) -> dict[str, JsonValue]:
        """It is done."""
        with self._lock:
            if kind == "unsafe":
                self.unsafe_calls[what] += 1
                return {"done": self.unsafe_calls[what]}
            self.keyed_calls[what] += 1
            self._keys.setdefault(what, set()).add(key)
            return {"done": len(self._keys[what])}

    def was_done(self, what: str) -> bool:
        return bool(self.unsafe_calls[what])

    def counted(self) -> dict[str, JsonValue]:
        """What it saw, for the annals."""
        with self._lock:
            effects = {what: len(keys) for what, keys in self._keys.items()}
            acts = sum(self.unsafe_calls.values()) + sum(effects.values())
            return {
                "unsafe_calls": dict(self.unsafe_calls),
                "keyed_effects": dict(effects),
                "keyed_calls": sum(self.keyed_calls.values()),
                "model_calls": len(self.provider.calls),
                "dearest_call_usd_micros": CALL_USD_MICROS,
                "billed_usd_micros": acts * PRICE_USD_MICROS + self.provider.billed_usd_micros,
            }

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self.provider.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # server_close joins them
    outside: Outside


class _Handler(BaseHTTPRequestHandler):
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]  # it is made for this server alone
    timeout = 5

    def log_message(self, format: str, *args: object) -> None:
        """What was done is counted; nothing is printed."""

    def do_POST(self) -> None:  # the name is the parent's
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        told = json.dumps(self.server.outside.act(asked["what"], asked["key"], asked["kind"])).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(told)))
        self.send_header("connection", "close")
        self.end_headers()
        try:
            self.wfile.write(told)
        except OSError:
            self.close_connection = True  # whoever asked has died; it is done all the same
