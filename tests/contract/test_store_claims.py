"""The claim to a name: one holder, numbered; another site waits for the lease, the same site does not."""

import pytest

from maestro.ids import HolderId
from maestro.runtime.backend import Backend

ROOT, OTHER = HolderId("root#1"), HolderId("root#2")


async def test_a_name_that_nobody_holds_is_taken(backend: Backend) -> None:
    claim = await backend.claims.take("root", ROOT, "here", 1_000)

    assert (claim.granted, claim.epoch, claim.holder, claim.site) == (True, 1, ROOT, "here")
    assert claim.until_ms == claim.now_ms + 1_000
    assert await backend.claims.renew("root", 1, 1_000)


async def test_another_site_is_refused_while_the_lease_lives_and_is_told_who_holds_it(backend: Backend) -> None:
    await backend.claims.take("root", ROOT, "here", 60_000)
    refused = await backend.claims.take("root", OTHER, "there", 60_000)

    assert (refused.granted, refused.epoch, refused.holder, refused.site) == (False, 1, ROOT, "here")
    assert await backend.claims.renew("root", 1, 60_000)


async def test_a_lease_that_ran_out_is_taken_and_the_overtaken_one_finds_out(backend: Backend) -> None:
    await backend.claims.take("root", ROOT, "here", 1_000)
    await backend.steering.advance(1_000)
    taken = await backend.claims.take("root", OTHER, "there", 60_000)

    assert (taken.granted, taken.epoch) == (True, 2)
    assert not await backend.claims.renew("root", 1, 60_000)
    assert await backend.claims.renew("root", 2, 60_000)


async def test_a_newer_claimant_of_the_same_site_overtakes_at_once(backend: Backend) -> None:
    await backend.claims.take("root", ROOT, "here", 60_000)
    taken = await backend.claims.take("root", OTHER, "here", 60_000)

    assert (taken.granted, taken.epoch, taken.holder) == (True, 2, OTHER)
    assert not await backend.claims.renew("root", 1, 60_000)


async def test_a_renewed_lease_runs_on_and_one_let_go_is_over(backend: Backend) -> None:
    await backend.claims.take("root", ROOT, "here", 1_000)
    await backend.steering.advance(900)
    await backend.claims.renew("root", 1, 60_000)
    await backend.steering.advance(900)
    assert not (await backend.claims.take("root", OTHER, "there", 1_000)).granted

    await backend.claims.let_go("root", 1)
    assert (await backend.claims.take("root", OTHER, "there", 60_000)).epoch == 2


@pytest.mark.parametrize("epoch", [0, 1, 3])
async def test_only_the_epoch_that_holds_it_can_let_go(backend: Backend, epoch: int) -> None:
    await backend.claims.take("root", ROOT, "here", 60_000)
    await backend.claims.take("root", ROOT, "here", 60_000)
    await backend.claims.let_go("root", epoch)

    assert await backend.claims.renew("root", 2, 60_000)
    assert not (await backend.claims.take("root", OTHER, "there", 1_000)).granted


async def test_names_are_claimed_one_by_one(backend: Backend) -> None:
    await backend.claims.take("root", ROOT, "here", 60_000)
    assert (await backend.claims.take("other", OTHER, "there", 60_000)).granted
