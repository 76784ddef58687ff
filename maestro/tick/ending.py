"""How a continuation ends: who is told, and what becomes of its children.

Invariants: pure; whoever ends tells its parent once, and leaves no child behind that nobody decided about: each is
stopped, goes on alone, or gets the nearest living ancestor as its parent.
What is not here: who that ancestor is. Parents may end at any moment; the store's own step finds it.

Source: spec/01 sections 8, 9.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from maestro.continuation.checkpoint import Child
from maestro.continuation.directive import OnParentEnd
from maestro.continuation.lifecycle import TERMINAL, Status
from maestro.continuation.mail import Control, Kind, Mail
from maestro.ids import ContinuationId
from maestro.tick.store import Orphan
from maestro.tick.supervising import is_crash
from maestro.tick.transition import Facts, mail_of

TO_CHILDREN, TO_PARENT = 10_000, 20_000  # ordinals of the mail of an end, behind those of any tick's acts


@dataclass(frozen=True, slots=True)
class Farewell:
    """What is written at an end: orders to the children that are stopped, the orphans, the news for the parent."""

    orders: tuple[tuple[ContinuationId, Mail], ...] = ()
    orphans: tuple[Orphan, ...] = ()
    told: Mail | None = None


NOTHING_LEFT = Farewell()


def farewell(
    facts: Facts, asked: OnParentEnd | None, children: Mapping[ContinuationId, Child], end: Mapping[str, object]
) -> Farewell:
    """The end that `end` (status, result, stop_reason) tells of; `asked` overrides what children were spawned with."""
    living = [(cid, child) for cid, child in sorted(children.items()) if child.status not in TERMINAL]
    orders: list[tuple[ContinuationId, Mail]] = []
    orphans: list[Orphan] = []
    for number, (cid, child) in enumerate(living, start=TO_CHILDREN):
        fate = asked or child.on_parent_end
        if fate == "linked":
            body: JsonValue = {"stop_reason": "cancelled_by_product", "reason": f"its parent {facts.before.id} ended"}
            orders.append((cid, mail_of(facts, number, Kind.CONTROL, Control.KILL, body)))
        else:
            told: JsonValue = {"child": cid, **child.model_dump(mode="json")}
            news = mail_of(facts, number, Kind.CONTROL, Control.ADOPTED, told)
            orphans.append(Orphan(cid, adopt=fate == "adopt_up", news=news))
    return Farewell(tuple(orders), tuple(orphans), _told(facts, end))


def _told(facts: Facts, end: Mapping[str, object]) -> Mail | None:
    if facts.before.parent is None:
        return None
    status, reason = Status(str(end["status"])), str(end["stop_reason"])
    body = {"status": status.value, "result": end["result"], "reason": reason}
    if is_crash(facts.before.restart, status, reason):
        told = body | {"detail": str(end["stop_detail"] or "")[:500], "used": facts.used.root}
        return mail_of(facts, TO_PARENT, Kind.CONTROL, Control.CRASHED, told, about=facts.before.id)  # type: ignore[arg-type]
    return mail_of(facts, TO_PARENT, Kind.CHILD, facts.before.behaviour, body, about=facts.before.id)  # type: ignore[arg-type]
