"""A tick that ends its process each time: the tries are counted beyond every death, and the fourth is none."""

from collections.abc import Iterator

import pytest

from maestro.adapters.redis.backend import open_backend
from maestro.continuation.directive import Closing
from maestro.continuation.lifecycle import Hold
from maestro.continuation.mail import Kind, Mail
from maestro.ids import HolderId, MailId, TenantId
from maestro.tick.behaviour import Behaviour, NoState
from maestro.tick.context import Tick
from maestro.tick.runner import MAX_TRIES
from tests.chaos.arena import own_redis
from tests.chaos.redis_server import OwnRedis
from tests.stage import LEASE_MS, Stage

RUN: list[str] = []


class Poisoned(Behaviour[NoState]):
    async def on_message(self, tick: Tick[NoState], message: Mail) -> Closing | None:
        RUN.append(tick.id)
        return None


@pytest.fixture
def redis() -> Iterator[OwnRedis]:
    yield from own_redis()


async def test_after_three_processes_died_with_it_it_is_held_and_its_code_does_not_run(redis: OwnRedis) -> None:
    """After each death the store is killed -9, too: neither process remembers, and the count is still there."""
    backend = await open_backend(redis.url, TenantId("poison"), virtual=True)
    stage = Stage(backend, Poisoned)
    cid = await stage.start(Poisoned)
    await stage.settle()
    await backend.store.deliver(
        cid, Mail(id=MailId("m"), kind=Kind.MESSAGE, sender="a test", sent_ms=await backend.clock.now_ms())
    )
    for number in range(1, MAX_TRIES + 1):
        adopted = await stage.adopt(HolderId(f"dead-{number}"))
        assert adopted is not None
        assert adopted.tries == number
        await backend.close()
        redis.kill()
        redis.start()
        backend = await open_backend(redis.url, TenantId("poison"), virtual=True)
        stage = Stage(backend, Poisoned)
        await stage.advance(LEASE_MS + 1)
        await stage.reaper.step()
    await stage.tick()
    assert RUN == []
    after = await stage.checkpoint(cid)
    assert (after.hold, after.terminal) == (Hold.QUARANTINED, False)
    assert "tries ended without a word" in await stage.why(cid)
    assert (await stage.view(cid)).glance.unread == 1, "what it was about is still there"
    await backend.close()
