"""The client of a run: it starts, sends, publishes, claims and looks, and writes down what it was told.

Invariants: nothing is asked that the annals do not say first; an outcome that is unknown is asked for again under the
same key, until it is known or the run ends; one message after the other to each teller, so that a gap is the store's;
a teller that has not read what it was sent gets no more: a slow machine makes a slow client, not a queue without end.
"""

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeVar

from pydantic import JsonValue

from maestro.chaos.annals import Annals
from maestro.chaos.outside import Outside
from maestro.chaos.workload import SUBJECT, TELLER
from maestro.continuation.goal import GoalFrame
from maestro.continuation.wait import ApprovalResolution, UserReply
from maestro.errors import Fenced, MaestroError, StoreError, StoreUnavailable
from maestro.ids import ContinuationId, Epoch, HolderId
from maestro.mesh.event import new_event
from maestro.runtime import steer, verbs
from maestro.runtime.publisher import MeshPublisher
from maestro.runtime.verbs import Installation, Start
from maestro.tick.interruption import interruption_of

UNITS = 1_000
NO_POISON = b"without a word"  # held because its processes died, and not because its code failed
PUBLISHED = 0.08  # of the wishes
BACKLOG = 12  # unread mails of a teller; its tick takes them all, and may have 16 children
REPEATED = 0.1  # of the messages, by a client that did not trust its own ears
TIMER_MS = (100, 4_000)
CLAIMERS = 3
A_CLAIM = 40  # takes of one register, then comes the next
_WHAT = re.compile(r'"what":"([^"]+)"')
T = TypeVar("T")


class Client:
    """One person with a long list of wishes."""

    def __init__(self, at: Installation, annals: Annals, outside: Outside, seed: int, act_url: str) -> None:
        self.tellers: list[ContinuationId] = []
        self._at = at
        self._annals = annals
        self._outside = outside
        self._random = Random(f"client {seed}")  # noqa: S311 - a workload is no secret
        self._act_url = act_url
        self._seq: dict[ContinuationId, int] = {}
        self._open: dict[ContinuationId, dict[str, JsonValue]] = {}
        """The message to each teller whose outcome is not known yet."""
        self._seen: dict[ContinuationId, int] = {}
        self._published = 0
        self._claims = 0

    async def begin(self, tellers: int) -> None:
        """So many tellers exist, and have subscribed."""
        while len(self.tellers) < tellers:
            name = f"teller-{len(self.tellers)}-{self._random.randrange(10**9)}"
            asked = self._annals.ask("start", name=name, units=UNITS)
            start = Start(behaviour=TELLER, goal=GoalFrame(goal="keep books"), input={"units": UNITS}, name=name)
            try:
                cid = await verbs.start(self._at, start)
            except MaestroError as error:
                asked.ends("unknown", error=error.code)
                await asyncio.sleep(0.2)
                named = await self._known(lambda name=name: self._at.backend.records.named(name))  # type: ignore[misc]
                if named is None:
                    continue
                cid = named
            asked.ends("ok", cid=cid)
            self.tellers.append(cid)
        for cid in self.tellers:
            while (await self._known(lambda cid=cid: verbs.glance_of(self._at, cid))).rev < 1:  # type: ignore[misc]  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def step(self) -> None:
        """One wish, well or badly received."""
        draw = self._random.random()
        cid = self._random.choice(self.tellers)
        if draw < PUBLISHED:
            await self._publish()
        elif cid in self._open or (await verbs.glance_of(self._at, cid)).unread < BACKLOG:
            await self._send(cid)

    async def look(self) -> None:
        """What is committed by now is in the annals."""
        for cid in self.tellers:
            asked = self._annals.ask("look", cid=cid)
            try:
                rows = await verbs.record_bodies(self._at, cid) if cid not in self._seen else await self._newer(cid)
            except MaestroError as error:
                asked.ends("fail", error=error.code)
                continue
            first = self._seen.get(cid, -1) + 1
            found: list[JsonValue] = [[first + n, _state_hash(body)] for n, body in enumerate(rows)]
            self._seen[cid] = first + len(rows) - 1
            asked.ends("ok", commits=found)

    async def answer(self) -> int:
        """Who asks for leave gets it, who asks whether it happened is told what is so, who is held is let go."""
        answered = 0
        for partition in verbs.partitions(self._at):
            for cid, told in (await self._at.backend.records.waiting(partition)).items():
                checkpoint = await verbs.checkpoint_of(self._at, cid)
                wait = interruption_of(checkpoint.wait)
                if died := checkpoint.hold is not None and NO_POISON in told:
                    asked = self._annals.ask("thaw", cid=cid, hold=str(checkpoint.hold))
                    await self._done(asked.ends, steer.thaw(self._at, cid))
                elif isinstance(wait, ApprovalResolution):
                    asked = self._annals.ask("approve", cid=cid, approval=wait.approval_id)
                    await self._done(asked.ends, verbs.decide(self._at, cid, wait.approval_id, approved=True))
                elif isinstance(wait, UserReply) and (found := _WHAT.search(wait.question)):
                    done = self._outside.was_done(found[1])
                    asked = self._annals.ask("answer", cid=cid, act=found[1], done=done)
                    await self._done(asked.ends, verbs.reply(self._at, cid, 'yes {"done": 1}' if done else "no"))
                answered += wait is not None or died
        return answered

    async def claim(self, claimer: int) -> None:
        """One move on the register that all claimers share."""
        claims, name = self._at.backend.claims, f"chaos-{self._claims // A_CLAIM}"
        self._claims += 1
        asked = self._annals.ask("take", name=name, claimer=claimer)
        try:
            claim = await claims.take(name, HolderId(f"claimer-{claimer}"), "here", 60_000)
        except StoreError as error:
            asked.ends("unknown", error=error.code)
            return
        asked.ends("ok", epoch=claim.epoch, granted=claim.granted)
        asked = self._annals.ask("renew", name=name, claimer=claimer, epoch=claim.epoch)
        try:
            asked.ends("ok", granted=await claims.renew(name, claim.epoch, 60_000))
        except StoreError as error:
            asked.ends("unknown", error=error.code)

    async def finish(self, within_s: float) -> None:
        """No message is left whose outcome is unknown, unless the store does not say it in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                for cid in tuple(self._open):
                    while cid in self._open:
                        await self._send(cid)

    async def _send(self, cid: ContinuationId) -> None:
        body = self._open.get(cid)
        if body is None:
            self._seq[cid] = self._seq.get(cid, 0) + 1
            body = self._open[cid] = {"seq": self._seq[cid], **self._wish(cid)}
        if await self._posted(cid, body):
            if self._random.random() < REPEATED:
                await self._posted(cid, body)
            del self._open[cid]

    async def _posted(self, cid: ContinuationId, body: dict[str, JsonValue]) -> bool:
        """True when the store said that it has the message, once more or for the first time."""
        key = f"m{body['seq']}"
        asked = self._annals.ask("send", to=cid, seq=body["seq"], key=key)
        try:
            mail = await verbs.send(self._at, cid, body, key=key)
        except StoreUnavailable as error:
            asked.ends("unknown", error=error.code)
            await asyncio.sleep(0.1)
        except MaestroError as error:
            asked.ends("fail", error=error.code)
            await asyncio.sleep(0.1)
        else:
            asked.ends("ok", mail=mail)
            return True
        return False

    def _wish(self, cid: ContinuationId) -> dict[str, JsonValue]:
        random = self._random
        others = [each for each in self.tellers if each != cid] or [cid]
        match random.randrange(12):
            case 0 | 1 | 2 | 3:
                return {"give": random.randrange(1, 5), "to": random.choice(others)}
            case 4 | 5:
                return {"timer_ms": random.randrange(*TIMER_MS)}
            case 6:
                return {"publish": f"echo {cid} {self._seq[cid]}"}
            case 7:
                return {"credit": self._act_url}
            case 8:
                return {"pay": self._act_url}
            case 9:
                return {"think": f"what of {self._seq[cid]}?"}
            case 10:
                return {"spawn": random.randrange(1, 4)}
            case _:
                return {"spin_s": random.choice((0.2, 1.0, 3.0))}

    async def _publish(self) -> None:
        self._published += 1
        key = f"p{self._published}"
        asked = self._annals.ask("publish", key=key, subject=SUBJECT)
        try:
            now_ms = await self._at.backend.clock.now_ms()
            event = new_event(SUBJECT, "chaos.item", "chaos", key, None, now_ms, self._at.tenant, taint="trusted")
            told = await MeshPublisher(self._at.backend.router, self._at.backend.partitions).publish(event)
        except StoreUnavailable as error:
            asked.ends("unknown", error=error.code)
        except MaestroError as error:
            asked.ends("fail", error=error.code)
        else:
            asked.ends("ok", event=told.event_id, matched=told.matched)

    async def be_stale(self) -> None:
        """A write under an epoch that is over, as a process that was stopped would make it."""
        cid = self._random.choice(self.tellers)
        try:
            glance = await verbs.glance_of(self._at, cid)
        except MaestroError:
            return
        if glance.epoch < 1:
            return
        asked = self._annals.ask("stale", cid=cid, epoch=glance.epoch - 1)
        try:
            await self._at.backend.store.release(cid, Epoch(glance.epoch - 1), 0, "stale", counts=False)
        except Fenced as fenced:
            asked.ends("fail", current=fenced.current)
        except StoreError as error:
            asked.ends("unknown", error=error.code)
        else:
            asked.ends("ok")

    async def _newer(self, cid: ContinuationId) -> list[bytes]:
        lines = await self._at.backend.records.log(cid, self._seen[cid] + 1)
        return [self._at.seal.open(line, "record", cid, self._at.tenant).body for _, line in lines]

    async def _known(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer, asked until there is one."""
        while True:
            try:
                return await ask()
            except StoreError:
                await asyncio.sleep(0.2)

    async def _done(self, ends: Callable[..., None], work: Awaitable[object]) -> None:
        try:
            await work
        except StoreUnavailable as error:
            ends("unknown", error=error.code)
        except MaestroError as error:
            ends("fail", error=error.code)
        else:
            ends("ok")


def _state_hash(body: bytes) -> str:
    found = re.search(rb'"state_hash":"([0-9a-f]+)"', body)
    return "" if found is None else found[1].decode()
