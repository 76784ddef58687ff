"""What a store remembers of tools: who fetches, what was fetched until its time is over, uses of a day."""

import asyncio

import pytest

from maestro.runtime.backend import Backend
from maestro.runtime.verbs import Installation, partitions
from maestro.tools.calls import Look
from maestro.tools.spec import DAY_MS
from tests.contract.support import SEAL, money

MINE, BUSY = Look("mine"), Look("busy")


async def counted(backend: Backend, name: str) -> int:
    at = Installation(backend, SEAL, money())
    return sum([(await backend.records.counts(p)).get(name, 0) for p in partitions(at)])


async def test_the_first_who_looks_fetches_and_the_others_wait(backend: Backend) -> None:
    looks = await asyncio.gather(*(backend.tools.look("key", f"call-{n}", 1_000) for n in range(5)))
    assert looks == [MINE, BUSY, BUSY, BUSY, BUSY]
    assert await backend.tools.look("key", "call-0", 1_000) == MINE, "a repeated call of the same effect goes on"
    assert await backend.tools.look("other", "call-1", 1_000) == MINE


async def test_what_was_fetched_is_there_for_all_until_its_time_is_over(backend: Backend) -> None:
    await backend.tools.look("key", "call-0", 1_000)
    await backend.tools.keep("key", "call-0", b'{"a": "\xc3\xa4"}', 5_000)
    await backend.steering.advance(3_000)
    assert await backend.tools.look("key", "call-1", 1_000) == Look("hit", b'{"a": "\xc3\xa4"}')
    assert await backend.tools.look("key", "call-2", 1_000, waited=True) == Look("hit", b'{"a": "\xc3\xa4"}')
    assert await backend.tools.look("key", "call-0", 1_000) == Look("hit", b'{"a": "\xc3\xa4"}')
    await backend.steering.advance(2_000)
    assert await backend.tools.look("key", "call-3", 1_000) == MINE

    told = {name: await counted(backend, f"tool_cache_{name}") for name in ("hits", "misses", "shared")}
    assert told == {"hits": 1, "misses": 2, "shared": 1}


async def test_a_claim_ends_with_its_lease_and_the_late_one_changes_nothing(backend: Backend) -> None:
    await backend.tools.look("key", "call-0", 1_000)
    await backend.steering.advance(1_000)
    assert await backend.tools.look("key", "call-1", 1_000) == MINE
    await backend.tools.keep("key", "call-0", b"late", 5_000)
    await backend.tools.let_go("key", "call-0")
    assert await backend.tools.look("key", "call-2", 1_000) == BUSY
    await backend.tools.keep("key", "call-1", b"right", 5_000)
    assert await backend.tools.look("key", "call-2", 1_000) == Look("hit", b"right")


async def test_a_claim_that_is_let_go_of_is_free_and_a_result_stays(backend: Backend) -> None:
    await backend.tools.look("key", "call-0", 60_000)
    await backend.tools.let_go("key", "call-0")
    assert await backend.tools.look("key", "call-1", 60_000) == MINE
    await backend.tools.keep("key", "call-1", b"1", 60_000)
    await backend.tools.let_go("key", "call-1")
    assert await backend.tools.look("key", "call-2", 60_000) == Look("hit", b"1")


@pytest.mark.parametrize("tool", ["fetch", "send.mail"])
async def test_so_many_uses_a_day_and_one_per_call(backend: Backend, tool: str) -> None:
    taken = [await backend.tools.take(tool, call, 2) for call in ("a", "a", "b", "c", "a")]
    assert taken == [True, True, True, False, True]
    assert await backend.tools.take("another", "c", 2)
    await backend.steering.advance(DAY_MS)
    assert [await backend.tools.take(tool, call, 2) for call in ("c", "d", "e")] == [True, True, False]
