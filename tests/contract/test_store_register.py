"""The register of the edge, and what its readers ask of the records: how far a feed reaches back, who is being held."""

import asyncio

from maestro.ids import Partition, TimeMs
from maestro.runtime.backend import Backend
from tests.contract.support import ALICE, World


async def test_a_note_is_added_once_and_put_over_and_taken_once(backend: Backend) -> None:
    register = backend.register
    assert await register.add("token", "a", b"one") is None
    assert await register.add("token", "a", b"two") == b"one"
    assert await register.get("token", "a") == b"one"
    assert await register.get("other", "a") is None
    assert await register.add("bare", "a", b"") is None
    assert (await register.get("bare", "a"), await register.add("bare", "a", b"late")) == (b"", b""), "it says nothing"
    await register.put("token", "a", b"three")
    await register.put("token", "b", b"\x00\xff")
    assert dict(await register.all("token")) == {"a": b"three", "b": b"\x00\xff"}
    taken = await asyncio.gather(*(register.take("token", "a") for _ in range(5)))
    assert (taken.count(b"three"), taken.count(None)) == (1, 4)
    assert await register.get("token", "a") is None


async def test_a_note_with_an_end_is_not_there_behind_it(backend: Backend) -> None:
    register, now_ms = backend.register, await backend.clock.now_ms()
    await register.put("code", "short", b"x", TimeMs(now_ms + 1_000))
    await register.put("code", "long", b"y", TimeMs(now_ms + 100_000))
    assert await register.get("code", "short") == b"x"
    await backend.steering.advance(1_500)
    assert await register.get("code", "short") is None
    assert await register.take("code", "short") is None
    assert dict(await register.all("code")) == {"long": b"y"}
    assert await register.add("code", "short", b"again") is None
    await backend.steering.advance(1_000_000)
    assert dict(await register.all("code")) == {"short": b"again"}, "without an end it stays"


async def test_a_feed_tells_how_far_it_reaches(world: World) -> None:
    records = world.backend.records
    cid = await world.root()
    part = Partition(int(cid.rsplit("-", 1)[1], 36))
    oldest, newest = await records.span(part)
    facts = await records.feed(part)
    assert (oldest, newest) == (facts[0].position, facts[-1].position)
    for other in range(world.backend.partitions):
        if other != part:
            assert await records.span(Partition(other)) == ("0-0", "0-0")


async def test_who_is_held_is_told_with_who_holds_it(world: World) -> None:
    cid = await world.root()
    part = Partition(int(cid.rsplit("-", 1)[1], 36))
    assert dict(await world.backend.leases.minding(part)) == {}
    await world.take()
    held = await world.backend.leases.minding(part)
    assert dict(held) == {cid: ALICE}
