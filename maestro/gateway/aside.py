"""What people do with a wait beside answering it: put it off for themselves, or hand it to somebody.

Invariants: neither changes the wait, its time or what happens then; nothing is put off beyond its time; both are over
with the wait itself, and are on record. A hand-over names who is meant, and takes nothing from others: who may answer
says the role.

Source: spec/06 section 3.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pydantic import BaseModel, ConfigDict

from maestro.errors import InvalidInput
from maestro.gateway.access import Asker
from maestro.gateway.gate import Gate
from maestro.gateway.inbox import Asked
from maestro.ids import TimeMs
from maestro.runtime.audit import note

SNOOZED, DELEGATED = "snoozed", "delegated"
"""Kinds of notes in the register."""
KEPT_MS = 30 * 86_400_000


class Handed(BaseModel):
    """Who is meant to answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    to: str
    by: str
    words: str = ""


@dataclass(frozen=True, slots=True)
class Aside:
    """What was done with the waits, as one asker sees it."""

    snoozed: Mapping[str, TimeMs]
    """Wait -> until when this asker does not want to see it."""
    handed: Mapping[str, Handed]


async def asides(gate: Gate, asker: Asker) -> Aside:
    """What is so now."""
    register, mine = gate.at.backend.register, f"{asker.name} "
    snoozed = {
        name.removeprefix(mine): TimeMs(int(until))
        for name, until in (await register.all(SNOOZED)).items()
        if name.startswith(mine)
    }
    handed = {name: Handed.model_validate_json(body) for name, body in (await register.all(DELEGATED)).items()}
    return Aside(snoozed, handed)


async def snooze(gate: Gate, asker: Asker, asked: Asked, for_s: int) -> Aside:
    """Whoever asks does not see it in its inbox for so long.

    Raises:
        InvalidInput: its time is over before.
    """
    until_ms = TimeMs(await gate.at.backend.clock.now_ms() + 1_000 * for_s)
    ends_ms = asked.part.get("expires_at_ms")
    if ends_ms is not None and until_ms >= ends_ms:
        raise InvalidInput("it times out before that", field="for_s", hint="say less, or answer it")
    await gate.at.backend.register.put(SNOOZED, f"{asker.name} {asked.id}", str(until_ms).encode(), until_ms)
    await note(gate.through(asker), "snooze", asked.cid, wait=asked.id, until_ms=until_ms)
    before = await asides(gate, asker)
    return replace(before, snoozed={**before.snoozed, asked.id: until_ms})


async def delegate(gate: Gate, asker: Asker, asked: Asked, to: str, words: str) -> Aside:
    """It is meant for `to`."""
    handed = Handed(to=to, by=asker.name, words=words)
    until_ms = TimeMs(await gate.at.backend.clock.now_ms() + KEPT_MS)
    await gate.at.backend.register.put(DELEGATED, asked.id, handed.model_dump_json().encode(), until_ms)
    await note(gate.through(asker), "delegate", asked.cid, wait=asked.id, to=to)
    return await asides(gate, asker)
