"""What a supervisor knows, and what it may decide: values only.

Invariants: children stand in start order; `restarts` is newest first and holds no time outside the intensity's period;
a child has an incarnation exactly while it is running; a turn is on its way exactly while somebody is in the queue.
"""

from dataclasses import dataclass, replace
from typing import Literal

from maestro.ids import HolderId
from maestro.supervision.spec import AutoShutdown, ChildSpec, Intensity, Pace, Shutdown, Strategy

ExitKind = Literal["normal", "shutdown", "killed", "error", "node_lost"]
Standing = Literal["stopped", "starting", "resuming", "waiting", "restarting", "running"]
"""starting: asked for the first time · resuming: asked again · restarting: ended, to be running again ·
waiting: the same, and it waits for its turn."""
Phase = Literal["booting", "up", "ended"]


@dataclass(frozen=True, slots=True)
class Exit:
    """One incarnation of a child is no more."""

    id: str
    incarnation: HolderId
    kind: ExitKind
    text: str = ""

    @property
    def abnormal(self) -> bool:
        return self.kind not in ("normal", "shutdown")

    @property
    def reason(self) -> str:
        """The exit as one line."""
        return f"{self.kind}: {self.text}" if self.text else self.kind


@dataclass(frozen=True, slots=True)
class Child:
    spec: ChildSpec
    standing: Standing = "stopped"
    incarnation: HolderId | None = None
    restarts: int = 0
    last_exit: Exit | None = None

    @property
    def id(self) -> str:
        return self.spec.id


@dataclass(frozen=True, slots=True)
class Bucket:
    """Tokens for restarts, in thousandths, as they were at a moment."""

    millis: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class SupervisorState:
    """One supervisor; of `children` the first is started first and stopped last."""

    strategy: Strategy
    intensity: Intensity
    auto_shutdown: AutoShutdown = "never"
    children: tuple[Child, ...] = ()
    restarts: tuple[int, ...] = ()
    phase: Phase = "booting"
    starts_together: bool = False
    pace: Pace | None = None
    bucket: Bucket | None = None
    """None: full, nothing was taken yet."""
    queue: tuple[str, ...] = ()
    """Ids of those that wait to restart, first come first; whoever does not wait any more is passed over."""
    template: ChildSpec | None = None
    made: int = 0
    """The number of the last child that was made from the template."""

    def child(self, child_id: str) -> Child | None:
        return next((child for child in self.children if child.id == child_id), None)

    def put(self, *changed: Child) -> "SupervisorState":
        """The same supervisor with these children, each at its place."""
        by_id = {child.id: child for child in changed}
        return replace(self, children=tuple(by_id.get(child.id, child) for child in self.children))

    def without(self, *ids: str) -> "SupervisorState":
        return replace(self, children=tuple(child for child in self.children if child.id not in ids))


@dataclass(frozen=True, slots=True)
class StartChild:
    """Start it and wait until it is ready, then `on_started`; if that fails, `on_start_failed` replaces the rest."""

    spec: ChildSpec


@dataclass(frozen=True, slots=True)
class StartTogether:
    """Start all of these at the same time; each as StartChild, and what replaces the rest comes after all of them."""

    specs: tuple[ChildSpec, ...]


@dataclass(frozen=True, slots=True)
class AdoptChild:
    """It runs already: watch it."""

    spec: ChildSpec
    incarnation: HolderId


@dataclass(frozen=True, slots=True)
class StopChild:
    """End it, with the grace that `shutdown` gives, and wait until it is gone."""

    spec: ChildSpec
    incarnation: HolderId
    shutdown: Shutdown


@dataclass(frozen=True, slots=True)
class StopTogether:
    """End all of these at the same time: a dynamic supervisor may have very many."""

    stops: tuple[StopChild, ...]


@dataclass(frozen=True, slots=True)
class Sweep:
    """A supervisor died and will not be started again: end whatever it left running."""

    spec: ChildSpec


@dataclass(frozen=True, slots=True)
class PostRetry:
    """Post `on_retry` for this child to the own mailbox, behind whatever waits there already."""

    id: str


@dataclass(frozen=True, slots=True)
class PostTurn:
    """Post `on_turn` to the own mailbox, behind whatever waits there, when so many milliseconds have passed."""

    after_ms: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """End this supervisor with exit kind `shutdown`: its parent decides."""

    reason: str


Deed = AdoptChild | StopChild | StopTogether | Sweep | PostRetry | PostTurn | GiveUp
Action = StartChild | StartTogether | Deed
Decided = tuple[SupervisorState, tuple[Action, ...]]


@dataclass(frozen=True, slots=True)
class Counts:
    """OTP's `count_children`: specs known, children running, and how many specs are of each type."""

    specs: int
    active: int
    supervisors: int
    workers: int
