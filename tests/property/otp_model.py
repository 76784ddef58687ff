"""OTP's supervisor as a person would tell it: objects, lists and loops. It shares no code with the machine."""

from collections import Counter, deque
from dataclasses import dataclass, field

from maestro.supervision.spec import ChildSpec


@dataclass(eq=False)
class Kid:
    spec: ChildSpec
    on: bool = False
    waiting: bool = False
    """Its restart failed; a retry lies in the mailbox."""
    queued: bool = False
    """It waits for its turn to restart."""
    below: "Otp | None" = None

    @property
    def vital(self) -> bool:
        return self.spec.significant and (self.on or self.waiting or self.queued)


@dataclass
class Telling:
    """What happens to everybody, and when."""

    failing: Counter[str] = field(default_factory=Counter)
    now_ms: int = 0
    log: list[str] = field(default_factory=list)
    retries: deque[tuple["Otp", Kid]] = field(default_factory=deque)
    turns: deque[tuple[int, "Otp"]] = field(default_factory=deque)
    quits: deque["Otp"] = field(default_factory=deque)

    def fails(self, child_id: str) -> bool:
        if self.failing[child_id] == 0:
            return False
        self.failing[child_id] -= 1
        return True


class Otp:
    def __init__(self, spec: ChildSpec, telling: Telling, above: "tuple[Otp, Kid] | None" = None) -> None:
        self.spec, self.telling, self.above = spec, telling, above
        self.kids = [Kid(child) for child in spec.children]
        self.times: list[int] = []
        self.line: list[Kid] = []
        self.tokens = float(spec.pace.at_once) if spec.pace else 0.0
        self.looked_ms = telling.now_ms
        self.over = False

    def boot(self) -> bool:
        for kid in self.kids:
            if not self.begin(kid):
                self.shutdown()
                return False
        return True

    def begin(self, kid: Kid) -> bool:
        if kid.spec.type == "supervisor":
            kid.below = Otp(kid.spec, self.telling, (self, kid))
            if not kid.below.boot():
                return False
        elif self.telling.fails(kid.spec.id):
            return False
        kid.on, kid.waiting = True, False
        self.telling.log.append(f"+{kid.spec.id}")
        return True

    def finish(self, kid: Kid) -> None:
        kid.waiting = kid.queued = False
        if kid.on:
            if kid.below:
                kid.below.shutdown()
            kid.on = False
            self.telling.log.append(f"-{kid.spec.id}")

    def shutdown(self) -> None:
        for kid in reversed(self.kids):
            self.finish(kid)
        self.over = True

    def died(self, kid: Kid, kind: str) -> None:
        kid.on = False
        well = kind in ("normal", "shutdown")
        if kid.spec.restart == "permanent" or (kid.spec.restart == "transient" and not well):
            self.again(kid)
            return
        if kid.spec.restart == "temporary" or self.spec.strategy == "dynamic":
            self.kids.remove(kid)
        if kid.spec.significant and (
            self.spec.auto_shutdown == "any_significant" or not any(other.vital for other in self.kids)
        ):
            self.quit()

    def again(self, kid: Kid) -> None:
        now, period = self.telling.now_ms, 1000 * self.spec.intensity.max_seconds
        self.times.append(now)
        if len([at for at in self.times if now - at <= period]) > self.spec.intensity.max_restarts:
            self.quit()
            return
        if self.spec.pace:
            kid.waiting, kid.queued = False, True
            if not self.line:
                self.telling.turns.append((now, self))
            if kid not in self.line:  # it may have been stopped and asked for again meanwhile: it keeps its place
                self.line.append(kid)
            return
        place = self.kids.index(kid)
        victims = {"one_for_all": self.kids[:], "rest_for_one": self.kids[place:]}.get(self.spec.strategy, [kid])
        for victim in reversed(victims):
            self.finish(victim)
            if victim.spec.restart == "temporary":
                self.kids.remove(victim)
        for back in [victim for victim in victims if victim.spec.restart != "temporary"]:
            if not self.begin(back):
                self.later(back)
                return

    def later(self, kid: Kid) -> None:
        kid.waiting = True
        self.telling.retries.append((self, kid))

    def turn(self) -> None:
        """Whoever waits longest goes first, one token each."""
        pace, now = self.spec.pace, self.telling.now_ms
        if self.over or pace is None:
            return
        self.tokens = min(float(pace.at_once), self.tokens + (now - self.looked_ms) * pace.per_second / 1000)
        self.looked_ms = now
        self.line = [kid for kid in self.line if kid.queued]
        going = self.line[: int(self.tokens + 1e-9)]
        self.line = self.line[len(going) :]
        self.tokens -= len(going)
        if self.line:
            missing_ms = (1 - self.tokens) * 1000 / pace.per_second
            self.telling.turns.append((now + max(0, int(missing_ms + 1 - 1e-6)), self))
        for kid in going:
            kid.queued = False
        failed = [kid for kid in going if not self.begin(kid)]
        for kid in failed:
            self.later(kid)

    def quit(self) -> None:
        self.shutdown()
        self.telling.quits.append(self)

    def settle(self) -> None:
        """Whoever quits is an exit `shutdown` for the one above."""
        while self.telling.quits:
            quitter = self.telling.quits.popleft()
            if quitter.above:
                parent, kid = quitter.above
                parent.died(kid, "shutdown")

    def retry(self) -> None:
        owner, kid = self.telling.retries.popleft()
        if kid.waiting and not owner.over:
            owner.again(kid)

    # ------------------------------------------------------------ what people ask of it

    def terminate(self, kid: Kid) -> None:
        self.finish(kid)
        if kid.spec.restart == "temporary" or self.spec.strategy == "dynamic":
            self.kids.remove(kid)

    def resume(self, kid: Kid) -> None:
        self.begin(kid)

    def add(self, spec: ChildSpec) -> None:
        kid = Kid(spec)
        if self.begin(kid):
            self.kids.append(kid)

    def supervisors(self) -> "list[Otp]":
        """Those that live, this one first."""
        below = [kid.below for kid in self.kids if kid.on and kid.below]
        return [self, *(each for one in below for each in one.supervisors())] if not self.over else []

    def find(self, child_id: str) -> "tuple[Otp, Kid]":
        for kid in self.kids:
            if kid.spec.id == child_id:
                return self, kid
            if kid.on and kid.below and child_id in kid.below.running():
                return kid.below.find(child_id)
        raise LookupError(child_id)

    def known(self) -> list[str]:
        """Everybody whose spec is kept, by supervisors that live."""
        return [kid.spec.id for one in self.supervisors() for kid in one.kids]

    def running(self) -> list[str]:
        return [] if self.over else [name for kid in self.kids if kid.on for name in self._with_below(kid)]

    def _with_below(self, kid: Kid) -> list[str]:
        return [kid.spec.id, *(kid.below.running() if kid.below else [])]
