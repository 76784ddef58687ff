"""A behaviour under test: all of Maestro around it, in this process, on a clock that jumps.

    with Harness(Scout) as maestro:
        scout = maestro.start(Scout, goal="what bears on sparse rewards?")
        maestro.publish("papers", {"title": "Sparse rewards"})
        maestro.advance(days=21)
        assert scout.state["seen"] == 1, scout.why

A plain `def test_...` is enough: the harness brings its own loop. Each deed returns when all that followed from it at
once is over, back-offs of failing ticks included; more time than that passes in `advance` only, and takes none.
Invariants: the same test gives the same run; on the way out all that must hold of any Maestro is checked (`audit`), and
an AssertionError says what does not; with `unlucky`, processes die, replies are lost and leases end early, as the seed
wants it, and none of that may show.

What is not here: sockets, threads, subprocesses. A behaviour that waits for those is told so (`Standstill`).
"""

from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import replace
from random import Random
from types import TracebackType
from typing import Any, Self, TypeVar

from pydantic import JsonValue

from maestro.budget.vector import Budget, BudgetVector
from maestro.client import ContinuationHandle, Maestro
from maestro.testing.billing import BillingProvider, Say
from maestro.testing.checks import audit
from maestro.testing.crew import SLOW, WEEKS
from maestro.testing.faults import CutPoint, Fault, Nemesis, Profile, Storm
from maestro.testing.loop import Standstill
from maestro.testing.world import World
from maestro.tick.behaviour import Behaviour
from maestro.tools.spec import Tool

T = TypeVar("T")

PURSE = Budget(usd="5")
AT_REST_WITHIN_S = 86_400.0  # a failing tick is tried three times; unlucky ones wait for the ends of leases


class Case:
    """One continuation under test; what it offers has the names of `ContinuationHandle`."""

    def __init__(self, handle: ContinuationHandle, harness: "Harness") -> None:
        self.id = handle.id
        self.handle = handle
        """For what is not offered here: `maestro.run(case.handle.afork())`."""
        self._harness = harness

    def __repr__(self) -> str:
        return f"<{self.id}: {self.why}>"

    @property
    def shown(self) -> dict[str, JsonValue]:
        """All that `maestro show` tells."""
        return self._harness.look(self.handle.astatus())

    @property
    def state(self) -> Any:
        """The behaviour's state as JSON; None before its first tick."""
        return self.shown["state"]

    @property
    def status(self) -> str:
        return str(self.shown["status"])

    @property
    def why(self) -> str:
        """Why it is as it is, in a sentence."""
        return self._harness.look(self.handle.awhy())

    @property
    def result(self) -> JsonValue:
        """What it finished with; None before."""
        return self.shown["result"]

    @property
    def findings(self) -> Sequence[Any]:
        """What it has published as findings."""
        return self.shown["findings"]  # type: ignore[return-value]

    @property
    def log(self) -> Sequence[Any]:
        """The committed ticks, one record each."""
        return self._harness.look(self.handle.alog())

    def send(self, body: JsonValue, subject: str = "") -> None:
        self._harness.run(self.handle.asend(body, subject))

    def reply(self, text: str) -> None:
        """Its question is answered."""
        self._harness.run(self.handle.areply(text))

    def approve(self, approval: str = "") -> None:
        """A person approves what it asks; of several, the one whose id begins so."""
        self._harness.run(self.handle.aapprove(approval))

    def deny(self, approval: str = "") -> None:
        self._harness.run(self.handle.adeny(approval))

    def rebudget(self, **changes: str) -> None:
        """The grant changed by, for example, usd="+1.00"."""
        self._harness.run(self.handle.arebudget(**changes))

    def cancel(self) -> None:
        self._harness.run(self.handle.acancel())


class Harness:
    """Maestro around the behaviours under test; used in a `with`.

    Args:
        behaviours: those under test, and those that they spawn.
        seed: another seed gives other ids, another order where order is free, and other luck.
        answer: what the model says to a request, text or calls of tools; by default, `rehearsal`'s extractive answer.
        tools: those that they use, run in this process.
        unlucky: True for faults drawn from the seed; or who strikes, and when (`maestro.testing.faults`).
    """

    def __init__(
        self,
        *behaviours: type[Behaviour[Any]],
        seed: int = 0,
        answer: Say | None = None,
        unlucky: bool | Nemesis = False,
        tools: Iterable[Tool] = (),
    ) -> None:
        nemesis = _luck(seed) if unlucky is True else unlucky or None
        pace = SLOW if nemesis is None or isinstance(nemesis, CutPoint) else WEEKS
        provider = BillingProvider(say=answer)
        self.world = World(seed, nemesis=nemesis, pace=pace, behaviours=behaviours, tools=tools, provider=provider)
        """What the harness stands on: processes, faults, history, every port of the store."""
        self._client = Maestro(self.world.at)
        self._published = 0

    def __enter__(self) -> Self:
        self.world.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            wrong = [] if error is not None else self.world.run(audit(self.world))
        finally:
            self.world.__exit__(kind, error, trace)
        if wrong:
            raise AssertionError("\n".join(["this must never be:", *wrong]))

    def start(
        self,
        behaviour: type[Behaviour[Any]] | str,
        *,
        goal: str = "pass the test",
        budget: BudgetVector = PURSE,
        input: JsonValue = None,
        name: str | None = None,
        scopes: Sequence[str] = (),
    ) -> Case:
        """A continuation has had its first tick."""
        how: dict[str, Any] = {"goal": goal, "budget": budget, "input": input, "name": name, "scopes": scopes}
        started = self._client.astart(behaviour, **how)
        return Case(self.run(started), self)

    def publish(self, subject: str, payload: JsonValue = None, *, key: str | None = None) -> None:
        """An event has reached all who subscribed; the same `key` again is the same event."""
        self._published += 1
        self.run(self.world.publish(subject, key or f"event {self._published}", payload))

    def advance(self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0) -> None:
        """So much time has passed, and what came due in it is done."""
        self.run(self.world.sleep(seconds + 60 * (minutes + 60 * (hours + 24 * days))))

    def all(self) -> list[Case]:
        """Everybody, children too, in the order of their births."""
        return [Case(ContinuationHandle(cid, self._client), self) for cid in self.world.run(self.world.ids())]

    def run(self, deed: Coroutine[Any, Any, T]) -> T:
        """`deed` is done, and whatever followed from it at once.

        Raises:
            AssertionError: something goes on and on.
        """
        outcome = self.world.run(deed)
        try:
            at_rest = self.world.run(self.world.quiet(AT_REST_WITHIN_S))
        except Standstill:
            at_rest = False
        if not at_rest:
            raise AssertionError("\n".join(["something goes on and on:", *map(repr, self.all())]))
        return outcome

    def look(self, question: Coroutine[Any, Any, T]) -> T:
        """The answer, with no time passing."""
        return self.world.run(question)


def anywhere(scenario: Callable[[Harness], T], *behaviours: type[Behaviour[Any]], **how: Any) -> tuple[T, list[T]]:
    """What `scenario` returns when nothing happens; and what it returns if a process dies, for each place to die at.

    The places are before and after each write of any of Maestro's processes. `how` are arguments of Harness.
    """
    undisturbed = CutPoint()
    with Harness(*behaviours, unlucky=undisturbed, **how) as harness:
        expected, writes = scenario(harness), tuple(harness.world.history.changes)
    outcomes = []
    for cut in (CutPoint(at, after) for at in writes for after in (False, True)):
        with Harness(*behaviours, unlucky=cut, **how) as harness:
            outcomes.append(scenario(harness))
        if cut.cut is None:
            raise AssertionError(f"call {cut.at} was never made: the scenario differs from run to run")
    return expected, outcomes


def _luck(seed: int) -> Storm:
    """Bad luck of all kinds but one: a clock that jumps by itself would make `advance` a guess."""
    drawn = Profile.drawn(Random(f"profile {seed}"))
    rates: dict[Fault, int] = {**drawn.per_million, Fault.CLOCK_JUMP: 0}
    return Storm(Random(f"storm {seed}"), replace(drawn, per_million=rates))
