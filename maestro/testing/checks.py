"""What must hold in a world, whatever happened in it: the invariants of PROMISES 3d that one process can show.

    audit(world)       at every moment between two calls: logs, epochs, money, reasons
    settled(world)     when all is over: tallies against the deeds that were acknowledged, bills against ledgers

Each answers with sentences about what is wrong; none means that all holds. That they can fail is shown by switching off
fencing, dedupe, reservation and the outbox (tests/simulation).
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import orjson

from maestro.budget.ledger import Ledger
from maestro.budget.vector import USD
from maestro.continuation.checkpoint import Checkpoint, LogRecord, replay
from maestro.continuation.mail import Kind
from maestro.errors import MaestroError
from maestro.ids import ContinuationId
from maestro.pane import views
from maestro.runtime.verbs import partitions, record_bodies
from maestro.testing.tally import Books
from maestro.testing.world import World
from maestro.tick.records import Glance


@dataclass(slots=True)
class Deeds:
    """What people did in a world and were told that it is done."""

    tallies: list[ContinuationId] = field(default_factory=list)
    units: int = 0
    """That the tallies were started with."""
    money: int = 0
    """Micro-dollars that were granted to roots."""
    events: set[str] = field(default_factory=set)
    messages: Counter[ContinuationId] = field(default_factory=Counter)
    """How many each tally was sent."""


async def audit(world: World) -> list[str]:
    """What does not hold now."""
    wrong = list(world.history.violations)
    ledgers: dict[ContinuationId, Ledger] = {}
    parents: dict[ContinuationId, ContinuationId | None] = {}
    for cid in await world.ids():
        glance = await world.backend.records.glance(cid)
        if glance is None:
            wrong.append(f"{cid} is listed, and is not there")
            continue
        try:
            view = views.opened(glance, world.at.seal, world.at.tenant)
            bodies = await record_bodies(world.at, cid)
            wrong += _log(glance, view.checkpoint, bodies)
            wrong += _reason(glance, view)
        except MaestroError as error:
            wrong.append(f"I10: {cid}: {error}")
            continue
        ledgers[cid], parents[cid] = glance.ledger, glance.parent
    wrong += _books(ledgers, parents)
    return wrong


async def settled(world: World, deeds: Deeds) -> list[str]:
    """What does not hold when all is over."""
    wrong: list[str] = []
    books: dict[ContinuationId, Books] = {}
    spent: dict[ContinuationId, int] = {}
    ended: dict[ContinuationId, bool] = {}
    strays: set[str] = set()
    for cid in await world.ids():
        glance = await world.backend.records.glance(cid)
        assert glance is not None  # noqa: S101 - audited before
        checkpoint = views.opened(glance, world.at.seal, world.at.tenant).checkpoint
        spent[cid], ended[cid] = glance.ledger.account(USD).spent, checkpoint.terminal
        if glance.ledger.reservations:
            wrong.append(f"I7: {cid} has reservations open: {list(glance.ledger.reservations)}")
        if checkpoint.behaviour == "stray":
            strays.add(cid)
        if checkpoint.behaviour == "tally" and checkpoint.state is not None:
            books[cid] = Books.model_validate(checkpoint.state)
    wrong += [f"{cid}: {complaint}" for cid, book in books.items() for complaint in book.wrong]
    wrong += _applied({cid: books[cid] for cid in deeds.tallies if cid in books}, deeds)
    wrong += _billed(world, spent)
    wrong += await _granted(world, deeds)
    for partition in partitions(world.at):
        dead = await world.backend.records.dead_letters(partition)
        # whoever ends a stray leaves its unread mail behind
        strange = [letter for letter in dead if orjson.loads(letter)["to"] not in strays]
        wrong += [f"I5: a dead letter that nobody caused: {letter[:200]!r}" for letter in strange]
    return wrong


def _log(glance: Glance, checkpoint: Checkpoint, bodies: Sequence[bytes]) -> list[str]:
    """I2, I3, I10: one record per rev, epochs never go back, the log alone leads to the checkpoint."""
    told = replay(bodies).model_copy(update={"parent": checkpoint.parent})  # another parent is told by its next tick
    wrong = [] if told == checkpoint else [f"I10: the log of {glance.cid} leads elsewhere"]
    log = [LogRecord.model_validate_json(body) for body in bodies]
    if len(log) != glance.rev + 1:
        wrong.append(f"I2: {glance.cid} has {len(log)} records at rev {glance.rev}")
    if any(later.epoch <= earlier.epoch for earlier, later in pairwise(log)):
        wrong.append(f"I3: the epochs of {glance.cid} go back: {[record.epoch for record in log]}")
    # a timer that is set again for the same moment is a new one of the same name
    notes = (note for record in log for note in record.consumed if note.kind != Kind.TIMER)
    consumed = Counter(note.id for note in notes)
    wrong += [f"I4: {glance.cid} consumed {mail} {n} times" for mail, n in consumed.items() if n > 1]
    return wrong


def _reason(glance: Glance, view: views.View) -> list[str]:
    """I9: whoever is not done is held by somebody, ready, to be tried again, on hold, or waits for something."""
    checkpoint = view.checkpoint
    wrong = [] if views.why(view).strip() else [f"I9: nobody knows why {glance.cid} is as it is"]
    if glance.holder is not None and glance.ready_since_ms is not None:
        wrong.append(f"I9: {glance.cid} is held and ready at once")
    reasons = (glance.holder, glance.ready_since_ms, glance.error, checkpoint.hold, checkpoint.wait)
    if not checkpoint.terminal and not glance.frozen and all(reason is None for reason in reasons):
        wrong.append(f"I9: {glance.cid} is stranded: {views.why(view)}")
    if checkpoint.terminal and (glance.holder or glance.ready_since_ms is not None or glance.unread):
        wrong.append(f"I9: {glance.cid} is done, and something of it goes on")
    return wrong


def _books(
    ledgers: Mapping[ContinuationId, Ledger], parents: Mapping[ContinuationId, ContinuationId | None]
) -> list[str]:
    """I7: granted = free + reserved + spent + lent, nothing below 0, and lent is what the children were granted."""
    granted: defaultdict[tuple[ContinuationId, str], int] = defaultdict(int)
    for cid, ledger in ledgers.items():
        if (parent := parents[cid]) is not None:
            for name, account in ledger.accounts.items():
                granted[parent, name] += account.granted or 0
    wrong: list[str] = []
    for cid, ledger in ledgers.items():
        for name, account in ledger.accounts.items():
            open_ = sum(price[name] for price in ledger.reservations.values())
            below = min(account.reserved, account.spent, account.lent, account.free or 0) < 0
            if below or account.reserved != open_ or account.lent != granted[cid, name]:
                wrong.append(f"I7: {name} of {cid}: {account}, {open_} reserved, {granted[cid, name]} lent")
    return wrong


def _applied(books: Mapping[ContinuationId, Books], deeds: Deeds) -> list[str]:
    """I4, I5, I6: what was acknowledged was applied, all of it and once; units are where they should be."""
    wrong = []
    echoes = {key for book in books.values() for key in book.published}
    for cid, book in books.items():
        lost = (deeds.events | echoes) - set(book.events)
        strange = set(book.events) - deeds.events - echoes
        if lost or strange:
            wrong.append(f"I4: {cid} lacks events {sorted(lost)}, has strange ones {sorted(strange)}")
        if book.last_seq.get("person", 0) != deeds.messages[cid]:
            wrong.append(f"I4: {cid} read {book.last_seq.get('person', 0)} of {deeds.messages[cid]} messages")
        for peer, gifts in book.given.items():
            if books[ContinuationId(peer)].last_seq.get(cid, 0) != gifts:
                wrong.append(f"I4: of {gifts} gifts of {cid}, {books[ContinuationId(peer)].last_seq.get(cid, 0)} came")
        if sorted(book.timers_set) != sorted(book.timers_fired):
            wrong.append(f"I6: of the timers {book.timers_set} of {cid} fired {book.timers_fired}")
        if book.children_ended != book.spawned:
            wrong.append(f"I4: {cid} heard of {book.children_ended} ends of {book.spawned} children")
    units = sum(book.units for book in books.values())
    if units != deeds.units:
        wrong.append(f"I4: {units} units of {deeds.units} are left")
    return wrong


async def _granted(world: World, deeds: Deeds) -> list[str]:
    """I7: what the roots were granted together is what people gave: no fork, merge or end has made or lost money."""
    glances = [await world.backend.records.glance(cid) for cid in await world.ids()]
    roots = [glance for glance in glances if glance is not None and glance.parent is None]
    granted = sum(glance.ledger.account(USD).granted or 0 for glance in roots)
    return [] if granted == deeds.money else [f"I7: people gave {deeds.money}, the roots have {granted}"]


def _billed(world: World, spent: Mapping[ContinuationId, int]) -> list[str]:
    """I7: each answered call was bought once, and its continuation spent at least what the provider billed.

    But for one case: a pager that dies between the provider's answer and the journal takes the knowledge of that bill
    with it, and the call is bought again under the same reservation.
    """
    wrong: list[str] = []
    bills = {billed.call_id: billed for billed in world.provider.bills}
    told = world.history.settled
    untold = [call for call, billed in bills.items() if told.get(call, 0) < billed.usd_micros]
    unknown = len(world.provider.bills) - len(bills) + len(untold)
    if unknown > world.history.deaths["pager"] * world.pace.hosts * world.pace.slots:
        wrong.append(f"I7: {unknown} bills are not in the books, and no pager died over them: {untold}")
    owed: Counter[ContinuationId] = Counter()
    for call, billed in bills.items():
        if call not in untold:
            owed[billed.cid] += billed.usd_micros
    for cid, micros in owed.items():
        if spent[cid] < micros:
            wrong.append(f"I7: {cid} was billed {micros} and spent {spent[cid]}")
    return wrong
