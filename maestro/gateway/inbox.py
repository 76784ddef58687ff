"""The inbox: everything that people are asked, one item each, with what happens when nobody answers.

Pure. What is asked is cheap to go through (`asked_in`); an item (`item_of`) is made of those that are told. The rows
are what the store keeps of those who wait for people (`maestro.tick.telling`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from maestro.continuation.expiry import patience
from maestro.continuation.wait import WaitFor
from maestro.gateway.lines import Line
from maestro.gateway.tidings import WaitItem
from maestro.ids import ContinuationId

SEPARATOR = "~"
Kind = Literal["question", "approval", "budget", "disagreement", "held"]
KINDS: Mapping[str, tuple[Kind, str]] = {
    "user_reply": ("question", "question_id"),
    "approval_resolution": ("approval", "approval_id"),
    "budget": ("budget", "resource"),
}
"""Type of a wait -> the kind of its item, and which of its fields names it."""
_WAIT: TypeAdapter[WaitFor] = TypeAdapter(WaitFor)
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing that a person is asked."""

    id: str
    kind: Kind
    row: Row
    part: Row
    """The wait; empty of one that is held."""

    @property
    def cid(self) -> ContinuationId:
        return ContinuationId(self.row["id"])

    @property
    def order(self) -> tuple[bool, int, str]:
        """The soonest timeout first; then what has been asked for longest."""
        until_ms = self.part.get("expires_at_ms")
        return until_ms is None, until_ms or self.since_ms, self.id

    @property
    def since_ms(self) -> int:
        return int(self.part.get("opened_ms") or self.row["since_ms"])


def asked_in(row: Row) -> Iterator[Asked]:
    """What one continuation asks."""
    if row["hold"] is not None:
        yield Asked(f"{row['id']}{SEPARATOR}{row['hold']}", "held", row, {})
    for part in row["asked"]:
        kind, name = KINDS.get(part["type"], ("disagreement", "question_id"))
        yield Asked(f"{row['id']}{SEPARATOR}{part.get(name) or part['type']}", kind, row, part)


def named(id_: str) -> tuple[ContinuationId, str]:
    """The continuation of a wait's id, and what it asks."""
    cid, _, what = id_.partition(SEPARATOR)
    return ContinuationId(cid), what


def item_of(asked: Asked, line: Line | None) -> WaitItem:
    """What is told of it."""
    row, part = asked.row, asked.part
    until_ms = part.get("expires_at_ms")
    told: dict[str, Any] = {
        "continuation": row["id"],
        "name": None if line is None else line.name,
        "behaviour": row["behaviour"],
        "goal": "" if line is None else line.goal,
        "since_ms": asked.since_ms,
        "until_ms": until_ms,
        "on_timeout": part.get("on_timeout") if until_ms else None,
        "then": _then(part) if part else "",
        "escalated": part.get("escalated", 0),
    }
    return WaitItem(id=asked.id, kind=asked.kind, **told, **_particulars(asked))


def _particulars(asked: Asked) -> dict[str, Any]:
    """What only items of its kind tell, and what may be done."""
    row, part = asked.row, asked.part
    match asked.kind:
        case "held":
            return {"question": row["reason"], "verbs": ["thaw", "kill"]}
        case "question":
            return {"question": part["question"], "verbs": ["reply", "kill"]}
        case "approval":
            seen = {key: part[key] for key in ("action", "arguments", "binding", "notified")}
            about = {"question": f"approve: {part['action']}", "approvers": list(part["approvers"]), **seen}
            return {**about, "verbs": ["approve", "deny", "kill"]}
        case "budget":
            wanted = f"needs {part['asked']} {part['resource']}, has {part['free']}"
            amounts = {"asked_amount": part["asked"], "free_amount": part["free"]}
            return {"question": wanted, "resource": part["resource"], **amounts, "verbs": ["rebudget", "kill"]}
        case "disagreement":
            return {"question": str(part.get("question") or row["reason"]), "verbs": ["reply", "kill"]}


def _then(part: Row) -> str:
    """What happens when its time is over, in the words of `maestro why`."""
    try:
        told = patience(_WAIT.validate_python(dict(part)))
    except ValidationError:
        return ""
    return told.rpartition("then ")[2].partition("; its approvers")[0]
