"""Between our values and what Redis holds: flat hashes, lines of mail, plans of commits."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from pydantic import JsonValue

from maestro.budget.ledger import Account, Ledger
from maestro.budget.vector import BudgetVector
from maestro.continuation.mail import Mail
from maestro.ids import CallId, ContinuationId, Epoch, Rev, TimeMs
from maestro.tick.store import Adopted, Batch, Birth, Commit, JournalEntry

_PARTS = {"g": "granted", "r": "reserved", "s": "spent", "l": "lent"}


def dumps(value: JsonValue | Mapping[str, Any] | Sequence[Any]) -> bytes:
    return orjson.dumps(value)


def line(mail: Mail) -> bytes:
    """A mail as it lies in its mailbox: the wake key first, so that a script need not parse the rest."""
    return mail.wake_key.encode() + b" " + mail.model_dump_json().encode()


def mail_of(line_: bytes) -> Mail:
    return Mail.model_validate_json(line_.partition(b" ")[2])


def pairs(flat: Sequence[bytes]) -> dict[str, bytes]:
    """What HGETALL replies to a script, as a mapping."""
    return {flat[i].decode(): flat[i + 1] for i in range(0, len(flat), 2)}


def ledger_of(flat: Sequence[bytes]) -> Ledger:
    parts: dict[str, dict[str, int]] = {}
    reservations: dict[CallId, BudgetVector] = {}
    for field, value in pairs(flat).items():
        if field.startswith("R."):
            reservations[CallId(field[2:])] = BudgetVector(orjson.loads(value))
        else:
            resource, _, part = field.rpartition(".")
            parts.setdefault(resource, {})[_PARTS[part]] = int(value)
    return Ledger({resource: Account(**fields) for resource, fields in parts.items()}, reservations)


def entry_json(entry: JournalEntry) -> bytes:
    return dumps(
        {
            "kind": entry.kind,
            "key": entry.key,
            "call_id": entry.call_id,
            "price": entry.price.root,
            "decision": entry.decision,
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


def adopted_of(reply: Sequence[Any] | None) -> Adopted | None:
    if not reply:
        return None
    cid, epoch, rev, tries, checkpoint, keys, controls, mail, journal, ledger, now_ms, since, error = reply
    fields = pairs(journal)
    ordinals = sorted(int(field) for field in fields if field.isdigit())
    return Adopted(
        cid=ContinuationId(cid.decode()),
        epoch=Epoch(epoch),
        rev=Rev(rev),
        tries=tries,
        checkpoint=checkpoint,
        wake_keys=keys_of(keys),
        controls=tuple(map(mail_of, controls)),
        mail=tuple(map(mail_of, mail)),
        batch=_batch_of(fields.get("batch")),
        journal={n: entry_of(n, fields[str(n)], fields.get(f"{n}.a"), fields.get(f"{n}.f")) for n in ordinals},
        ledger=ledger_of(ledger),
        now_ms=TimeMs(int(now_ms)),
        ready_since_ms=TimeMs(int(float(since))),
        last_error=error.decode() if error else None,
    )


def birth_plan(birth: Birth, parent: ContinuationId | None) -> dict[str, Any]:
    plan: dict[str, Any] = {
        "cid": birth.cid,
        "pool": birth.pool,
        "grant": birth.grant.root,
        "start": line(birth.start).decode(),
        "lane": birth.start.lane,
        "key": birth.start.wake_key,
        "fact": dumps(
            {"type": "born", "cid": birth.cid, "parent": parent, "root": birth.root, "behaviour": birth.behaviour}
        ).decode(),
    }
    if parent:
        plan["parent"] = parent
    if birth.name:
        plan["name"] = birth.name
    return plan


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
            "subs": [(p, i, "" if r is None else repr(r)) for p, i, r in commit.subscriptions],
            "unsubs": commit.unsubscriptions,
            "births": [birth_plan(birth, commit.cid) for birth in commit.births],
            "grants": [(cid, amount.root) for cid, amount in commit.grants],
            "family": [(to, m.lane, m.wake_key, m.id, line(m).decode()) for to, m in commit.family_mail],
            "outbox": [(row.id, row.kind, row.to, row.payload.decode()) for row in commit.outbox],
            "findings": [finding.decode() for finding in commit.findings],
            "projections": [(cid, payload.decode()) for cid, payload in commit.projections],
            "waiting": (commit.waiting_on_person or b"").decode(),
            "facts": [body.decode() for body in commit.facts],
        }
    )
