"""What a tick decided, and what must be known beside it to fold it: the two inputs of the fold, and the mail of a tick.

Values only; the rules are in fold and ending.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

from maestro.budget.vector import BudgetVector
from maestro.continuation.bounds import TTL_DEFAULTS, TtlDefaults
from maestro.continuation.checkpoint import Checkpoint, Durability, EffectNote
from maestro.continuation.directive import Act, Closing, OnParentEnd, Spawn
from maestro.continuation.lifecycle import Hold
from maestro.continuation.mail import Kind, Mail
from maestro.continuation.merging import Disagreement
from maestro.continuation.remembered import ToolMemory
from maestro.continuation.wait import Simple
from maestro.ids import ContinuationId, Epoch, MailId, Rev, TimeMs
from maestro.tick.store import Heir


@dataclass(frozen=True, slots=True)
class Transition:
    """What a tick decided: the new state, the acts in their order, and how it ends."""

    state: JsonValue
    acts: tuple[Act, ...]
    closing: Closing
    stop_reason: str | None = None
    hold: Hold | None = None
    hold_detail: str | None = None
    children: OnParentEnd | None = None
    """At an end: what becomes of all living children, whatever they were spawned with."""
    heir: Heir | None = None
    disagreements: tuple[Disagreement, ...] | None = None
    """What is in dispute after it; None: what was before."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """What crashes of children ask for, before any code runs: see maestro.tick.supervising."""

    births: tuple[Spawn, ...] = ()
    """Who takes their places."""
    stops: tuple[ContinuationId, ...] = ()
    """Siblings that go down with them."""
    gave_up: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the fold needs to know of the tick beside its transition."""

    before: Checkpoint
    before_body: bytes
    previous_hash: str
    epoch: Epoch
    rev: Rev
    """The revision that this tick ends in."""
    now_ms: TimeMs
    behaviour_version: int
    trigger: Mail | None
    consumed: tuple[Mail, ...] = ()
    consumed_positions: tuple[int, ...] = ()
    controls_taken: int = 0
    effects: tuple[EffectNote, ...] = ()
    free: dict[str, int] = field(default_factory=dict)
    """What this continuation has free, of each limited resource: what a child's budget does not name it may not use."""
    keep_journal: bool = False
    behaviour: str | None = None
    """What today's code calls it, where code ran: one that was renamed takes the new name with this tick."""
    as_of_ms: TimeMs | None = None
    """What the tick took for now, which in a repeated tick is what its first try took."""
    lapsed: Simple | None = None
    """The wait whose time was over, where that is what the tick is about."""
    autonomous_decision: str | None = None
    """What was decided in place of a person, because nobody did in time."""
    defaults: TtlDefaults = TTL_DEFAULTS
    policy_version: str = ""
    durability: Durability = "always"
    used: BudgetVector = BudgetVector({})
    """What it has spent and lent in its life."""
    recovery: Recovery | None = None
    notices: Mapping[str, str] = field(default_factory=dict)
    """Approval id -> how telling people of it went."""
    tools: ToolMemory | None = None
    """What it remembers of its tools after the tick; None: what it remembered before."""
    read_untrusted: bool = False
    """True when an effect of the tick, or what was before it, brought something untrusted."""

    @property
    def tainted(self) -> bool:
        """True when something untrusted caused or informed the tick; what follows from it is untrusted too."""
        return self.read_untrusted or any(mail.trust == "untrusted" for mail in self.consumed)

    @property
    def ran(self) -> bool:
        """True when a line of the behaviour ran."""
        return self.behaviour is not None

    @property
    def is_first_of_fork(self) -> bool:
        """True in the tick in which a fork makes the wishes of its origin known as its own."""
        return self.rev == 1 and self.before.forked_from is not None


def hops_of(facts: Facts, cause: str | None) -> int:
    """How many letters and events lie between what is written because of `cause` and the world outside."""
    read = [mail for mail in facts.consumed if mail.id == cause] or facts.consumed
    return 1 + max((mail.hops for mail in read), default=0)


def mail_of(
    facts: Facts, ordinal: int, kind: Kind, subject: str, body: JsonValue, about: ContinuationId | None = None
) -> Mail:
    """A mail of this tick; its id is the same however often the tick is tried."""
    return Mail(
        id=MailId(f"{facts.before.id}:{facts.rev}:{ordinal}"),
        kind=kind,
        sender=facts.before.id,
        subject=subject,
        body=body,
        correlation=about,
        sent_ms=facts.now_ms,
        cause=facts.trigger.id if facts.trigger else None,
        trust="untrusted" if facts.tainted else "trusted",
    )
