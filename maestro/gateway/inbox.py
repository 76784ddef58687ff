"""The inbox: everything that people are asked, one item each, with what happens when nobody answers.

Pure. The rows are what the store keeps of those who wait for people (`maestro.tick.telling`).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from maestro.continuation.expiry import patience
from maestro.continuation.wait import WaitFor
from maestro.gateway.lines import Line
from maestro.gateway.tidings import WaitItem
from maestro.ids import ContinuationId

SEPARATOR = "~"
_WAIT: TypeAdapter[WaitFor] = TypeAdapter(WaitFor)
Asked = Mapping[str, Any]


def items_of(row: Asked, line: Line | None) -> Iterator[WaitItem]:
    """The items of one continuation."""
    about: dict[str, Any] = {
        "continuation": row["id"],
        "name": None if line is None else line.name,
        "behaviour": row["behaviour"],
        "goal": "" if line is None else line.goal,
    }
    if row["hold"] is not None:
        about |= {"since_ms": row["since_ms"], "until_ms": None, "on_timeout": None, "then": ""}
        id_ = f"{row['id']}{SEPARATOR}{row['hold']}"
        yield WaitItem(id=id_, kind="held", question=row["reason"], verbs=["thaw", "kill"], **about)
    for part in row["asked"]:
        yield _item(part, row, about)


def named(id_: str) -> tuple[ContinuationId, str]:
    """The continuation of a wait's id, and what it asks."""
    cid, _, what = id_.partition(SEPARATOR)
    return ContinuationId(cid), what


def _item(part: Asked, row: Asked, about: Asked) -> WaitItem:
    until_ms = part.get("expires_at_ms")
    told: dict[str, Any] = {
        **about,
        "since_ms": part.get("opened_ms") or row["since_ms"],
        "until_ms": until_ms,
        "on_timeout": part.get("on_timeout") if until_ms else None,
        "then": _then(part),
        "escalated": part.get("escalated", 0),
    }
    match part["type"]:
        case "user_reply":
            kind, name, verbs = "question", part["question_id"], ["reply", "kill"]
            told["question"] = part["question"]
        case "approval_resolution":
            kind, name, verbs = "approval", part["approval_id"], ["approve", "deny", "kill"]
            seen = {key: part[key] for key in ("action", "arguments", "binding", "notified")}
            told |= {"question": f"approve: {part['action']}", "approvers": list(part["approvers"]), **seen}
        case "budget":
            kind, name, verbs = "budget", part["resource"], ["rebudget", "kill"]
            told |= {"question": _wanted(part), "resource": name, "asked_amount": part["asked"]}
            told["free_amount"] = part["free"]
        case _:
            kind, name, verbs = "disagreement", str(part.get("question_id") or part["type"]), ["reply", "kill"]
            told["question"] = str(part.get("question") or row["reason"])
    return WaitItem(id=f"{row['id']}{SEPARATOR}{name}", kind=kind, verbs=verbs, **told)  # type: ignore[arg-type]


def _wanted(part: Asked) -> str:
    return f"needs {part['asked']} {part['resource']}, has {part['free']}"


def _then(part: Asked) -> str:
    """What happens when its time is over, in the words of `maestro why`."""
    try:
        told = patience(_WAIT.validate_python(dict(part)))
    except ValidationError:
        return ""
    return told.rpartition("then ")[2].partition("; its approvers")[0]
