"""I1 to I12: a pure function from evidence to what it proves wrong.

    I1 acknowledged is kept    I5 nothing vanishes       I9  nobody stranded, nothing orphaned
    I2 one record per rev      I6 timers                 I10 the log leads to the checkpoint
    I3 no stale write          I7 money (accounts.py)    I11 claims are linearizable
    I4 applied once, in order  I8 effects (accounts.py)  I12 it lived, and lived again after each heal

Each rule yields violations with the record that proves it. That each can fail is shown by doctored evidence, and by
builds that lack a guard (tests/chaos).

Source: PROMISES 3d.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pydantic import JsonValue

from maestro.chaos.annals import Deed
from maestro.chaos.evidence import Evidence, Member
from maestro.chaos.linear import is_linearizable, moves
from maestro.chaos.workload import SUBJECT
from maestro.continuation.checkpoint import replay
from maestro.errors import MaestroError


@dataclass(frozen=True, slots=True)
class Violation:
    """One promise that was not kept."""

    invariant: str
    about: str
    proof: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.about}: {self.proof}"


Found = Iterator[Violation]
Rule = Callable[[Evidence], Found]


def acknowledged_is_kept(evidence: Evidence) -> Found:
    """I1: who was told that something is done finds it: starts, messages, and every commit that was looked at."""
    for deed in evidence.done("start", "ok"):
        if deed.told.get("cid") not in evidence.by_id:
            yield Violation("I1", f"start of operation {deed.op}", f"{deed.told.get('cid')} is in no export")
    for deed in evidence.done("send", "ok"):
        member = evidence.by_id.get(str(deed.asked.get("to")))
        if member is not None and not _arrived(evidence, member, str(deed.told.get("mail"))):
            yield Violation("I1", f"message of operation {deed.op} to {member.cid}", f"{deed.told.get('mail')} is lost")
    for deed in evidence.done("look", "ok"):
        member = evidence.by_id.get(str(deed.asked.get("cid")))
        for rev, state_hash in _rows(deed.told.get("commits")):
            kept = member.records[rev].state_hash if member is not None and rev < len(member.records) else "nothing"
            if kept != state_hash:
                who = deed.asked.get("cid")
                yield Violation("I1", f"{who} rev {rev}", f"seen as {state_hash[:12]}, kept is {kept[:12]}")


def one_record_per_rev(evidence: Evidence) -> Found:
    """I2: revs begin at 0 and have no gap; no mail is consumed by two ticks."""
    for member in evidence.members:
        revs = [record.rev for record in member.records]
        if revs != list(range(member.rev + 1)):
            yield Violation("I2", member.cid, f"at rev {member.rev} its log has {_short(revs)}")
        for mail, times in Counter(member.consumed).items():
            if times > 1:
                yield Violation("I2", member.cid, f"{mail} was consumed {times} times")


def no_stale_write(evidence: Evidence) -> Found:
    """I3: epochs never fall along a log; of the writes that were tried under an old epoch none was taken."""
    for member in evidence.members:
        for earlier, later in pairwise(member.records):
            if later.epoch < earlier.epoch:
                yield Violation("I3", member.cid, f"rev {later.rev} is of epoch {later.epoch}, after {earlier.epoch}")
        if member.records and member.records[-1].epoch > member.epoch:
            yield Violation("I3", member.cid, f"a record of epoch {member.records[-1].epoch} at epoch {member.epoch}")
    tried = list(evidence.done("stale"))
    for deed in tried:
        if deed.outcome == "ok":
            yield Violation("I3", str(deed.asked.get("cid")), f"operation {deed.op} wrote under {deed.asked}")
    if tried and not any(deed.outcome == "fail" for deed in tried):
        yield Violation("I3", "the run", f"of {len(tried)} stale attempts none was refused: nothing was tested")


def applied_once_in_order(evidence: Evidence) -> Found:
    """I4: each subscriber applied what was acknowledged, once; messages in order; units are where they should be."""
    acknowledged = {str(deed.asked.get("key")) for deed in evidence.done("publish", "ok")}
    possible = acknowledged | {str(deed.asked.get("key")) for deed in evidence.done("publish")}
    echoes = {key for member in evidence.members if (books := member.books) for key in books.published}
    for member in evidence.tellers:
        books = member.books
        if books is None:
            continue
        for complaint in books.wrong:
            yield Violation(complaint[:2], member.cid, complaint)
        for key, times in Counter(books.events).items():
            if times > 1 or key not in possible | echoes:
                yield Violation("I4", member.cid, f"event {key} was applied {times} times")
        took = set(member.consumed)
        for deed in evidence.done("publish", "ok"):
            if _event_of(deed) in took and deed.asked.get("key") not in books.events:
                yield Violation("I4", member.cid, f"event {deed.asked.get('key')} was consumed, and never applied")
        for peer, gifts in books.given.items():
            theirs = evidence.by_id[peer].books if peer in evidence.by_id else None
            came = 0 if theirs is None else theirs.last_seq.get(member.cid, 0)
            if came != gifts:
                yield Violation("I4", member.cid, f"of {gifts} gifts to {peer} came {came}")
        if books.children_ended != books.spawned:
            yield Violation("I4", member.cid, f"heard of {books.children_ended} ends of {books.spawned} children")
    yield from _units(evidence)


def _units(evidence: Evidence) -> Found:
    began = sum(_number(_object(member.checkpoint.input).get("units")) for member in evidence.tellers)
    held = sum(member.books.units for member in evidence.tellers if member.books is not None)
    if began != held:
        yield Violation("I4", "all tellers", f"began with {began} units and have {held}")


def nothing_vanishes(evidence: Evidence) -> Found:
    """I5: what was acknowledged is applied, unread or a dead letter, for each subscriber that matched."""
    acknowledged = [deed for deed in evidence.done("publish", "ok") if deed.asked.get("subject") == SUBJECT]
    echoes = [key for member in evidence.tellers if (books := member.books) for key in books.published]
    for member in evidence.tellers:
        books = member.books
        if books is None or len(member.committed_ms) < 2:
            continue
        heard = set(books.events)
        since_ms = member.committed_ms[1]
        for deed in acknowledged:
            late = deed.began_ms > since_ms
            if late and deed.asked.get("key") not in heard and not _arrived(evidence, member, _event_of(deed)):
                yield Violation("I5", member.cid, f"event {deed.asked.get('key')} of operation {deed.op} vanished")
        lost = sorted(set(echoes) - heard)
        if lost and not member.unread and not any(each.endswith(f" {member.cid}") for each in evidence.dead):
            yield Violation("I5", member.cid, f"echoes vanished: {_short(lost)}")


def timers_fire_once_and_never_early(evidence: Evidence) -> Found:
    """I6: no tick of a timer before it is due; each fires once; all that were due have fired."""
    for member in evidence.members:
        books = member.books
        if books is None:
            continue
        for name, due_ms in books.timers_set.items():
            fired_ms = books.timers_fired.get(name)
            if fired_ms is None:
                if not member.checkpoint.terminal and name not in member.checkpoint.timers and not member.unread:
                    yield Violation("I6", member.cid, f"timer {name} due {due_ms} never fired and is not set")
            elif fired_ms < due_ms:
                yield Violation("I6", member.cid, f"timer {name} fired {due_ms - fired_ms} ms early")
        twice = Counter(note.id for record in member.records for note in record.consumed if note.kind == "timer")
        for name, times in twice.items():
            if name in books.timers_set and times > 1:
                yield Violation("I6", member.cid, f"timer {name} was consumed {times} times")


def nobody_is_stranded(evidence: Evidence) -> Found:
    """I9: after all has settled each has an owner, a wake or somebody it waits for; processes are those expected."""
    settled = evidence.last("settled")
    if settled.get("quiet") is False:
        yield Violation("I9", "the run", f"it did not come to rest: {settled.get('why')}")
    for member in evidence.members:
        checkpoint = member.checkpoint
        reasons = (checkpoint.wait, checkpoint.hold)
        if not checkpoint.terminal and not member.ready and not member.error and not any(reasons):
            yield Violation("I9", member.cid, "it is not done, and nothing would ever wake it")
        if checkpoint.terminal and member.ready:
            yield Violation("I9", member.cid, "it is done, and is ready or held")
    for note in evidence.told("processes"):
        for kind in ("orphans", "missing"):
            if found := note.facts.get(kind):
                yield Violation("I9", f"the machine, {note.facts.get('when')}", f"{kind}: {found}")


def logs_lead_to_checkpoints(evidence: Evidence) -> Found:
    """I10: folding the log gives the checkpoint, hash by hash; every seal holds."""
    for complaint in evidence.broken:
        yield Violation("I10", "an export", complaint)
    for member in evidence.members:
        try:
            told = replay(member.bodies).model_copy(update={"parent": member.checkpoint.parent})
        except (MaestroError, ValueError) as error:
            yield Violation("I10", member.cid, " ".join(str(error).split())[:300])
            continue
        if told != member.checkpoint:
            yield Violation("I10", member.cid, "its log leads to another checkpoint")


def claims_are_linearizable(evidence: Evidence) -> Found:
    """I11: what callers were told of each claim could have happened one after the other."""
    registers: defaultdict[str, list[Deed]] = defaultdict(list)
    for deed in evidence.deeds:
        if deed.what in ("take", "renew"):
            registers[str(deed.asked.get("name"))].append(deed)
    for name, operations in registers.items():
        if not is_linearizable(moves(operations)):
            yield Violation("I11", f"claim {name}", f"{len(operations)} operations fit into no order")


def it_lived(evidence: Evidence) -> Found:
    """I12: enough ticks in all, and one soon after each heal: a run in which nothing happens proves nothing."""
    asked = evidence.last("plan")
    floor, within_ms = _number(asked.get("floor_ticks")), _number(asked.get("resumes_within_ms"))
    commits = sorted(at_ms for member in evidence.members for at_ms in member.committed_ms[1:])
    if not asked:
        yield Violation("I12", "the run", "its history tells of no plan: nothing was tested")
    if len(commits) < floor:
        yield Violation("I12", "the run", f"{len(commits)} ticks, at least {floor} were wanted")
    over = max((note.at_ms for note in evidence.told("workload_ends")), default=None)
    for note in evidence.told("heal"):
        ends = note.at_ms + within_ms
        if over is not None and ends > over:
            continue  # nobody asked for anything any more
        if not any(note.at_ms <= at_ms <= ends for at_ms in commits):
            healed = f"{note.facts.get('fault')} healed"
            yield Violation("I12", healed, f"no tick within {within_ms} ms of {note.at_ms}")


def _arrived(evidence: Evidence, member: Member, mail: str) -> bool:
    return mail in evidence.arrived[member.cid] or f"{mail} {member.cid}" in evidence.dead


def _event_of(deed: Deed) -> str:
    return str(deed.told.get("event"))


def _rows(value: JsonValue) -> Iterator[tuple[int, str]]:
    for row in value if isinstance(value, list) else []:
        if isinstance(row, list) and len(row) == 2:
            yield int(str(row[0])), str(row[1])


def _short(values: Sequence[int] | Sequence[str]) -> str:
    return str(values) if len(values) < 20 else f"{list(values[:10])}... ({len(values)})"


def _object(value: JsonValue) -> Mapping[str, JsonValue]:
    return value if isinstance(value, dict) else {}


def _number(value: JsonValue) -> int:
    return value if isinstance(value, int) else 0
