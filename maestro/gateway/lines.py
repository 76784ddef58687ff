"""A line: what the rails and the lists of the pane show of one continuation, small enough for a hundred thousand.

What is not here: everything else about it (`maestro.pane.views`).
"""

from dataclasses import dataclass, field
from time import monotonic

from maestro.budget.ledger import Account as LedgerAccount
from maestro.continuation.envelope import Seal
from maestro.continuation.lifecycle import Activity
from maestro.gateway.shapes import Account, Group, Row
from maestro.ids import ContinuationId, TenantId, TimeMs
from maestro.pane import views
from maestro.tick.records import Glance

GROUPS: dict[Activity, Group] = {
    Activity.THINKING: "thinking",
    Activity.READY: "thinking",
    Activity.SLEEPING: "sleeping",
    Activity.WAITING_ON_YOU: "waiting_on_you",
    Activity.DONE: "finished",
}
SHOWN_CHARS = 2_000  # of a goal or a reason, in a list


@dataclass(slots=True)
class Line:
    """One continuation, as it was seen."""

    cid: ContinuationId
    name: str | None
    behaviour: str
    activity: Activity
    group: Group
    status: str
    hold: str | None
    parent: ContinuationId | None
    root: ContinuationId
    children: int
    rev: int
    unread: int
    usd: LedgerAccount
    next_wake_ms: TimeMs | None
    waits_until_ms: TimeMs | None
    pool: str
    actor: str | None
    created_at_ms: TimeMs
    updated_at_ms: TimeMs
    told: tuple[str, str]
    """Its goal, and why it is as it is."""
    seen_at: float = field(default_factory=monotonic)
    _text: str | None = None

    @property
    def goal(self) -> str:
        return self.told[0]

    @property
    def text(self) -> str:
        """What is searched in."""
        if self._text is None:
            self._text = "\n".join((self.cid, self.name or "", *self.told)).casefold()
        return self._text

    @classmethod
    def damaged(cls, glance: Glance, reason: str) -> "Line":
        """What is shown of one whose bytes in the store are not those that were written."""
        return cls(
            cid=glance.cid, behaviour="?", activity=Activity.WAITING_ON_YOU, group="waiting_on_you", status="pending",
            hold="damaged", parent=glance.parent, root=glance.cid, children=0, rev=glance.rev, unread=glance.unread,
            usd=glance.ledger.account("usd"), pool="?", created_at_ms=TimeMs(0), updated_at_ms=TimeMs(0),
            told=("", reason), name=None, next_wake_ms=None, waits_until_ms=None, actor=None,
        )  # fmt: skip

    def row(self) -> Row:
        """The line as the API tells it."""
        return Row(
            id=self.cid, name=self.name, behaviour=self.behaviour, goal=self.told[0], group=self.group,
            activity=self.activity.value, status=self.status, hold=self.hold, reason=self.told[1], parent=self.parent,
            root=self.root, children=self.children, rev=self.rev, unread=self.unread, usd=account(self.usd),
            next_wake_ms=self.next_wake_ms, waits_until_ms=self.waits_until_ms, pool=self.pool, actor=self.actor,
            created_at_ms=self.created_at_ms, updated_at_ms=self.updated_at_ms,
        )  # fmt: skip


def line_of(glance: Glance, seal: Seal, tenant: TenantId) -> Line:
    """The line of a glance.

    Raises:
        IntegrityError: the checkpoint was changed after it was written.
    """
    view = views.opened(glance, seal, tenant)
    c = view.checkpoint
    return Line(
        cid=c.id, name=c.name, behaviour=c.behaviour, activity=view.activity, group=GROUPS[view.activity],
        status=c.status.value, hold=view.hold.value if view.hold else None, parent=c.parent, root=c.root,
        children=len(c.children), rev=glance.rev, unread=glance.unread, usd=glance.ledger.account("usd"),
        next_wake_ms=views.next_wake_ms(c), waits_until_ms=c.expires_at_ms, pool=c.pool, actor=glance.holder,
        created_at_ms=c.created_at_ms, updated_at_ms=c.updated_at_ms,
        told=(c.goal.goal[:SHOWN_CHARS], views.why(view)[:SHOWN_CHARS]),
    )  # fmt: skip


def account(of: LedgerAccount) -> Account:
    """One resource of a ledger, as the API tells it."""
    return Account(
        granted=of.granted, free=of.free, reserved=of.reserved, spent=of.spent, lent=of.lent, soft_cap=of.soft
    )
