"""Between our values and what Redis holds: flat hashes, lines of mail, plans of commits."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from pydantic import JsonValue

from maestro.budget.ledger import Account, Ledger
from maestro.budget.vector import BudgetVector
from maestro.continuation.mail import Mail, in_lanes
from maestro.errors import IntegrityError
from maestro.field.decay import half_lives
from maestro.ids import CallId, ContinuationId, Epoch, Rev, TimeMs
from maestro.tick.linger import Linger
from maestro.tick.records import Frost, Pin
from maestro.tick.steering import granted, order_fact
from maestro.tick.store import Adopted, Batch, Birth, Commit, Heir, JournalEntry, Terms, born_fact
from maestro.tick.watches import Watch, unaddressed

_PARTS = {"g": "granted", "r": "reserved", "s": "spent", "l": "lent", "c": "soft"}


def dumps(value: JsonValue | Mapping[str, Any] | Sequence[Any]) -> bytes:
    return orjson.dumps(value)


def line(mail: Mail) -> bytes:
    """A mail as it lies in its mailbox: wake key, expiry and tag (`-` for none) first, so that no script parses it."""
    expires = "-" if mail.expires_ms is None else str(mail.expires_ms)
    return f"{mail.wake_key} {expires} {mail.tag or '-'} {mail.model_dump_json()}".encode()


def mail_of(line_: bytes) -> Mail:
    return Mail.model_validate_json(line_[line_.index(b" {") + 1 :])


def box(mail: Mail) -> str:
    """Which of its owner's two lists it goes to."""
    return "control" if mail.is_order else "mail"


def log_line(at_ms: TimeMs, record: bytes) -> bytes:
    """A record as it lies in its log: `<time>.<time modulo 97> <record>`."""
    return b"%d.%d %b" % (at_ms, at_ms % 97, record)


def log_line_of(cid: ContinuationId, line_: bytes) -> tuple[TimeMs, bytes]:
    """The time of a record's commit, and the record.

    Raises:
        IntegrityError: the time was changed after it was written.
    """
    stamp, _, record = line_.partition(b" ")
    at, _, check = stamp.partition(b".")
    if not at.isdigit() or not check.isdigit() or b"%d.%d" % (int(at), int(at) % 97) != stamp:
        raise IntegrityError(
            f"{cid}: the time of a record was changed after it was written", hint="run `maestro verify`"
        )
    return TimeMs(int(at)), record


def pairs(flat: Sequence[bytes]) -> dict[str, bytes]:
    """What HGETALL replies to a script, as a mapping."""
    return {flat[i].decode(): flat[i + 1] for i in range(0, len(flat), 2)}


def ledger_of(flat: Sequence[bytes]) -> Ledger:
    parts: dict[str, dict[str, int]] = {}
    reservations: dict[CallId, BudgetVector] = {}
    unknown: dict[CallId, BudgetVector] = {}
    for field, value in pairs(flat).items():
        if field.startswith("R."):
            reservations[CallId(field[2:])] = BudgetVector(orjson.loads(value))
        elif field.startswith("U."):
            unknown[CallId(field[2:])] = BudgetVector(orjson.loads(value))
        else:
            resource, _, part = field.rpartition(".")
            parts.setdefault(resource, {})[_PARTS[part]] = int(value)
    return Ledger({resource: Account(**fields) for resource, fields in parts.items()}, reservations, unknown)


def entry_json(entry: JournalEntry) -> bytes:
    return dumps(
        {
            "kind": entry.kind,
            "key": entry.key,
            "call_id": entry.call_id,
            "price": entry.price.root,
            "decision": entry.decision,
            "asked": entry.asked,
            "question": entry.question,
        }
    )


def outcome_json(answer: JsonValue, charge: BudgetVector) -> bytes:
    return dumps({"answer": answer, "charge": charge.root})


def entry_of(ordinal: int, intent: bytes, answered: bytes | None, failed: bytes | None) -> JournalEntry:
    body = orjson.loads(intent)
    outcome = orjson.loads(answered or failed or b"{}")
    return JournalEntry(
        ordinal=ordinal,
        kind=body["kind"],
        key=body["key"],
        call_id=body["call_id"],
        price=BudgetVector(body["price"]),
        decision=body["decision"],
        asked=body.get("asked"),
        question=body.get("question"),
        answer=outcome.get("answer"),
        answered=bool(answered),
        failed=bool(failed),
        charge=BudgetVector(outcome.get("charge", {})),
    )


def batch_json(batch: Batch) -> bytes:
    return dumps([batch.mail_ids, batch.now_ms])


def _batch_of(raw: bytes | None) -> Batch | None:
    if raw is None:
        return None
    mail_ids, now_ms = orjson.loads(raw)
    return Batch(tuple(mail_ids), now_ms)


def keys_text(keys: Sequence[str]) -> str:
    """Wake keys as a script searches them."""
    return f",{','.join(keys)}," if keys else ","


def keys_of(text: bytes) -> tuple[str, ...]:
    return tuple(key for key in text.decode().split(",") if key)


def linger_text(linger: Linger | None) -> str:
    """What a holder says of itself, as a script searches it: `<listens_ms> <room> ,<cid>=<epoch>,`."""
    if linger is None:
        return ""
    known = "".join(f"{cid}={epoch}," for cid, epoch in linger.known.items())
    return f"{linger.listens_ms} {int(linger.room)} ,{known}"


def adopted_of(reply: Sequence[Any] | None) -> Adopted | None:
    if not reply:
        return None
    cid, epoch, rev, tries, checkpoint, keys, controls, mail, journal, ledger, now_ms, since, error, parent = reply
    fields = pairs(journal)
    ordinals = sorted(int(field) for field in fields if field.isdigit())
    return Adopted(
        cid=ContinuationId(cid.decode()),
        epoch=Epoch(epoch),
        rev=Rev(rev),
        tries=tries,
        checkpoint=checkpoint,
        wake_keys=keys_of(keys),
        controls=in_lanes(map(mail_of, controls)),
        mail=tuple(map(mail_of, mail)),
        batch=_batch_of(fields.get("batch")),
        journal={n: entry_of(n, fields[str(n)], fields.get(f"{n}.a"), fields.get(f"{n}.f")) for n in ordinals},
        ledger=ledger_of(ledger),
        now_ms=TimeMs(int(now_ms)),
        ready_since_ms=TimeMs(int(float(since))),
        last_error=error.decode() if error else None,
        parent=ContinuationId(parent.decode()) if parent else None,
    )


def birth_plan(birth: Birth, parent: ContinuationId | None) -> dict[str, Any]:
    plan: dict[str, Any] = {
        "cid": birth.cid,
        "pool": birth.pool,
        "grant": birth.grant.root,
        "start": line(birth.start).decode(),
        "lane": box(birth.start),
        "key": birth.start.wake_key,
        "fact": dumps(born_fact(birth, parent)).decode(),
    }
    if parent:
        plan["parent"] = parent
    if birth.account:
        plan["account"] = birth.account
    if birth.name:
        plan["name"] = birth.name
    if birth.supersedes:
        told = dumps(
            {**order_fact(birth.cid, birth.supersedes), "cid": None}
        ).decode()  # the script knows whom it meets
        plan["supersedes"] = letter_plan(birth.supersedes) | {"fact": told}
    return plan


def granted_line(key: str, amount: BudgetVector) -> bytes:
    """What is told to whoever waits for money when there is some."""
    return line(granted(key, amount, TimeMs(0)))


def letter_plan(mail: Mail) -> dict[str, str]:
    """A mail that a script delivers."""
    return {"lane": box(mail), "key": mail.wake_key, "id": mail.id, "line": line(mail).decode()}


def watch_plan(watch: Watch) -> tuple[str, str, str, str]:
    """A watch that a script makes or undoes."""
    return watch.target, watch.watcher, watch.ref, watch.kind.value


def _heir_plan(heir: Heir) -> dict[str, Any]:
    letters = [letter_plan(mail) for mail in heir.mail]
    return {"cid": heir.cid, "root": heir.root, "mail": letters, "half_lives": list(half_lives())}


def frost_of(raw: bytes | None) -> Frost | None:
    if not raw:
        return None
    told = orjson.loads(raw)
    return Frost(told["by"], TimeMs(int(told["at_ms"])), told["scope"], told["reason"])


def pin_of(raw: bytes | None) -> Pin | None:
    if not raw:
        return None
    stays, node, home = raw.decode().split(" ", 2)
    return Pin(node, stays == "1", home)


def interest_value(relevance: float | None, terms: Terms | None) -> str:
    """What the index holds of an interest: its relevance or nothing, and JSON where it asks for more."""
    score = "" if relevance is None else repr(relevance)
    if terms is None:
        return score
    filters = [predicate.model_dump(mode="json") for predicate in terms.filters]
    return dumps({"r": score, "f": filters, "u": terms.until_ms or 0}).decode()


def _by_interest(numbers: Sequence[tuple[str, int]]) -> str:
    """Numbers by interest as a script searches them."""
    return "".join(f",{interest}:{number}" for interest, number in numbers) + ","


def commit_plan(commit: Commit, name: str) -> bytes:
    """What commit.lua carries out, beside checkpoint and record."""
    prefix = next((i for i, position in enumerate(commit.mail_taken) if i != position), len(commit.mail_taken))
    return dumps(
        {
            "wk": keys_text(commit.wake_keys),
            "status": commit.status.value,
            "join": commit.join,
            "hold": commit.hold.value if commit.hold else "",
            "root": commit.root,
            "name": name,
            "controls": commit.controls_taken,
            "prefix": prefix,
            "taken": commit.mail_taken[prefix:],
            "keep_journal": commit.keep_journal,
            "timers": list(commit.timers.items()),
            "untimers": commit.timers_cancelled,
            "subs": [(p, i, interest_value(r, commit.terms.get(i))) for p, i, r in commit.subscriptions],
            "unsubs": commit.unsubscriptions,
            "windows": _by_interest(commit.windows),
            "limits": _by_interest(commit.wake_limits),
            "events": commit.events_taken,
            "spend": commit.spend.root,
            "births": [birth_plan(birth, commit.cid) for birth in commit.births],
            "grants": [(cid, amount.root) for cid, amount in commit.grants],
            "family": [(to, box(m), m.wake_key, m.id, line(m).decode()) for to, m in commit.family_mail],
            "outbox": [(row.id, row.kind, row.to, row.payload.decode()) for row in commit.outbox],
            "findings": [finding.decode() for finding in commit.findings],
            "projections": [(cid, payload.decode()) for cid, payload in commit.projections],
            "waiting": (commit.waiting_on_person or b"").decode(),
            "facts": [body.decode() for body in commit.facts],
            "orphans": [
                {"child": orphan.child, "adopt": orphan.adopt, **letter_plan(orphan.news)} for orphan in commit.orphans
            ],
            "watches": [(*watch_plan(watch), m.wake_key, m.id, line(m).decode()) for watch, m in commit.watches],
            "unwatched": [watch_plan(watch) for watch in commit.unwatched],
            "last_word": unaddressed(commit.last_word).decode() if commit.last_word else "",
            **({"told": letter_plan(commit.told)} if commit.told else {}),
            **({"heir": _heir_plan(commit.heir)} if commit.heir else {}),
        }
    )
