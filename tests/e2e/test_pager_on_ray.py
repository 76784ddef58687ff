"""The pager as a supervised actor: one real Ray, real litellm, a provider over HTTP."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import ActorDiedError

from actors import children
from actors.pager import PAGER
from maestro.budget.vector import BudgetVector
from maestro.errors import AuthRefused
from maestro.ids import DEFAULT_TENANT, CallId, ContinuationId
from maestro.pager.dispatch import Message
from maestro.pager.prices import PriceTable
from maestro.pager.reply import Reply
from maestro.pager.request import ModelRequest
from maestro.policy.gradient import Step, Tier
from maestro.settings import Settings
from maestro.supervision.spec import ChildSpec
from maestro.testing.provider import FakeProvider, Say, Status, Trickle
from tests.e2e.own_ray import own_ray

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="mpg", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def cluster(folder: Path) -> Iterator[None]:
    with own_ray(folder):
        yield


def spec(home: Path, fake: FakeProvider) -> ChildSpec:
    tiers = {
        "MAESTRO_TIER_HAIKU": "openai/fake",
        "MAESTRO_TIER_HAIKU_API_BASE": fake.openai_base,
        "MAESTRO_TIER_HAIKU_PRICE": "1/5",
    }
    settings = Settings.load(home=home, tiers=tiers, tier_keys={"MAESTRO_TIER_HAIKU_API_KEY": "sk-1"})
    args: dict[str, Any] = {"settings": settings.to_json(), "opener": "tests.e2e.pager_answers:open_answers"}
    return ChildSpec(id="pager", start=PAGER, args=args, start_ms=150_000)  # litellm, on a machine that is busy


def request(call: str) -> str:
    return ModelRequest(
        call_id=CallId(call),
        cid=ContinuationId("0123456789abcdefghjkmn-0"),
        ordinal=0,
        tenant=DEFAULT_TENANT,
        tier=Tier.HAIKU,
        step=Step.HAIKU,
        messages=(Message(role="user", content="hello"),),
        price=BudgetVector({"usd": 20_000, "tokens": 4_000, "cheap_model_calls": 1}),
    ).model_dump_json()


async def test_the_pager_answers_each_call_once_over_its_own_death_and_stops_in_order(
    cluster: None, folder: Path
) -> None:
    with FakeProvider(Say("hello back")) as fake:
        pager = await children.start(spec(folder, fake))
        watched: Any = pager.handle.watch.remote()
        table = PriceTable.model_validate_json(await pager.handle.quote.remote())
        assert table.targets(Tier.HAIKU)[0].price.output_micros_per_mtok == 5_000_000

        told = await asyncio.gather(*(pager.handle.call.remote(request("call-1")) for _ in range(3)))
        assert {Reply.model_validate_json(text).opened().content for text in told} == {"hello back"}
        assert len(fake.calls) == 1

        fake.script(Trickle(every_s=0.001, say=Say("in flight")))
        flying = pager.handle.call.remote(request("call-3"))
        async with asyncio.timeout(30):
            while len(fake.calls) < 2:  # noqa: ASYNC110 - the fake counts in another thread
                await asyncio.sleep(0.01)
        await children.stop(pager, 30_000)
        assert Reply.model_validate_json(await flying).opened().content == "in flight"
        with contextlib.suppress(ActorDiedError):  # the kill after an orderly stop may overtake the last word
            assert await watched is None

        again = await children.start(spec(folder, fake))
        for call, content in (("call-1", "hello back"), ("call-3", "in flight")):
            assert Reply.model_validate_json(await again.handle.call.remote(request(call))).opened().content == content
        assert len(fake.calls) == 2

        fake.script(Status(401, "who are you"))
        with pytest.raises(AuthRefused, match="who are you"):
            Reply.model_validate_json(await again.handle.call.remote(request("call-2"))).opened()
        assert len(fake.calls) == 3
        await children.stop(again, 10_000)
