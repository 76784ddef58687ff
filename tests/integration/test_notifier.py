"""Whoever may approve is told over real HTTP; whatever becomes of that, the wait stays open and says so."""

import json
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from maestro.adapters.memory.backend import MemoryBackend
from maestro.adapters.webhook.notifier import WebhookNotifier
from maestro.clock import ManualClock
from maestro.continuation.directive import Closing, Finish, Sleep, Wait
from maestro.continuation.lifecycle import Status
from maestro.continuation.mail import Mail
from maestro.continuation.wait import ApprovalResolution, parts
from maestro.ids import ContinuationId
from maestro.runtime import verbs
from maestro.runtime.herald import Herald
from maestro.tick.behaviour import Behaviour, NoState
from maestro.tick.context import Tick
from tests.stage import Stage

RAN: list[str] = []


class Buyer(Behaviour[NoState]):
    async def start(self, tick: Tick[NoState]) -> Closing | None:
        return self._ask(tick)

    async def on_message(self, tick: Tick[NoState], message: Mail) -> Closing | None:
        RAN.append("message")
        return self._ask(tick)

    async def on_approval(self, tick: Tick[NoState], approval: Mail) -> Closing | None:
        RAN.append("approval")
        return Finish()

    def _ask(self, tick: Tick[NoState]) -> Closing:
        return Wait.any_of(tick.ask_approval("buy", {"usd": 5}, approvers=["ann", "bob"]), Sleep.until_woken())


class Receiver:
    """A server that answers as its script says, 200 when that is over, and keeps what it was sent."""

    def __init__(self, *script: int) -> None:
        self.got: list[tuple[str, dict[str, Any]]] = []
        receiver, answers = self, list(script)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.got.append((self.headers["Idempotency-Key"], body))
                self.send_response(answers.pop(0) if answers else 200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    RAN.clear()
    stage = Stage(MemoryBackend(1, ManualClock()), Buyer)
    yield stage
    await stage.audit()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


async def looked(stage: Stage, url: str) -> Herald:
    """A herald has looked once, and what followed has settled."""
    async with httpx.AsyncClient() as client:
        herald = Herald(stage.backend, WebhookNotifier(url, client, pauses_s=(0.0, 0.0)))
        await herald.step()
    await stage.settle()
    return herald


async def asked(stage: Stage, cid: ContinuationId) -> ApprovalResolution:
    wait = (await stage.checkpoint(cid)).wait
    assert wait is not None
    return next(part for part in parts(wait) if isinstance(part, ApprovalResolution))


@pytest.mark.spec("01.18")
async def test_the_approvers_are_told_once_and_no_code_runs(stage: Stage, receiver: Receiver) -> None:
    cid = await stage.start(Buyer)
    await stage.settle()
    for _ in range(3):
        await looked(stage, receiver.url)
    ((_, body),) = receiver.got
    assert (body["continuation"], body["action"], body["arguments"]) == (cid, "buy", {"usd": 5})
    assert (body["approvers"], body["on_timeout"]) == (["ann", "bob"], "expire")
    assert (await asked(stage, cid)).notified == "told"
    assert RAN == []
    events = [json.loads(event) for event in await stage.backend.records.events(verbs.partitions(stage.at)[0])]
    assert [event["type"] for event in events] == ["notification.told"]


@pytest.mark.spec("01.18")
async def test_a_failing_notifier_leaves_the_wait_open_and_visible(stage: Stage) -> None:
    closed = Receiver()
    closed.close()
    cid = await stage.start(Buyer)
    await stage.settle()
    herald = await looked(stage, closed.url)
    assert (herald.told, herald.failed) == (0, 1)
    wait = await asked(stage, cid)
    assert wait.notified is not None
    assert wait.notified.startswith("failed: the webhook did not take it: ConnectError")
    assert "its approvers: failed" in await stage.why(cid)
    rows = await stage.backend.records.waiting(verbs.partitions(stage.at)[0])
    assert b"failed: the webhook" in rows[cid]
    await verbs.decide(stage.at, cid, wait.approval_id, approved=True)
    await stage.settle()
    assert RAN == ["approval"]
    assert (await stage.checkpoint(cid)).status is Status.COMPLETED


async def test_a_receiver_that_stumbles_is_tried_again_under_the_same_key(stage: Stage) -> None:
    receiver = Receiver(500, 503)
    try:
        await stage.start(Buyer)
        await stage.settle()
        herald = await looked(stage, receiver.url)
    finally:
        receiver.close()
    assert (herald.told, len(receiver.got), len({key for key, _ in receiver.got})) == (1, 3, 1)


async def test_a_herald_that_died_before_its_mark_is_followed_by_one_that_uses_the_same_key(
    stage: Stage, receiver: Receiver
) -> None:
    await stage.start(Buyer)
    await stage.settle()
    async with httpx.AsyncClient() as client:
        for _ in range(2):  # the second looks before the mark of the first is committed
            await Herald(stage.backend, WebhookNotifier(receiver.url, client)).step()
    await stage.settle()
    assert len({key for key, _ in receiver.got}) == 1


async def test_a_mark_does_not_outlive_the_ask(stage: Stage, receiver: Receiver) -> None:
    cid = await stage.start(Buyer)
    await stage.settle()
    await looked(stage, receiver.url)
    await verbs.send(stage.at, cid, "go on asking")
    await stage.settle()
    await looked(stage, receiver.url)
    assert RAN == ["message"]
    assert len(receiver.got) == 1, "what goes on being asked is not told again"
