"""The audit log: what is written before a verb is tried, by whom, and what breaks its chain."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import orjson
import pytest

from maestro.budget.vector import BudgetVector
from maestro.continuation.envelope import Seal
from maestro.continuation.goal import GoalFrame
from maestro.errors import MaestroError
from maestro.ids import TenantId
from maestro.runtime import audit, residence, steer, verbs
from maestro.runtime.audit import AuditLog, Auditor, AuditRecord, Broken, Seen, Tail
from maestro.runtime.backend import Backend
from maestro.runtime.verbs import Installation, Start
from tests.contract.support import SEAL, money

SECRET = "correct horse battery staple"


def installed(backend: Backend, who: str = "ada@desk") -> Installation:
    auditor = Auditor(backend.audit, SEAL, backend.tenant, who, "cli")
    return Installation(backend, SEAL, money(usd=1_000_000), audit=auditor)


def scout() -> Start:
    return Start("scout", GoalFrame(goal=f"Look for {SECRET}."), name="eve")


async def written(backend: Backend) -> list[AuditRecord]:
    return await audit.records(backend.audit)


async def verified(backend: Backend, log: AuditLog | None = None, seen: Seen | None = None) -> Seen | Broken:
    return await audit.verify(log or backend.audit, SEAL, backend.tenant, seen)


async def test_each_verb_is_written_before_it_is_tried_with_who_when_and_on_what(backend: Backend) -> None:
    at = installed(backend)
    cid = await verbs.start(at, scout())
    await steer.rebudget(at, cid, more=BudgetVector({"usd": 500_000}), key="k1")
    await steer.freeze(at, cid, reason="looks odd")
    found = await written(backend)
    assert [(one.number, one.verb, one.outcome) for one in found] == [
        (1, "start", "asked"),
        (2, "start", "done"),
        (3, "rebudget", "asked"),
        (4, "freeze", "asked"),
    ]
    assert (found[1].on, found[1].refers) == (cid, 1)
    assert found[2].told == {"more": {"usd": 500_000}, "key": "k1"}
    assert found[3].told == {"reason": "looks odd"}
    assert {(one.who, one.door, one.tenant) for one in found} == {("ada@desk", "cli", backend.tenant)}
    assert abs(found[3].at_ms - await backend.clock.now_ms()) < 60_000
    assert await verified(backend) == Seen(4, (await tail_seal(backend)))


async def test_a_verb_that_is_refused_is_written_with_the_reason(backend: Backend) -> None:
    at = installed(backend)
    with pytest.raises(MaestroError):
        await residence.undrain(at, "not a node")
    asked, refused = await written(backend)
    assert (asked.verb, asked.on, asked.outcome) == ("undrain", "not a node", "asked")
    assert (refused.outcome, refused.refers) == ("refused", 1)
    assert refused.told == {"code": "invalid_input"}


async def test_bodies_of_messages_are_not_in_it_and_two_of_them_differ(backend: Backend) -> None:
    at = installed(backend)
    cid = await verbs.start(at, scout())
    await verbs.send(at, cid, {"password": SECRET}, subject="keys")
    await verbs.send(at, cid, {"password": SECRET + "!"}, subject="keys")
    assert SECRET.encode() not in b"".join(await backend.audit.read(0, 100))
    *_, first, second = await written(backend)
    assert first.told == second.told == {"subject": "keys"}
    assert first.given != second.given


async def test_what_actors_and_loops_do_is_not_in_it(backend: Backend) -> None:
    at = replace(installed(backend), audit=None)
    await verbs.start(at, scout())
    assert await written(backend) == []


async def test_many_at_two_doors_at_once_make_one_whole_chain(backend: Backend) -> None:
    ada, bob = installed(backend), installed(backend, "bob@door")
    await asyncio.gather(*(steer.freeze_all(at, reason=str(n)) for n in range(20) for at in (ada, bob)))
    found = await written(backend)
    assert [one.number for one in found] == list(range(1, 41))
    assert {one.who for one in found} == {"ada@desk", "bob@door"}
    assert isinstance(await verified(backend), Seen)


async def test_a_line_is_not_written_where_another_came_between(backend: Backend) -> None:
    assert await backend.audit.append(0, [b"one"])
    assert not await backend.audit.append(0, [b"two"])
    assert await backend.audit.append(1, [b"two", b"three"])
    found = await backend.audit.tail()
    assert (found.count, found.last) == (3, b"three")
    assert await backend.audit.read(1, 1) == [b"two"]


class Doctored:
    """A log as somebody left it who can write to the store, and has not our key."""

    def __init__(self, lines: Sequence[bytes]) -> None:
        self.lines = list(lines)

    async def tail(self) -> Tail:
        raise AssertionError("nobody writes to it")

    async def append(self, count: int, lines: Sequence[bytes]) -> bool:
        raise AssertionError("nobody writes to it")

    async def read(self, first: int, limit: int) -> Sequence[bytes]:
        return self.lines[first : first + limit]


def rewritten(line: bytes, **changes: object) -> bytes:
    mac, _, body = line.partition(b" ")
    return mac + b" " + orjson.dumps({**orjson.loads(body), **changes}, option=orjson.OPT_SORT_KEYS)


def resealed(line: bytes, **changes: object) -> bytes:
    """The same, sealed by whoever has a key, but not ours."""
    body = rewritten(line, **changes).partition(b" ")[2]
    return Seal(b"another key of thirty-two bytes!!").sign(b"audit\0" + body).encode() + b" " + body


async def ten(backend: Backend) -> list[bytes]:
    at = installed(backend)
    for number in range(10):
        await steer.freeze_all(at, reason=str(number))
    return list(await backend.audit.read(0, 100))


async def tail_seal(backend: Backend) -> str:
    return (await backend.audit.tail()).last.partition(b" ")[0].decode()


async def test_the_first_broken_link_is_named(backend: Backend) -> None:
    lines = await ten(backend)
    swapped = [*lines[:3], lines[4], lines[3], *lines[5:]]
    for doctored, number, why in [
        ([*lines[:3], rewritten(lines[3], who="nobody"), *lines[4:]], 4, "was changed"),
        ([*lines[:3], resealed(lines[3], who="nobody"), *lines[4:]], 4, "another key"),
        ([*lines[:3], *lines[4:]], 4, "is missing: record 5 stands there"),
        (lines[1:], 1, "is missing: record 2 stands there"),
        (swapped, 4, "is missing: record 5 stands there"),
        ([*lines[:3], b"nonsense", *lines[4:]], 4, "was changed"),
        ([*lines, lines[9]], 11, "is missing: record 10 stands there"),
    ]:
        found = await verified(backend, Doctored(doctored))
        assert isinstance(found, Broken), why
        assert (found.number, why in found.why) == (number, True), found


async def test_a_record_of_another_history_does_not_follow(backend: Backend) -> None:
    """All seals are ours: somebody put the fourth record of a copy of this store into it."""
    lines = await ten(backend)
    record = AuditRecord.model_validate_json(lines[3].partition(b" ")[2])
    other = record.model_copy(update={"previous": "0" * 64})
    line = SEAL.sign(b"audit\0" + other.body()).encode() + b" " + other.body()
    found = await verified(backend, Doctored([*lines[:3], line, *lines[4:]]))
    assert found == Broken(4, "does not follow the one before it")


async def test_a_tail_that_was_cut_off_is_missed_by_who_has_seen_it(backend: Backend) -> None:
    lines = await ten(backend)
    seen = await verified(backend)
    assert isinstance(seen, Seen)
    assert isinstance(await verified(backend, Doctored(lines[:8])), Seen), "the chain itself cannot tell"
    assert await verified(backend, Doctored(lines[:8]), seen) == Broken(9, "is gone: 10 were seen here")
    other = Seen(10, "0" * 64)
    assert await verified(backend, None, other) == Broken(10, "is another than the one that was seen here")


async def test_a_log_of_another_tenant_is_not_ours(backend: Backend) -> None:
    lines = await ten(backend)
    found = await audit.verify(Doctored(lines), SEAL, TenantId("umbrella"))
    assert found == Broken(1, "belongs to the tenant acme")
