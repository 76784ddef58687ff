"""Requests that nobody would write, drawn from the OpenAPI file: no answer of 500 and above, each as it is documented.

None takes longer than PATIENCE_S, and the slowest are printed. FUZZ_REQUESTS says how many in all (`make fuzz`:
20,000); a few hundred by default.
"""

import asyncio
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from time import monotonic
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from maestro.adapters.memory.backend import MemoryBackend
from tests.integration.api_support import House, house
from tests.pane_stage import Reader, Scout

REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "400"))
PATIENCE_S, ROUNDS = 30, 20
SEEN: Counter[str] = Counter()
SLOWEST: dict[str, float] = {}
"""Operation -> how long its slowest request took."""
ENDLESS = ("/stream",)
DOCUMENTED = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


class Server:
    """The API on a thread of its own, with something of everything in its store."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="api", daemon=True)
        self._thread.start()
        self._stack = AsyncExitStack()
        self.known: dict[str, list[str]] = {}
        self._asked = 0
        self.house, self.token = asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(60)

    async def _open(self) -> tuple[House, str]:
        here = await self._stack.enter_async_context(house(MemoryBackend()))
        await here.swarm.stage.start(Scout, "find", name="finder")
        for ask in ("approval", "question", "finish", "fail"):
            await here.swarm.stage.start(Reader, ask, input={"ask": ask})
        await here.moved()
        await here.swarm.publish()
        await here.moved()
        async with here.client("admin") as client:
            for kind in ("continuations", "waits", "findings"):
                self.known[kind] = [one["id"] for one in (await client.get(f"/v1/{kind}")).json()["items"]]
        return here, await here.token("admin")

    def aim(self, case: Any) -> None:
        """Three of four requests are about something that is there."""
        kind = next((kind for kind in ("waits", "findings") if f"/v1/{kind}/" in case.operation.path), "continuations")
        self._asked += 1
        if "id" in (case.path_parameters or {}) and self._asked % 4:
            ids = self.known[kind]
            case.path_parameters["id"] = ids[self._asked % len(ids)]

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._stack.aclose(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.mark.shows("8.5")
@pytest.mark.slow
@pytest.mark.timeout(3_000)
def test_no_request_brings_the_api_down_or_is_answered_otherwise_than_documented(server: Server) -> None:
    schema = schemathesis.openapi.from_url(f"{server.house.url}/openapi.json")
    found: Any = schema.get_all_operations()
    operations = [one for one in (each.ok() for each in found) if not one.path.endswith(ENDLESS)]
    for round_ in range(ROUNDS):  # some take no parameter, and are asked once a round
        missing = REQUESTS - sum(SEEN.values())
        for operation in operations if missing > 0 else ():
            _asked(server, operation, -(-missing // len(operations)), round_)
    print(f"\n{sum(SEEN.values())} requests: {dict(SEEN)}")
    for label, took_s in sorted(SLOWEST.items(), key=lambda one: -one[1])[:5]:
        print(f"slowest: {took_s:6.3f} s  {label}")
    assert sum(SEEN.values()) >= REQUESTS


def _asked(server: Server, operation: Any, times: int, round_: int) -> None:
    """So many requests of one operation, or as many as there are."""

    @seed(round_)
    @settings(
        max_examples=times,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        server.aim(case)
        begun = monotonic()
        answer = case.call(headers={"Authorization": f"Bearer {server.token}"}, timeout=PATIENCE_S)
        SLOWEST[operation.label] = max(SLOWEST.get(operation.label, 0), monotonic() - begun)
        SEEN[f"{answer.status_code}"] += 1
        assert answer.status_code < 500, (case.method, case.formatted_path, answer.text[:500])
        case.validate_response(answer, checks=DOCUMENTED)

    ask()
