"""A stage for ticks: a store, behaviours, a pager that counts on its own side, and every loop, moved by hand.

Nothing here waits for real time: `settle` moves whatever can move until nothing can. What is real: store, runner, mind,
pager desk, journal, loops. What is scripted: the model.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import JsonValue

from maestro.budget.ledger import Ledger
from maestro.budget.vector import BudgetVector
from maestro.continuation.checkpoint import Checkpoint
from maestro.continuation.envelope import Seal
from maestro.continuation.goal import GoalFrame
from maestro.errors import Conflict, ModelError
from maestro.field.local import LocalRanker
from maestro.ids import ContinuationId, HolderId, Partition
from maestro.mesh.event import new_event
from maestro.pager.desk import PagerDesk
from maestro.pager.dispatch import ModelCallResult, ModelUsage, StopReason
from maestro.pager.prices import Price, PricedTarget, PriceTable, calls_resource
from maestro.pager.request import ModelRequest
from maestro.pane import views
from maestro.pane.views import View
from maestro.policy.gradient import Tier
from maestro.policy.question import PolicyConfig
from maestro.runtime import verbs
from maestro.runtime.backend import Backend
from maestro.runtime.dispatching import Dispatcher
from maestro.runtime.loops import Projector, Reaper, Timekeeper
from maestro.runtime.publisher import MeshPublisher
from maestro.runtime.relay import Relay
from maestro.runtime.verbs import Installation, Start
from maestro.tick.answers import JournaledAnswers
from maestro.tick.behaviour import Behaviour, Repertoire
from maestro.tick.blocks import Keeper
from maestro.tick.mind import Faculties, Pager, ThinkingMind
from maestro.tick.runner import HandBack, Outcome, Surroundings, run
from maestro.tick.store import Adopted, Commit, Held
from maestro.tick.workbench import Workbench
from maestro.tools.calls import InlineTools, ToolRunner
from maestro.tools.registry import Toolbox
from maestro.tools.spec import Tool

SEAL = Seal(b"a key of thirty-two bytes to test")
ALICE, BOB = HolderId("pool/default/1#alice"), HolderId("pool/default/2#bob")
LEASE_MS = 30_000
CHARGE_USD_MICROS, CHARGE_TOKENS = 35, 15
PLENTY = BudgetVector({"usd": 50_000_000, "tokens": 50_000_000})
LIST_PRICES = {Tier.HAIKU: 1_000_000, Tier.SONNET: 3_000_000, Tier.OPUS: 5_000_000}


def _priced(tier: Tier, micros: int) -> PricedTarget:
    price = Price(input_micros_per_mtok=micros, output_micros_per_mtok=5 * micros)
    return PricedTarget(target=f"scripted/{tier}", price=price)


PRICES = PriceTable(tiers={tier: (_priced(tier, micros),) for tier, micros in LIST_PRICES.items()})


@dataclass
class CountingModel:
    """A provider that answers in the order of its script, then `ok` for ever; it counts what it answered."""

    script: list[ModelError | str] = field(default_factory=list)
    answered: Counter[str] = field(default_factory=Counter)
    asked: int = 0

    async def __call__(self, request: ModelRequest) -> ModelCallResult:
        self.asked += 1
        act = self.script.pop(0) if self.script else "ok"
        if isinstance(act, ModelError):
            raise act
        self.answered[request.call_id] += 1
        return result(request, act)


def result(of: ModelRequest, content: str = "ok") -> ModelCallResult:
    """An answer at a small fixed price."""
    charge = {"usd": CHARGE_USD_MICROS, "tokens": CHARGE_TOKENS, calls_resource(of.tier): 1}
    return ModelCallResult(
        content=content,
        stop_reason=StopReason.END,
        tier=of.tier,
        step=of.step,
        provider="scripted",
        model="scripted/one",
        latency_ms=1,
        cost_usd_micros=CHARGE_USD_MICROS,
        usage=ModelUsage(executor_input_tokens=10, executor_output_tokens=5),
        charge=BudgetVector(charge),
        call_id=of.call_id,
    )


class Stage:
    """One store and all that moves on it."""

    def __init__(
        self,
        backend: Backend,
        *behaviours: type[Behaviour[Any]],
        model: CountingModel | None = None,
        tools: Iterable[Tool] = (),
        workers: ToolRunner | None = None,
    ) -> None:
        self.backend = backend
        self.at = Installation(backend, SEAL, PLENTY)
        self.model = model or CountingModel()
        self.desk = PagerDesk(self.model, JournaledAnswers(backend.journals))
        self.pager: Pager = self.desk
        self.publisher = MeshPublisher(backend.router, backend.partitions)
        self.relay, self.timekeeper, self.reaper = Relay(backend), Timekeeper(backend), Reaper(backend)
        self.dispatcher = Dispatcher(backend, self.call)
        self.projector = Projector(backend, SEAL, LocalRanker())
        self.bench = Workbench(Toolbox(tools), workers or InlineTools(), backend.tools, backend.journals)
        self.faculties: dict[str, Any] = {}
        """What those of the next `surroundings` have that is not as shipped."""
        self.around = self.surroundings(*behaviours)
        self.after_each_move: list[Callable[[], Any]] = []

    def surroundings(self, *behaviours: type[Behaviour[Any]], **changes: Any) -> Surroundings:
        """What the ticks of one process share."""
        faculties = self.equipped(
            Faculties(
                self.backend.shelf,
                self,
                PRICES,
                PolicyConfig(advisor_enabled=False),
                Keeper(self.backend.blocks),
                self.bench,
                self.backend.placements,
                journals=self.backend.journals,
                **self.faculties,
            )
        )
        around = Surroundings(
            store=self.backend.store,
            seal=SEAL,
            tenant=self.backend.tenant,
            repertoire=Repertoire(behaviours),
            make_mind=lambda adopted, before, journal, inbox: ThinkingMind(faculties, adopted, before, journal, inbox),
        )
        return replace(around, **changes)

    def equipped(self, faculties: Faculties) -> Faculties:
        """What ticks think with; a stage of another kind puts something around it."""
        return faculties

    async def call(self, request: ModelRequest) -> ModelCallResult:
        """The pager of every tick here, whoever it is by now."""
        return await self.pager.call(request)

    async def start(self, behaviour: type[Behaviour[Any]] | str, goal: str = "a test", **asked: Any) -> ContinuationId:
        name = behaviour if isinstance(behaviour, str) else behaviour.name
        return await verbs.start(self.at, Start(behaviour=name, goal=GoalFrame(goal=goal), **asked))

    async def adopt(self, holder: HolderId = ALICE, pool: str = "default") -> Adopted | None:
        for number in range(self.backend.partitions):
            adopted = await self.backend.store.adopt(pool, holder, LEASE_MS, Partition(number))
            if adopted is not None:
                return adopted
        return None

    async def taken(self, holder: HolderId = ALICE) -> Adopted:
        adopted = await self.adopt(holder)
        assert adopted is not None, "nobody is ready"
        return adopted

    async def write(self, adopted: Adopted, outcome: Outcome) -> None:
        """What a host does with the outcome of a tick."""
        if isinstance(outcome, HandBack):
            store = self.backend.store
            await store.release(adopted.cid, adopted.epoch, outcome.retry_in_ms, outcome.error, outcome.counts)
        elif isinstance(outcome, Held):
            await self.backend.store.hold(outcome)
        else:
            try:
                await self.backend.store.commit(outcome)
            except Conflict as error:
                await self.backend.store.release(adopted.cid, adopted.epoch, 0, str(error), counts=False)

    async def tick(self) -> Outcome:
        """The next ready one has had its tick; it must be there."""
        adopted = await self.taken()
        outcome = await run(adopted, self.around)
        await self.write(adopted, outcome)
        return outcome

    async def committed(self) -> Commit:
        outcome = await self.tick()
        assert isinstance(outcome, Commit), outcome
        return outcome

    async def handed_back(self) -> HandBack:
        outcome = await self.tick()
        assert isinstance(outcome, HandBack), outcome
        return outcome

    async def held(self) -> Held:
        outcome = await self.tick()
        assert isinstance(outcome, Held), outcome
        return outcome

    async def settle(self) -> None:
        """Everything moves until nothing can without time, people or the world outside."""
        while await self._move():
            for look in self.after_each_move:
                await look()

    async def _move(self) -> bool:
        adopted = await self.adopt()
        if adopted is not None:
            await self.write(adopted, await run(adopted, self.around))
        before = self._moved
        for loop in (self.timekeeper, self.relay, self.projector, self.dispatcher):
            await loop.step()
        await self.dispatcher.drain()
        return adopted is not None or before != self._moved

    @property
    def _moved(self) -> tuple[int, ...]:
        return (self.timekeeper.fired, self.relay.delivered, self.projector.projected, self.dispatcher.told)

    async def publish(self, subject: str, key: str, payload: JsonValue = None, type: str = "feed.item") -> int:
        """How many it matched at home."""
        now_ms = await self.backend.clock.now_ms()
        event = new_event(subject, type, "source.test", key, payload, now_ms, taint="untrusted")
        return (await self.publisher.publish(event)).matched

    async def advance(self, by_ms: int) -> None:
        await self.backend.steering.advance(by_ms)

    async def view(self, cid: ContinuationId) -> View:
        return views.opened(await verbs.glance_of(self.at, cid), SEAL, self.backend.tenant)

    async def checkpoint(self, cid: ContinuationId) -> Checkpoint:
        return (await self.view(cid)).checkpoint

    async def state(self, cid: ContinuationId) -> Any:
        return (await self.checkpoint(cid)).state

    async def why(self, cid: ContinuationId) -> str:
        return views.why(await self.view(cid))

    async def ledger(self, cid: ContinuationId) -> Ledger:
        return (await verbs.glance_of(self.at, cid)).ledger

    async def all(self) -> list[ContinuationId]:
        return [cid for p in verbs.partitions(self.at) for cid in await self.backend.records.ids(p)]

    async def total(self, count: str) -> int:
        counts = [await self.backend.records.counts(p) for p in verbs.partitions(self.at)]
        return sum(partition.get(count, 0) for partition in counts)

    async def audit(self) -> None:
        """Every log leads to its checkpoint, and the books of every family balance."""
        ids = await self.all()
        ledgers = {cid: await self.ledger(cid) for cid in ids}
        parents = {cid: (await self.checkpoint(cid)).parent for cid in ids}
        for cid in ids:
            await verbs.verify(self.at, cid)
            conserved(ledgers[cid], [ledgers[kid] for kid in ids if parents[kid] == cid])


def conserved(ledger: Ledger, children: Iterable[Ledger]) -> None:
    """What is granted is free, reserved, spent or lent, nothing below zero; what is lent is what the children have."""
    kids = list(children)
    for resource, account in ledger.accounts.items():
        assert min(account.reserved, account.spent, account.lent) >= 0, (resource, account)
        assert account.reserved == sum(price[resource] for price in ledger.reservations.values()), (resource, account)
        assert account.lent == sum(kid.account(resource).granted or 0 for kid in kids), (resource, account)
        assert account.free is None or account.free >= 0, (resource, account)
