"""Accounts above families: limits hold along the whole path, whoever starts, dies or repeats himself.

Laws: at every moment the families of an account hold at most what it has lent, and no account lends more than it was
granted; when all is finished and paid, what is lent is what is held.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import fields, replace
from random import Random
from typing import Any

import pytest

from maestro.budget.accounts import AccountPath, Rest, Slice, check_path
from maestro.budget.vector import BudgetVector
from maestro.continuation.directive import Closing, Finish, Sleep
from maestro.continuation.goal import GoalFrame
from maestro.continuation.mail import Mail
from maestro.errors import BudgetExceededError, Conflict, InvalidInput, NotFound, StoreUnavailable
from maestro.ids import ContinuationId, Partition, TimeMs, new_continuation_id
from maestro.runtime import moneys, steer, verbs
from maestro.runtime.backend import Backend
from maestro.runtime.treasury import GRACE_MS, Treasury
from maestro.runtime.verbs import Start
from maestro.runtime.warehousing import fresh
from maestro.tick.behaviour import Behaviour, NoState
from maestro.tick.birth import born, root_of
from maestro.tick.context import Tick
from maestro.warehouse.stock import BEGINNING
from tests.stage import Stage

TENANT, KEY, PROJECT = AccountPath("acme"), AccountPath("acme/key-7"), AccountPath("acme/key-7/reading")
STARTERS, SLICE, LIMIT = 200, 1_000, 60_500


class Reader(Behaviour[NoState]):
    """Thinks, lets a child think, ends as it is told."""

    async def start(self, tick: Tick[NoState]) -> Closing | None:
        await tick.think("is it so?", max_output_tokens=10)
        return Sleep.until_woken()

    async def on_message(self, tick: Tick[NoState], message: Mail) -> Closing | None:
        match message.subject:
            case "spawn":
                tick.spawn(Reader, goal="more", budget=tick.budget.share(0.5), on_parent_end="detached")
            case "finish":
                return Finish()
        return None


@pytest.fixture
async def stage(backend: Backend) -> AsyncIterator[Stage]:
    stage = Stage(backend, Reader)
    yield stage
    await stage.audit()


def money(**amounts: int) -> BudgetVector:
    return BudgetVector(amounts)


async def grant(stage: Stage, path: str, **amounts: int) -> None:
    await moneys.grant_account(stage.at, path, money(**amounts))


async def figures(stage: Stage, path: str, resource: str = "usd") -> tuple[Any, Any, Any]:
    lines = {(line["account"], line["resource"]): line for line in await moneys.account_lines(stage.at)}
    line = lines[path, resource]
    return line["granted"], line["lent"], line["free"]


async def start(stage: Stage, account: str, **amounts: int) -> ContinuationId:
    asked = Start(Reader.name, GoalFrame(goal="a test"), money(**amounts), account=account)
    return await verbs.start(stage.at, asked)


async def settled(stage: Stage) -> None:
    """All is finished and paid."""
    await stage.advance(GRACE_MS)
    await Treasury(stage.backend).look()


async def held(stage: Stage, account: str) -> int:
    """The dollars that families of an account hold or have spent; children are counted in their parents."""
    glances = [await verbs.glance_of(stage.at, cid) for cid in await stage.all()]
    tops = [one for one in glances if one.parent is None and one.account is not None]
    return sum(one.ledger.account("usd").granted or 0 for one in tops if f"{one.account}/".startswith(f"{account}/"))


async def test_a_start_must_fit_every_account_of_its_path(stage: Stage) -> None:
    await grant(stage, TENANT, usd=5_000_000)
    await grant(stage, KEY, usd=4_000_000)
    await start(stage, PROJECT, usd=3_000_000)
    assert await figures(stage, TENANT) == (5_000_000, 3_000_000, 2_000_000)
    assert await figures(stage, PROJECT) == (None, 3_000_000, None), "nobody limits it, and it counts"
    with pytest.raises(BudgetExceededError) as refused:
        await start(stage, PROJECT, usd=1_500_000)
    assert refused.value.facts == {"resource": "usd", "asked": 1_500_000, "free": 1_000_000, "account": KEY}
    await start(stage, "acme/key-8", usd=2_000_000)
    with pytest.raises(BudgetExceededError) as refused:
        await start(stage, KEY, usd=1)
    assert refused.value.facts["account"] == TENANT
    assert len(await stage.all()) == 2, "whoever is refused does not exist"


async def test_who_is_started_without_an_account_asks_nobody_and_an_unknown_one_lends_nothing(stage: Stage) -> None:
    cid = await stage.start(Reader, budget=money(usd=9_000_000))
    assert (await verbs.glance_of(stage.at, cid)).account is None
    assert await moneys.account_lines(stage.at) == []
    with pytest.raises(NotFound, match="no account 'nobody/here'"):
        await start(stage, "nobody/here", usd=1)
    for wrong in ("", "a//b", "a/b/c/d/e", "a b"):
        with pytest.raises(InvalidInput):
            check_path(wrong)


async def test_what_an_account_limits_is_limited_for_the_family_though_it_was_not_asked_for(stage: Stage) -> None:
    await grant(stage, TENANT, usd=5_000_000, tokens=100)
    cid = await start(stage, TENANT, usd=1_000_000)
    assert (await stage.ledger(cid)).granted == money(usd=1_000_000, tokens=0)


async def test_the_rest_of_an_ended_family_is_its_accounts_again_a_detached_childs_too(stage: Stage) -> None:
    await grant(stage, TENANT, usd=20_000_000)
    root = await start(stage, PROJECT, usd=8_000_000)
    await stage.settle()
    await verbs.send(stage.at, root, None, "spawn")
    await stage.settle()
    await verbs.send(stage.at, root, None, "finish")
    await stage.settle()
    (child,) = [cid for cid in await stage.all() if cid != root]
    await settled(stage)
    spent = (await stage.ledger(root)).account("usd").spent
    kept = (await stage.ledger(child)).account("usd").granted or 0
    assert (await figures(stage, TENANT))[1] == spent + kept == await held(stage, TENANT)
    await steer.kill(stage.at, child)
    await stage.settle()
    await settled(stage)
    spent += (await stage.ledger(child)).account("usd").spent
    assert (await figures(stage, PROJECT))[1] == (await figures(stage, TENANT))[1] == spent
    assert (await stage.ledger(root)).account("usd").free == 0


async def test_a_rebudget_draws_on_the_account_and_gives_back_to_it_once_per_key(stage: Stage) -> None:
    await grant(stage, TENANT, usd=5_000_000)
    cid = await start(stage, TENANT, usd=2_000_000)
    for _ in range(2):
        await steer.rebudget(stage.at, cid, money(usd=1_000_000), key="more")
    assert await figures(stage, TENANT) == (5_000_000, 3_000_000, 2_000_000)
    with pytest.raises(BudgetExceededError):
        await steer.rebudget(stage.at, cid, money(usd=2_000_001))
    begun = Slice(TENANT, f"more:{cid}:begun", cid, "more", money(usd=300_000), TimeMs(0))
    await stage.backend.accounts.lend(begun, bounded=False)
    await steer.rebudget(stage.at, cid, money(usd=700_000), key="begun")
    assert (await figures(stage, TENANT))[1] == 3_300_000 == await held(stage, TENANT), "what was lent is given"
    await steer.rebudget(stage.at, cid, less=money(usd=300_000), key="back")
    for _ in range(2):
        await steer.rebudget(stage.at, cid, less=money(usd=500_000), key="less")
    await settled(stage)
    assert (await figures(stage, TENANT))[1] == 2_500_000 == await held(stage, TENANT)
    with pytest.raises(InvalidInput, match="one at a time"):
        await steer.rebudget(stage.at, cid, exactly=money(usd=1))
    with pytest.raises(BudgetExceededError):
        await moneys.grant_account(stage.at, TENANT, less=money(usd=2_500_001))


async def test_a_fork_and_a_merge_stay_with_their_account(stage: Stage) -> None:
    await grant(stage, TENANT, usd=8_000_000)
    await grant(stage, "other", usd=8_000_000)
    root = await start(stage, TENANT, usd=4_000_000)
    stranger = await start(stage, "other", usd=1_000_000)
    fork = await steer.fork(stage.at, root, share=0.5)
    await stage.settle()
    assert await held(stage, TENANT) == 4_000_000 == (await figures(stage, TENANT))[1]
    mergeable = stranger.rsplit("-")[-1] == fork.rsplit("-")[-1]
    await steer.merge(stage.at, [fork], stranger if mergeable else root)
    await stage.settle()
    await settled(stage)
    assert (await figures(stage, TENANT))[1] == await held(stage, TENANT)
    assert (await figures(stage, "other"))[1] == await held(stage, "other")
    await verbs.send(stage.at, root, None, "spawn")
    await stage.settle()
    await families_are_told(stage)


async def families_are_told(stage: Stage) -> None:
    """Whose money it is that anybody spends, the feed says at his birth: of children and forks, too."""
    rows = await fresh(stage.backend, dict.fromkeys(verbs.partitions(stage.at), BEGINNING))
    told = {row.cid: row.account for row in rows if row.kind == "born"}
    assert told == {cid: (await verbs.glance_of(stage.at, cid)).account for cid in await stage.all()}
    assert None not in told.values()


class Cut:
    """The accounts of a process that dies at its n-th step, before or after it is done."""

    def __init__(self, target: Any, left: list[int], after: bool) -> None:
        self._target, self._left, self._after = target, left, after

    def __getattr__(self, name: str) -> Callable[..., Any]:
        act = getattr(self._target, name)

        async def carried(*arguments: Any, **named: Any) -> Any:
            self._left[0] -= 1
            if self._left[0] == 0 and not self._after:
                raise StoreUnavailable("planted: before")
            reply = await act(*arguments, **named)
            if self._left[0] == 0:
                raise StoreUnavailable("planted: after")
            return reply

        return carried


def dying(backend: Backend, at_step: int, after: bool) -> Backend:
    """The store as a process sees it that dies at that step."""
    left, parts = [at_step], ("accounts", "store", "steering")
    whole = {field.name: getattr(backend, field.name) for field in fields(Backend)}
    return Backend(**whole | {name: Cut(whole[name], left, after) for name in parts})


async def books(stage: Stage) -> None:
    """No account has lent more than it was granted, nor families more than was lent."""
    for line in await moneys.account_lines(stage.at):
        if line["resource"] == "usd":
            granted, lent = line["granted"], line["lent"]
            assert isinstance(lent, int)
            assert granted is None or (isinstance(granted, int) and lent <= granted)
            assert await held(stage, str(line["account"])) <= lent


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", range(1, 6))
async def test_a_death_at_any_step_between_account_and_family_is_finished_by_who_finds_it(
    stage: Stage, step: int, after: bool
) -> None:
    await grant(stage, TENANT, usd=9_000_000)
    cid = await start(stage, PROJECT, usd=1_000_000)
    asked = Start(Reader.name, GoalFrame(goal="a test"), money(usd=2_000_000), account=PROJECT)
    for act in (
        lambda at: verbs.start(at, asked),
        lambda at: steer.rebudget(at, cid, money(usd=500_000), key="more"),
    ):
        mortal = replace(stage.at, backend=dying(stage.backend, step, after))
        with suppress(StoreUnavailable, Conflict):
            await act(mortal)
        await books(stage)
    await stage.settle()
    for one in await stage.all():
        await steer.kill(stage.at, one)
    await stage.settle()
    await books(stage)
    for dies in range(1, 12):  # the treasury dies at every step of its own, too
        await stage.advance(GRACE_MS)
        try:
            await Treasury(dying(stage.backend, dies, after)).look()
        except StoreUnavailable:
            await books(stage)
    await settled(stage)
    assert (await figures(stage, TENANT))[1] == await held(stage, TENANT)
    assert all([not await stage.backend.accounts.open_slices(p) for p in verbs.partitions(stage.at)])


async def test_a_start_that_was_given_up_is_refused_when_it_comes_late(stage: Stage) -> None:
    await grant(stage, TENANT, usd=5_000)
    cid = new_continuation_id(TimeMs(1), Partition(0))
    lent = await stage.backend.accounts.lend(
        Slice(TENANT, f"start:{cid}", cid, "start", money(usd=5_000), TimeMs(0)), True
    )
    assert lent == money(usd=5_000)
    await settled(stage)
    assert (await figures(stage, TENANT))[1] == 0
    again = Slice(TENANT, f"start:{cid}", cid, "start", money(usd=5_000), TimeMs(0))
    assert await stage.backend.accounts.lend(again, True) is None
    first = root_of(cid, stage.at.tenant, Reader.name, GoalFrame(goal="late"), TimeMs(1))
    with pytest.raises(Conflict, match="given up"):
        await stage.backend.store.create(replace(born(first, lent, stage.at.seal), account=TENANT))
    assert await stage.all() == []
    rest = Rest(cid, TENANT, 1, money(usd=7))
    await stage.backend.accounts.repay(rest)
    assert (await figures(stage, TENANT))[1] == 0, "nothing is lent below nothing"


@pytest.mark.spec("05.13")
@pytest.mark.shows("6.2")
@pytest.mark.parametrize("backend", [("memory", 3), ("redis", 3)], ids=["memory", "redis"], indirect=True)
async def test_two_hundred_starters_of_whom_many_die_never_overdraw_their_tenant(stage: Stage) -> None:
    luck = Random(7)
    await grant(stage, TENANT, usd=LIMIT)
    plans = [(luck.choice((0, 0, 1, 2, 3, 4)), luck.random() < 0.5) for _ in range(STARTERS)]

    async def starter(number: int) -> int:
        dies, after = plans[number]
        at = replace(stage.at, backend=dying(stage.backend, dies, after)) if dies else stage.at
        asked = Start(Reader.name, GoalFrame(goal="a test"), money(usd=SLICE), account=f"acme/key-{number % 9}")
        try:
            await verbs.start(at, asked)
        except (StoreUnavailable, Conflict):
            return 0
        except BudgetExceededError:
            return -1
        return 1

    async def treasurer() -> None:
        for _ in range(4):
            await Treasury(stage.backend, grace_ms=0).look()
            await books(stage)

    outcomes, _ = await asyncio.gather(asyncio.gather(*map(starter, range(STARTERS))), treasurer())
    await books(stage)
    assert outcomes.count(-1) > 0, "the limit was met"
    assert outcomes.count(1) > 20
    await settled(stage)
    lent = (await figures(stage, TENANT))[1]
    assert lent == await held(stage, TENANT) <= LIMIT
    assert LIMIT - lent < SLICE or outcomes.count(0), "what was lent to the dead is lent again"
