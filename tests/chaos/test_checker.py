"""The checker: silent on a run in which all went well, and red on each promise that was not kept.

The run is real: a Redis, tellers that tick, exports as `maestro export` writes them, annals as the client writes them.
Each case doctors one thing in its evidence, as a defect would have left it.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import orjson
import pytest

from maestro.adapters.redis.backend import open_backend
from maestro.budget.ledger import Account
from maestro.chaos import annals as annals_of
from maestro.chaos.accounts import RULES, check
from maestro.chaos.annals import Annals, Note
from maestro.chaos.client import Client
from maestro.chaos.evidence import Evidence, Member, gathered
from maestro.chaos.outside import Outside
from maestro.chaos.run import figures_of, unrest
from maestro.chaos.workload import TOOLS, Books, Teller
from maestro.continuation.envelope import Seal
from maestro.errors import InvalidInput
from maestro.ids import ContinuationId, Rev, TenantId
from maestro.runtime import freight
from tests.chaos.redis_server import OwnRedis
from tests.stage import SEAL, Stage

TELLERS, WISHES, ROUNDS = 3, 60, 40
TIMERS_MS = 4_000


@dataclass(frozen=True, slots=True)
class Run:
    """The files of a run, read."""

    exports: tuple[bytes, ...]
    notes: tuple[Note, ...]

    @property
    def evidence(self) -> Evidence:
        return gathered(self.exports, self.notes, SEAL)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    redis = OwnRedis()
    try:
        yield asyncio.run(_run(redis, tmp_path_factory.mktemp("run")))
    finally:
        redis.close()


async def _run(redis: OwnRedis, folder: Path) -> Run:
    history = folder / "history.jsonl"
    backend = await open_backend(redis.url, TenantId("checked"), virtual=True)
    with Outside() as outside:
        annals = Annals(history)
        annals.tell("plan", floor_ticks=10, resumes_within_ms=60_000)
        stage = Stage(backend, Teller, tools=TOOLS)
        client = Client(stage.at, annals, outside, 1, f"http://127.0.0.1:{outside.port}/act")
        beginning = asyncio.create_task(client.begin(TELLERS))
        while not beginning.done():
            await stage.settle()
            await asyncio.sleep(0.01)
        for number in range(WISHES):
            await client.step()
            if number % 3 == 0:
                await stage.settle()
        for claimer in range(3):
            await client.claim(claimer)
            await client.be_stale()
        annals.tell("heal", fault="F0 nothing")
        for _ in range(ROUNDS):
            await stage.advance(TIMERS_MS)
            await stage.settle()
            if not await client.answer() and not await unrest(stage.at):
                break
        await client.look()
        annals.tell("settled", quiet=await unrest(stage.at) == "", took_s=0)
        annals.tell("workload_ends")
        annals.tell("processes", when="in the end", orphans=[], missing=[])
        annals.tell("outside", **outside.counted())
        exports = [await freight.export(stage.at, cid, "a checker", move=False) for cid in client.tellers]
        annals.tell("dead_letters", letters=[])
        annals.close()
    await backend.close()
    return Run(tuple(exports), tuple(annals_of.read(history.read_text().splitlines(keepends=True))))


def test_a_run_in_which_all_went_well_has_no_violation_and_something_of_everything(good: Run) -> None:
    evidence = good.evidence
    assert check(evidence) == []
    books = [member.books for member in evidence.tellers]
    for name in ("given", "events", "published", "timers_fired", "effects"):
        assert any(getattr(book, name) for book in books if book is not None), f"no {name}: nothing was tested"
    assert any(book.spawned and book.thoughts for book in books if book is not None)
    figures = figures_of(evidence)
    assert figures["stale_refused"]
    assert figures["unsafe_acts"]


Doctor = Callable[[Evidence], Evidence]


def note(evidence: Evidence, phase: annals_of.Phase, what: str, **facts: object) -> Evidence:
    """One line more."""
    last = evidence.notes[-1].at_ms
    added = Note(at_ms=last, op=0 if phase == "info" else 9_000, phase=phase, what=what, facts=facts)  # type: ignore[arg-type]
    return Evidence(evidence.members, (*evidence.notes, added), evidence.broken)


def told(evidence: Evidence, what: str, **facts: object) -> Evidence:
    """An operation more, that was acknowledged."""
    asked = {name: value for name, value in facts.items() if name in ("cid", "to", "key", "subject", "name", "epoch")}
    answered = {name: value for name, value in facts.items() if name not in asked}
    return note(note(evidence, "invoke", what, **asked), "ok", what, **answered)


def changed(evidence: Evidence, change: Callable[[Member], Member], number: int = 0) -> Evidence:
    """One teller otherwise."""
    victim = evidence.tellers[number]
    members = tuple(change(each) if each.cid == victim.cid else each for each in evidence.members)
    return Evidence(members, evidence.notes, evidence.broken)


def books(change: Callable[[Books], Books]) -> Doctor:
    """The books of one teller otherwise."""

    def rewritten(member: Member) -> Member:
        assert member.books is not None
        state = change(member.books).model_dump(mode="json")
        return replace(member, checkpoint=member.checkpoint.model_copy(update={"state": state}))

    return lambda evidence: changed(evidence, rewritten)


def spent(member: Member, **fields: int) -> Member:
    account = member.ledger.account("usd")
    new = Account(**({name: getattr(account, name) for name in ("granted", "reserved", "spent", "lent")} | fields))
    return replace(member, ledger=replace(member.ledger, accounts={**member.ledger.accounts, "usd": new}))


def without_last_tick(member: Member) -> Member:
    """As if its last commit had been lost, checkpoint and all."""
    return replace(
        member, rev=Rev(member.rev - 1), bodies=member.bodies[:-1], records=member.records[:-1],
        committed_ms=member.committed_ms[:-1],
    )  # fmt: skip


def backwards(member: Member) -> Member:
    last = member.records[-1].model_copy(update={"epoch": 0})
    return replace(member, records=(*member.records[:-1], last))


def counted(evidence: Evidence, **changes: object) -> Evidence:
    """The world outside says something else."""
    return note(evidence, "info", "outside", **{**evidence.last("outside"), **changes})


def without_events(book: Books) -> Books:
    return book.model_copy(update={"events": []})


def deaf(evidence: Evidence) -> Evidence:
    """As if no event had ever reached one teller."""

    def unheard(member: Member) -> Member:
        kept = (tuple(note for note in record.consumed if note.kind != "event") for record in member.records)
        records = (r.model_copy(update={"consumed": c}) for r, c in zip(member.records, kept, strict=True))
        return replace(member, records=tuple(records))

    return changed(books(without_events)(evidence), unheard)


DOCTORED: dict[str, tuple[str, Doctor]] = {
    "a commit that was seen is lost": ("I1", lambda e: changed(e, without_last_tick)),
    "a start that was acknowledged is nowhere": ("I1", lambda e: note(
        note(e, "invoke", "start", name="x"), "ok", "start", cid="01nobody-0")),
    "a message that was acknowledged is nowhere": ("I1", lambda e: told(e, "send", to=e.tellers[0].cid, mail="mail-x")),
    "a record is missing": ("I2", lambda e: changed(e, lambda m: replace(m, records=m.records[:1] + m.records[2:]))),
    "a mail is consumed twice": ("I2", lambda e: changed(e, lambda m: replace(m, records=(*m.records, m.records[-1])))),
    "an epoch falls": ("I3", lambda e: changed(e, backwards)),
    "a stale write was taken": ("I3", lambda e: told(e, "stale", cid=e.tellers[0].cid, epoch=1)),
    "an event is applied twice": ("I4", books(lambda b: b.model_copy(update={"events": [*b.events, b.events[0]]}))),
    "an event that nobody published": ("I4", books(lambda b: b.model_copy(update={"events": [*b.events, "x"]}))),
    "a unit vanishes": ("I4", books(lambda b: b.model_copy(update={"units": b.units - 1}))),
    "a gift does not arrive": ("I4", books(lambda b: b.model_copy(
        update={"given": {peer: gifts + 1 for peer, gifts in b.given.items()}}))),
    "a message out of order": ("I4", books(lambda b: b.model_copy(update={"wrong": ["I4: message 3 came after 1"]}))),
    "an event is consumed and not applied": ("I4", books(without_events)),
    "an event vanishes": ("I5", deaf),
    "a timer is early": ("I6", books(lambda b: b.model_copy(
        update={"timers_fired": dict.fromkeys(b.timers_fired, 1)}))),
    "a timer never fires": ("I6", books(lambda b: b.model_copy(update={"timers_fired": {}}))),
    "more is spent than was granted": ("I7", lambda e: changed(e, lambda m: spent(m, spent=10**12))),
    "a reservation that nobody made": ("I7", lambda e: changed(e, lambda m: spent(m, reserved=5))),
    "money that no child has": ("I7", lambda e: changed(e, lambda m: spent(m, lent=m.ledger.account("usd").lent + 1))),
    "a bill that no ledger knows": ("I7", lambda e: counted(e, billed_usd_micros=10**9)),
    "a bill that no pager died over": ("I7", lambda e: counted(
        e, billed_usd_micros=sum(member.ledger.account("usd").spent for member in e.members) + 1)),
    "an unsafe act is done twice": ("I8", lambda e: counted(e, unsafe_calls={"pay:1": 2})),
    "a keyed act has two effects": ("I8", lambda e: counted(e, keyed_effects={"credit:1": 2})),
    "an act is said to be done and was not": ("I8", books(lambda b: b.model_copy(update={"effects": ["never"]}))),
    "it never comes to rest": ("I9", lambda e: note(e, "info", "settled", quiet=False, why="x is held")),
    "nothing would ever wake it": ("I9", lambda e: changed(
        e, lambda m: replace(m, checkpoint=m.checkpoint.model_copy(update={"wait": None})))),
    "an orphan lives": ("I9", lambda e: note(e, "info", "processes", when="in the end", orphans=["worker 7"])),
    "a process is missing": ("I9", lambda e: note(e, "info", "processes", when="in the end", missing=["loops"])),
    "the log leads elsewhere": ("I10", lambda e: changed(
        e, lambda m: replace(m, checkpoint=m.checkpoint.model_copy(update={"turns": 99})))),
    "a record was changed": ("I10", lambda e: changed(
        e, lambda m: replace(m, bodies=(m.bodies[0], m.bodies[1].replace(b"rev", b"Rev"), *m.bodies[2:])))),
    "a claim is given twice": ("I11", lambda e: told(e, "take", name="chaos-0", epoch=1, granted=True)),
    "hardly anything happened": ("I12", lambda e: note(e, "info", "plan", floor_ticks=10**6, resumes_within_ms=60_000)),
    "nothing happened after a heal": ("I12", lambda e: note(note(e, "info", "heal", fault="F1"), "info", "plan",
        floor_ticks=1, resumes_within_ms=0)),
}  # fmt: skip


@pytest.mark.parametrize("what", DOCTORED)
def test_it_is_red_when(good: Run, what: str) -> None:
    invariant, doctor = DOCTORED[what]
    violations = check(doctor(good.evidence))
    assert invariant in {violation.invariant for violation in violations}, violations
    assert all(violation.proof for violation in violations)


def test_every_invariant_has_a_case_that_makes_it_red() -> None:
    assert {invariant for invariant, _ in DOCTORED.values()} == set(RULES)


def test_a_changed_byte_of_an_export_breaks_its_seal(good: Run) -> None:
    spoilt = good.exports[0].replace(b"keep books", b"keep Books", 1)
    violations = check(gathered((spoilt, *good.exports[1:]), good.notes, SEAL))
    assert any("seal" in violation.proof for violation in violations)
    assert check(gathered(good.exports, good.notes, Seal(b"another key"))), "and so does another key"


def test_an_export_that_is_missing_is_a_start_that_was_lost(good: Run) -> None:
    assert "I1" in {each.invariant for each in check(gathered(good.exports[1:], good.notes, SEAL))}


def test_a_record_that_cannot_be_read_is_evidence_and_no_error(good: Run) -> None:
    lines = good.exports[0].splitlines()
    shipped = orjson.loads(lines[1])
    shipped["log"][-1][1] = "{}"
    spoilt = b"\n".join([lines[0], orjson.dumps(shipped), *lines[2:]]) + b"\n"
    found = gathered((spoilt, *good.exports[1:]), good.notes, None)
    assert found.broken
    assert "I10" in {violation.invariant for violation in check(found)}


def test_a_history_whose_writer_was_killed_in_a_line_is_read_up_to_it(good: Run) -> None:
    lines = [note.model_dump_json() + "\n" for note in good.notes]
    assert annals_of.read([*lines, '{"at_ms": 1, "op"']) == list(good.notes)
    with pytest.raises(InvalidInput) as refused:
        annals_of.read(["no json\n", *lines])
    assert "line 1" in str(refused.value)


def test_an_operation_that_never_returned_is_unknown() -> None:
    (deed,) = annals_of.deeds([Note(at_ms=1, op=1, phase="invoke", what="send")])
    assert (deed.outcome, deed.ended_ms) == ("unknown", None)


def test_a_dead_letter_is_where_a_message_may_end(good: Run) -> None:
    to: ContinuationId = good.evidence.tellers[0].cid
    sent = told(good.evidence, "send", to=to, mail="mail-x")
    assert check(note(sent, "info", "dead_letters", letters=[{"id": "mail-x", "to": to, "cause": "expired"}])) == []
