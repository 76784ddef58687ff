"""What the way of a model call adds to the call itself, and what advice costs by the ledger.

The way is what a tick and its pager do for one call: the intent with its reservation, the notices, the desk, the answer
with its settlement, each durable (fsync `always`); not the Ray call between the two processes, nor composing the
prompt. The bare figure is litellm alone against the same server, taken in turns.
The prices of the second part are those of DESIGN 8; who asks for advice, and how often, is scripted, so
the ratios say what the mechanism costs at that rate, not what a model would do.
"""

import time
from collections.abc import Sequence
from itertools import count

from benchmarks.policy import PRICES
from benchmarks.report import Outcome, Row, Scale, quantile
from benchmarks.stage import GOAL, POOL, SEAL, TENANT, stage
from maestro.adapters.litellm import open_dispatch
from maestro.adapters.redis.backend import open_backend
from maestro.budget.vector import USD, BudgetVector
from maestro.ids import ContinuationId, HolderId, partition_of
from maestro.pager.advisor import CONSULT, reserved
from maestro.pager.desk import PagerDesk
from maestro.pager.dispatch import Message, ModelCallResult
from maestro.pager.failover import FailoverModelRouter
from maestro.pager.prices import Price
from maestro.pager.request import ModelRequest, input_bound_tokens
from maestro.pager.targets import Target
from maestro.policy.gradient import Step, Tier
from maestro.runtime import verbs
from maestro.runtime.backend import Backend
from maestro.runtime.verbs import Installation, Start
from maestro.testing.formats import JsonObject
from maestro.testing.provider import FakeProvider, Reply, Say
from maestro.tick.answers import JournaledAnswers
from maestro.tick.journal import new_intent
from maestro.tick.store import Adopted, Batch

MODEL = "openai/fake"
PROMPT = "Federated reinforcement learning for robots, and what came of it. " * 180  # about 3,000 tokens
OUTPUT_TOKENS = 400
ASKS_EVERY = 2  # of so many calls one asks its advisor
BYTES_PER_TOKEN = 4
WARMING = 8  # rounds that are not counted: connections are open from then on
CALLS_OF_A_TICK = 4  # the pager reads the journal of the open tick: a tick of hundreds of calls is nobody's
ADVISED = ((Step.SONNET_ADVISOR, Step.OPUS), (Step.HAIKU_ADVISOR, Step.SONNET))


async def measure(scale: Scale) -> Outcome:
    rounds, calls = (30, 4) if scale is Scale.QUICK else (300, 40)
    with stage() as server, FakeProvider(Reply(_Script())) as fake:
        backend = await open_backend(server.url, TENANT)
        dispatch = open_dispatch({tier: (_target(tier, fake),) for tier in Tier})
        dispatch.told_by(backend.notices)
        try:
            ours, bare = await _in_turns(backend, dispatch, fake, rounds)
            spent = {step: await _spent(backend, dispatch, step, calls) for pair in ADVISED for step in pair}
        finally:
            await dispatch.close()
            await backend.close()
    rows = [
        Row("model call, the whole way, p50", "ms", _ms(ours, 0.5), _ms(bare, 0.5)),
        Row("model call, the whole way, p99", "ms", _ms(ours, 0.99), _ms(bare, 0.99)),
        Row("added to a model call by the way, p50", "ms", _ms([a - b for a, b in zip(ours, bare, strict=True)], 0.5)),
    ]
    rows += [Row(f"cost of {a} beside {b}", "usd", spent[a] / 1e6, spent[b] / 1e6) for a, b in ADVISED]
    return Outcome("calls", tuple(rows), {"asks_every": ASKS_EVERY, "calls_of_each_step": calls})


class _Caller:
    """One adopted continuation that makes calls, as a tick does."""

    def __init__(self, backend: Backend, dispatch: FailoverModelRouter, adopted: Adopted) -> None:
        self._backend = backend
        self._dispatch = dispatch
        self._desk = PagerDesk(dispatch.answer, JournaledAnswers(backend.journals))
        self._adopted = adopted
        self._ordinals = count()

    @property
    def cid(self) -> ContinuationId:
        return self._adopted.cid

    async def call(self, step: Step) -> ModelCallResult:
        ordinal, messages = next(self._ordinals), (Message(role="user", content=PROMPT),)
        price = reserved(self._dispatch.prices, step, input_bound_tokens(messages), OUTPUT_TOKENS)
        intent = new_intent(ordinal, "model", f"key-{ordinal}", price, f"{step}: measured")
        entry = await self._backend.store.record(
            self._adopted.cid, self._adopted.epoch, intent, Batch((), self._adopted.now_ms)
        )
        request = ModelRequest(
            call_id=entry.call_id,
            cid=self._adopted.cid,
            ordinal=ordinal,
            tenant=TENANT,
            tier=step.tier,
            step=step,
            messages=messages,
            max_output_tokens=OUTPUT_TOKENS,
            price=price,
            use_advisor=step.advisor,
        )
        return await self._desk.call(request)


async def _in_turns(
    backend: Backend, dispatch: FailoverModelRouter, fake: FakeProvider, rounds: int
) -> tuple[list[float], list[float]]:
    """Seconds of each call by our way and of each bare one, in turns; who begins changes with each round."""
    import litellm  # noqa: PLC0415 - after the adapter has told it to fetch no price list

    async def by_itself() -> float:
        begun = time.perf_counter()
        await litellm.acompletion(
            model=MODEL,
            messages=[{"role": "user", "content": PROMPT}],
            max_tokens=OUTPUT_TOKENS,
            api_base=fake.openai_base,
            api_key="none",
        )
        return time.perf_counter() - begun

    async def by_us(caller: _Caller) -> float:
        begun = time.perf_counter()
        await caller.call(Step.HAIKU)
        return time.perf_counter() - begun

    ours: list[float] = []
    bare: list[float] = []
    for number in range(-WARMING, rounds):
        if (number + WARMING) % CALLS_OF_A_TICK == 0:
            caller = await _caller(backend, dispatch)
        if number % 2:
            took, alone = await by_us(caller), await by_itself()
        else:
            alone, took = await by_itself(), await by_us(caller)
        if number >= 0:
            ours.append(took)
            bare.append(alone)
    return ours, bare


async def _spent(backend: Backend, dispatch: FailoverModelRouter, step: Step, calls: int) -> int:
    """The micro-dollars that the ledger of a continuation has spent after so many calls of `step`."""
    caller = await _caller(backend, dispatch)
    for _ in range(calls):
        await caller.call(step)
    seen = await backend.records.glance(caller.cid)
    return seen.ledger.accounts[USD].spent if seen else 0


async def _caller(backend: Backend, dispatch: FailoverModelRouter) -> _Caller:
    asked = Start("measured", GOAL, BudgetVector({USD: 1_000_000_000}), None, pool=POOL)
    cid = await verbs.start(Installation(backend, SEAL, BudgetVector({})), asked)
    adopted = await backend.store.adopt(POOL, HolderId("bench"), 600_000, partition_of(cid))
    if adopted is None:
        raise AssertionError(f"{cid} was not ready")
    return _Caller(backend, dispatch, adopted)


def _target(tier: Tier, fake: FakeProvider) -> Target:
    price = PRICES[tier]
    listed = Price(
        input_micros_per_mtok=price.input_micros, output_micros_per_mtok=price.output_micros, source="override"
    )
    return Target(MODEL, fake.openai_base, "none", listed)


class _Script:
    """A model that counts a token for four bytes, and asks its advisor every so often where it may."""

    def __init__(self) -> None:
        self._offered = count()

    def __call__(self, body: JsonObject) -> Say:
        text = str(body)
        tokens = len(text) // BYTES_PER_TOKEN
        if CONSULT.name in text and next(self._offered) % ASKS_EVERY == 0:
            return Say("", tokens, 40, stop="tool_calls", tool=(CONSULT.name, '{"question": "is it worth it?"}'))
        written = body.get("max_tokens")
        return Say("an answer", tokens, min(OUTPUT_TOKENS, written if isinstance(written, int) else OUTPUT_TOKENS))


def _ms(seconds: Sequence[float], at: float) -> float:
    return quantile(seconds, at) * 1e3
