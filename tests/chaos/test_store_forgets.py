"""F3, F8, F9: a store that knows less than it had acknowledged, and what is remembered of it outside (PROMISES 2a)."""

import asyncio
import shutil
import sys
from asyncio.subprocess import PIPE
from dataclasses import replace
from pathlib import Path

import pytest

from maestro import bootstrap
from maestro.chaos.store_child import StoreChild
from maestro.errors import Fenced, StoreRefused, StoreWentBack
from maestro.ids import Epoch, Partition, Rev, TimeMs
from maestro.runtime import verbs
from maestro.runtime.backend import Backend
from maestro.runtime.landmarks import NOTE, Landmarks
from maestro.settings import Settings
from maestro.tick.behaviour import Behaviour, NoState
from maestro.tick.runner import run
from maestro.tick.store import Adopted, Commit
from tests.chaos.volume import volume
from tests.stage import ALICE, BOB, Stage

MESSAGES = 200


class Listener(Behaviour[NoState]):
    """Does nothing, whatever it hears."""


def settings_for(folder: Path, store: StoreChild, fsync: str = "always") -> Settings:
    return Settings.load(home=folder / "home", redis_url=store.url, redis_fsync=fsync)


async def end_tick(stage: Stage, adopted: Adopted) -> Commit:
    """The commit of a tick that does nothing."""
    outcome = await run(adopted, stage.around)
    assert isinstance(outcome, Commit)
    return outcome


async def opened(settings: Settings) -> tuple[Backend, Landmarks]:
    """The store as an installation opens it, and who remembers it."""
    backend = await bootstrap.open_store(settings)
    return backend, bootstrap.open_landmarks(settings, backend)


async def test_f9_an_old_backup_is_noticed_shut_and_gone_on_with_only_by_consent(
    folder: Path, store: StoreChild
) -> None:
    settings = settings_for(folder, store)
    backend, landmarks = await opened(settings)
    stage = Stage(backend, Listener)
    cid = await stage.start(Listener)
    await stage.backend.store.commit(await end_tick(stage, await stage.taken()))
    await store.kill()
    shutil.copytree(store.folder, folder / "backup", ignore=shutil.ignore_patterns("s"))
    await store.start()
    await verbs.send(stage.at, cid, "of the lost time", key="lost")
    await stage.backend.store.commit(await end_tick(stage, await stage.taken()))
    await verbs.send(stage.at, cid, "of the lost time, too", key="lost-too")
    stale = await stage.taken()
    stale_end = await end_tick(stage, stale)
    assert await landmarks.look() is None
    await store.kill()
    shutil.rmtree(store.folder)
    shutil.copytree(folder / "backup", store.folder)
    await store.start()

    await backend.timers.fire(Partition(0))
    with pytest.raises(StoreWentBack, match="1 commits or more"):
        await landmarks.look()
    with pytest.raises(StoreRefused, match="restore-a-store"):
        await verbs.send(stage.at, cid, "meanwhile", key="meanwhile")
    with pytest.raises(StoreWentBack):
        await bootstrap.open_store(settings)

    loss = await bootstrap.look_back(settings, accept=True)
    assert loss is not None
    assert (loss.kind, loss.commits >= 1) == ("older", True)
    assert await landmarks.look() is None
    await verbs.send(stage.at, cid, "again", key="again")
    taken = await stage.taken(BOB)
    assert taken.epoch > stale.epoch
    for epoch in range(stale.epoch + 1):
        with pytest.raises(Fenced):
            await backend.store.commit(replace(stale_end, epoch=Epoch(epoch), rev=Rev(taken.rev + 1)))
    await backend.store.commit(await end_tick(stage, taken))
    await stage.audit()
    await backend.close()


async def test_f9_what_was_in_hand_then_is_told_that_its_outside_may_be_done_twice(
    folder: Path, store: StoreChild
) -> None:
    backend, landmarks = await opened(settings_for(folder, store))
    stage = Stage(backend, Listener)
    cid = await stage.start(Listener)
    await stage.taken(ALICE)
    await landmarks.look()
    seen = landmarks.marks.read()
    assert seen is not None
    landmarks.marks.keep(replace(seen, told_ms=TimeMs(seen.told_ms + 60_000)))
    await landmarks.look(accept=True)
    assert (await verbs.glance_of(stage.at, cid)).error == NOTE
    assert (await stage.taken(BOB)).last_error == NOTE
    await backend.close()


async def test_f8_an_empty_store_takes_nothing_and_nothing_is_made_anew(folder: Path, store: StoreChild) -> None:
    settings = settings_for(folder, store)
    backend, landmarks = await opened(settings)
    stage = Stage(backend, Listener)
    await stage.start(Listener)
    await landmarks.look()
    await store.kill()
    shutil.rmtree(store.folder)
    store.folder.mkdir(mode=0o700)
    await store.start()

    with pytest.raises(StoreRefused, match="is empty"):
        await stage.start(Listener)
    with pytest.raises(StoreRefused, match="is empty"):
        await stage.publish("news", "k")
    with pytest.raises(StoreWentBack, match="is empty"):
        await landmarks.look()
    with pytest.raises(StoreWentBack, match="is empty"):
        await bootstrap.open_store(settings)
    with pytest.raises(StoreWentBack, match="is empty"):
        await bootstrap.look_back(settings)
    assert await store.say("DBSIZE") == 0

    loss = await bootstrap.look_back(settings, accept=True)
    assert loss is not None
    anew, marked = await opened(settings)
    assert (await anew.identity.read()).incarnation == 1
    assert await marked.look() is None
    assert await Stage(anew, Listener).start(Listener)
    await anew.close()
    await backend.close()


async def test_f8_up_refuses_an_empty_store_and_says_what_to_do(folder: Path, store: StoreChild) -> None:
    settings = settings_for(folder, store)
    backend, landmarks = await opened(settings)
    await landmarks.look()
    await backend.close()
    await store.say("FLUSHALL")
    command = (sys.executable, "-c", "from maestro.cli import main; main()", "--home", settings.home)
    asked = await asyncio.create_subprocess_exec(*command, "up", "--redis-url", store.url, stderr=PIPE)
    _, said = await asked.communicate()
    assert asked.returncode == 4
    assert "the store is empty" in said.decode()
    assert "--accept-older-store" in said.decode()
    assert await store.say("DBSIZE") == 0


@pytest.mark.powercut
async def test_f3_after_a_power_cut_with_everysec_a_new_incarnation_begins_by_itself(folder: Path) -> None:
    with volume(folder, 48) as disk:
        child = StoreChild(disk.at / "store")
        await child.start()
        await child.say("CONFIG", "SET", "appendfsync", "always")  # until there is something that cannot be lost
        settings = settings_for(folder, child, "everysec")
        backend, landmarks = await opened(settings)
        stage = Stage(backend, Listener)
        cid = await stage.start(Listener)
        await stage.backend.store.commit(await end_tick(stage, await stage.taken()))
        await child.say("CONFIG", "SET", "appendfsync", "everysec")
        acknowledged = [await verbs.send(stage.at, cid, number, key=f"m{number}") for number in range(MESSAGES)]
        stale_end = await end_tick(stage, await stage.taken())
        await landmarks.look()
        await child.say("CONFIG", "SET", "appendfsync", "no")  # the disk stalls: nothing more reaches it
        disk.cut_power()
        await child.kill()
        disk.unmount()
        disk.mount()
        await child.start()
        try:
            loss = await landmarks.look()
            assert loss is not None
            assert loss.kind == "second"
            with pytest.raises(Fenced):
                await backend.store.commit(stale_end)
            there = await backend.records.glance(cid)
            if there is not None and there.unread:
                mail = [mail.id for mail in (await stage.taken(BOB)).mail]
                assert mail == acknowledged[: len(mail)], "what is left is all up to a moment"
        finally:
            await backend.close()
            await child.kill()
