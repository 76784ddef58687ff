"""Mail that the tests of mailboxes write."""

import asyncio

import orjson

from maestro.continuation.mail import Mail
from maestro.ids import ContinuationId
from tests.contract.support import World, letter


async def fill(world: World, cid: ContinuationId, number: int) -> list[Mail]:
    """So many messages lie in its mailbox."""
    mails = [letter() for _ in range(number)]
    for start in range(0, number, 500):
        await asyncio.gather(*(world.backend.store.deliver(cid, mail) for mail in mails[start : start + 500]))
    return mails


def about(name: str) -> Mail:
    """A mail that supersedes those of the same name."""
    return letter().model_copy(update={"supersedes": name})


def until(expires_ms: int) -> Mail:
    return letter().model_copy(update={"expires_ms": expires_ms})


def written(sender: str, rev: int, ordinal: int) -> Mail:
    """What a continuation far away sent in that tick, long ago."""
    return letter(id_=f"{sender}:{rev}:{ordinal}").model_copy(update={"sender": sender})


async def causes(world: World) -> list[str]:
    return [orjson.loads(line)["cause"] for line in await world.backend.records.dead_letters(world.partition)]
