"""The Python client: a handle needs only the store; `actor()` alone needs Ray.

Every verb has two forms, `h.send(...)` and, for asyncio, `await h.asend(...)`. The first runs the second on one
background event loop, so that a handle works in scripts, notebooks and threads alike.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import replace
from functools import wraps
from importlib.metadata import entry_points
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from pydantic import JsonValue

from maestro.budget.accounts import check_path
from maestro.budget.vector import BudgetVector, budget_changes
from maestro.continuation.bounds import Bounds
from maestro.continuation.goal import GoalFrame
from maestro.continuation.mail import Control
from maestro.errors import ClusterError, MaestroError, StoreUnavailable, TimedOut
from maestro.ids import ContinuationId
from maestro.pane import views
from maestro.runtime import artifacts as kept
from maestro.runtime import capacity, moneys, residence, steer, verbs
from maestro.runtime.background import each, run_sync
from maestro.runtime.facts import facts_of
from maestro.runtime.fieldview import field_rows
from maestro.runtime.hearing import Heard, hear
from maestro.runtime.verbs import Installation, Start
from maestro.supervision.spec import ChildSpec

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")

__all__ = ["ContinuationHandle", "Maestro", "cluster", "run_sync"]

POLL_S = 0.25  # how often a waiting client looks at the feed


def _sync(method: Callable[Concatenate[S, P], Coroutine[Any, Any, R]]) -> Callable[Concatenate[S, P], R]:
    """The synchronous form of an asynchronous method."""

    @wraps(method)
    def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return run_sync(method(self, *args, **kwargs))

    return call


class Maestro:
    """A connection to one tenant's continuations."""

    def __init__(self, installation: Installation, cluster: str | None = None) -> None:
        self.installation = installation
        self._cluster = cluster

    @classmethod
    async def aconnect(
        cls, redis_url: str | None = None, address: str | None = None, tenant: str | None = None
    ) -> Self:
        """Connected to the store of this installation, found as the CLI finds it.

        Raises:
            StoreUnavailable: nothing answers there; `maestro up` starts it.
        """
        return cls(await _opener()(redis_url=redis_url, tenant=tenant), address)

    @classmethod
    def connect(cls, redis_url: str | None = None, address: str | None = None, tenant: str | None = None) -> Self:
        """See `aconnect`."""
        return run_sync(cls.aconnect(redis_url=redis_url, address=address, tenant=tenant))

    def drawing_on(self, account: str | None = None, *, asks_per_day: int | None = None) -> Self:
        """The same connection, for what is started by it.

        Args:
            account: such as `acme/key-7`; it lends the budget.
            asks_per_day: how often a day it, and each of its children, asks people.
        """
        given: dict[str, Any] = {} if account is None else {"account": check_path(account)}
        if asks_per_day is not None:
            given["asks_per_day"] = Bounds(asks_per_day=asks_per_day).asks_per_day
        return type(self)(replace(self.installation, **given), self._cluster)

    async def astart(
        self,
        behaviour: str | type,
        *,
        goal: str | GoalFrame,
        budget: BudgetVector | None = None,
        input: JsonValue = None,
        name: str | None = None,
        pool: str | None = None,
        supersede: bool = False,
        scopes: Sequence[str] = (),
    ) -> "ContinuationHandle":
        """A new root continuation is ready; its handle.

        Args:
            scopes: what it and its descendants may use tools for, such as `mail.send`, `mail.*`, `*`.
            supersede: whoever has the name now ends, as superseded, in the same step.
        """
        asked = Start(
            behaviour=behaviour if isinstance(behaviour, str) else str(getattr(behaviour, "name", behaviour.__name__)),
            goal=GoalFrame(goal=goal) if isinstance(goal, str) else goal,
            budget=budget,
            input=input,
            name=name,
            pool=pool or str(getattr(behaviour, "pool", "default")),
            supersede=supersede,
            scopes=tuple(scopes),
        )
        its_own = self.drawing_on(asks_per_day=getattr(behaviour, "asks_per_day", None))
        return ContinuationHandle(await verbs.start(its_own.installation, asked), self)

    async def aget(self, text: str) -> "ContinuationHandle":
        """The handle of an id, a unique prefix of one, or a name."""
        return ContinuationHandle(await verbs.find(self.installation, text), self)

    async def alist(self) -> list[dict[str, JsonValue]]:
        """One row per continuation, oldest first."""
        at, rows = self.installation, []
        for partition in verbs.partitions(at):
            cids = await at.backend.records.ids(partition)
            glances = await asyncio.gather(*(at.backend.records.glance(cid) for cid in cids))
            rows += [views.row_of(glance, at.seal, at.tenant) for glance in glances if glance is not None]
        return sorted(rows, key=lambda row: str(row["id"]))

    async def afreeze(self, reason: str = "") -> bool:
        """The brake: nobody begins a tick until `thaw`; ticks under way end. It outlives restarts."""
        return await steer.freeze_all(self.installation, reason=reason)

    async def athaw(self, reason: str = "") -> bool:
        """The brake is off; what was frozen by itself stays frozen. False when it was not on."""
        return await steer.thaw_all(self.installation, reason=reason)

    async def agrant_account(self, path: str, /, key: str | None = None, **changes: str) -> list[dict[str, JsonValue]]:
        """What an account may lend is usd="20", or changed by usd="+10"; returns all accounts as they are now."""
        more, less, exactly = budget_changes(changes)
        await moneys.grant_account(self.installation, path, more, less, exactly=exactly, key=key)
        return await self.aaccounts()

    async def aaccounts(self) -> list[dict[str, JsonValue]]:
        """Every account by path and resource: granted, lent, free."""
        return await moneys.account_lines(self.installation)

    async def asupervise(self, spec: ChildSpec, under: str = "own") -> None:
        """An actor of your own runs below the supervisor of that id, for as long as this Ray cluster lives.

        Raises:
            Conflict: an actor of that name lives already.
            NotFound: there is no such supervisor.
            ClusterError: it did not start, or no cluster answers.
        """
        await cluster().supervise(spec, under)

    async def aclose(self) -> None:
        await self.installation.backend.close()

    start, get, list, close = _sync(astart), _sync(aget), _sync(alist), _sync(aclose)
    supervise = _sync(asupervise)
    freeze, thaw = _sync(afreeze), _sync(athaw)
    grant_account, accounts = _sync(agrant_account), _sync(aaccounts)


class ContinuationHandle:
    """One continuation, asleep or awake, wherever it is."""

    def __init__(self, cid: ContinuationId, maestro: Maestro) -> None:
        self.id = cid
        self._maestro = maestro

    def __repr__(self) -> str:
        return f"ContinuationHandle({self.id!r})"

    @property
    def _at(self) -> Installation:
        return self._maestro.installation

    async def _view(self) -> views.View:
        view = views.opened(await verbs.glance_of(self._at, self.id), self._at.seal, self._at.tenant)
        if view.glance.ready_since_ms is None or view.glance.pin is not None:
            return view
        return replace(view, room=(await capacity.room_in(self._at.backend, view.checkpoint.pool)).told())

    async def astatus(self) -> dict[str, JsonValue]:
        """All that `maestro show` tells."""
        view = await self._view()
        found = views.findings(await self._at.backend.records.findings(view.checkpoint.root))
        return views.show(view, found)

    async def awhy(self) -> str:
        """Why it is as it is, in one sentence."""
        return views.why(await self._view())

    async def asend(
        self,
        body: JsonValue,
        subject: str = "",
        key: str | None = None,
        *,
        supersedes: str | None = None,
        expires_s: float | None = None,
    ) -> str:
        """A message is in its mailbox; returns the mail's id. The same `key` again sends nothing.

        An unread one sent with the same `supersedes` gives way to it; unread after `expires_s`, nobody reads it.
        """
        expires_in_ms = None if expires_s is None else round(expires_s * 1000)
        return await verbs.send(
            self._at, self.id, body, subject, key, supersedes=supersedes, expires_in_ms=expires_in_ms
        )

    async def areply(self, text: str) -> str:
        """Its question is answered."""
        return await verbs.reply(self._at, self.id, text)

    async def aapprove(self, approval: str, edited: JsonValue = None) -> str:
        """A person approves what it asks, with the arguments `edited` in place of those asked, if given."""
        return await verbs.decide(self._at, self.id, approval, approved=True, edited=edited)

    async def adeny(self, approval: str) -> str:
        """A person denies what it asks."""
        return await verbs.decide(self._at, self.id, approval, approved=False)

    async def aresult(self, timeout_s: float = 60) -> JsonValue:
        """What it finished with, as soon as it has.

        Raises:
            TimedOut: it has not ended within `timeout_s`; it goes on.
            MaestroError: it ended otherwise than completed.
        """
        try:
            async with asyncio.timeout(timeout_s):
                async for _ in self._changes():
                    checkpoint = (await self._view()).checkpoint
                    if checkpoint.status == "completed":
                        return checkpoint.result
                    if checkpoint.terminal:
                        raise MaestroError(f"{self.id} ended {checkpoint.status}: {checkpoint.stop_detail}")
        except TimeoutError:
            why = await self.awhy()
            raise TimedOut(
                f"{self.id} has not ended in {timeout_s} s: {why}", hint="ask again with a longer timeout_s"
            ) from None
        raise AssertionError("the feed has no end")

    async def aevents(self, after: str = "0-0") -> list[dict[str, JsonValue]]:
        """What the feed tells of it, oldest first."""
        return await facts_of(self._at.backend.records, self.id, after)

    async def alog(self, first: int = 1, last: int = -1) -> list[dict[str, JsonValue]]:
        """The committed ticks, one record each."""
        lines = await self._at.backend.records.log(self.id, first, last)
        return [views.log_line(line, at_ms, self._at.seal, self.id, self._at.tenant) for at_ms, line in lines]

    async def aartifacts(self) -> list[dict[str, JsonValue]]:
        """What its tools returned that is kept by its hash, and where it was made; the oldest first."""
        return [each.told() for each in await kept.artifacts(self._at, self.id)]

    async def aartifact(self, prefix: str) -> bytes:
        """The bytes of the one artifact whose id begins so, as they were written. Errors: runtime.artifacts.content."""
        return (await kept.content(self._at, self.id, prefix))[1]

    def astream(self, cursor: str | None = None, timeout_s: float | None = None) -> AsyncGenerator[Heard, None]:
        """Pieces of an answer that was asked for with `stream`, as they are written, then the whole.

        Each tells its cursor, behind which another call goes on, without a gap or a repetition; after the whole, with
        the next answer. Without one it begins with the answer that is written now. The errors are those of
        maestro.runtime.hearing.hear.
        """
        return hear(self._at, self.id, cursor, timeout_s)

    def stream(self, cursor: str | None = None, timeout_s: float | None = None) -> Iterator[Heard]:
        """See `astream`."""
        return each(self.astream(cursor, timeout_s))

    async def afield(self, n: int = 20) -> list[dict[str, JsonValue]]:
        """The top of its context field, as it is shown to it and why: pinned ones first, then the heaviest."""
        edits = (await self._view()).checkpoint.edits
        return await field_rows(self._at.backend.shelf, self.id, edits, n, await self._at.backend.clock.now_ms())

    async def afreshness(self) -> dict[str, JsonValue]:
        """How far its context field has come, in events of its partition, and whether it is stale."""
        return (await self._at.backend.shelf.mark(self.id)).freshness.model_dump(mode="json")

    async def afork(self, at: int | None = None, share: float = 0.5, key: str | None = None) -> "ContinuationHandle":
        """A copy as it was after tick `at` (now, by default), with `share` of what is free; once per `key`."""
        return ContinuationHandle(await steer.fork(self._at, self.id, at, share, key), self._maestro)

    async def amerge(self, *others: "ContinuationHandle | str") -> None:
        """The others will end, and leave it all they have: state by the laws of its State, money, findings, field."""
        ids = [other.id if isinstance(other, ContinuationHandle) else ContinuationId(other) for other in others]
        await steer.merge(self._at, ids, self.id)

    async def arebudget(self, /, key: str | None = None, **changes: str) -> dict[str, JsonValue]:
        """The grant is usd="2.00", or changed by usd="+1.00" or usd="-0.50"; returns the budget as it is now."""
        more, less, exactly = budget_changes(changes)
        return views.budget(await steer.rebudget(self._at, self.id, more, less, exactly=exactly, key=key))

    async def asoften(self, /, **caps: str) -> dict[str, JsonValue]:
        """Alert and pressure count from the soft cap usd="0.50" from now on; returns the budget as it is now."""
        _, _, exactly = budget_changes(caps)
        return views.budget(await moneys.soften(self._at, self.id, exactly))

    async def atransfer(
        self, to: "ContinuationHandle | str", /, key: str | None = None, **amounts: str
    ) -> dict[str, JsonValue]:
        """Another of its family is granted usd="0.50" of what it has free; returns its budget as it is now."""
        heir = to.id if isinstance(to, ContinuationHandle) else ContinuationId(to)
        _, _, amount = budget_changes(amounts)
        left, _ = await moneys.transfer(self._at, self.id, heir, amount, key=key)
        return views.budget(left)

    async def arefund(self, call: str, /, **actual: str) -> dict[str, JsonValue]:
        """A call that was charged in full has cost usd="0.01"; the rest is free again. Returns the budget."""
        _, _, amount = budget_changes(actual)
        return views.budget(await moneys.refund(self._at, self.id, call, amount))

    async def acancel(self, children: str | None = None, key: str | None = None) -> None:
        """It ends before its next tick, as cancelled, after one try of its `on_cancel`."""
        await steer.cancel(self._at, self.id, children=children, key=key)

    async def akill(self, children: str | None = None, key: str | None = None) -> None:
        """It ends at once, frozen or not; nothing of a tick under way is committed."""
        await steer.kill(self._at, self.id, children=children, key=key)

    async def afreeze(self, frozen: bool = True, tree: bool = False, reason: str = "") -> None:
        """Nothing but a kill wakes it (with `tree`, and its descendants) until it is thawed; what comes queues."""
        act = steer.freeze if frozen else steer.thaw
        await act(self._at, self.id, tree=tree, reason=reason)

    async def amigrate(self, to: str | None = None, stays: bool = False) -> str:
        """It wakes at another node, `to` or one that is chosen: the next time, or from now on. Returns which."""
        return await residence.migrate(self._at, self.id, to, stays)

    async def awake(self) -> None:
        """It ticks once, whatever it waits for."""
        await verbs.order(self._at, self.id, Control.WAKE)

    async def aactor(self, timeout_s: float = 30) -> Any:
        """The Ray actor that holds it, or held it for the tick that this call woke it for.

        Raises:
            TimedOut: no actor took it within `timeout_s`.
            ClusterError: Ray is not there.
        """
        before = await verbs.glance_of(self._at, self.id)
        if before.holder is None:
            await self.awake()
        try:
            async with asyncio.timeout(timeout_s):
                async for _ in self._changes():
                    now = await verbs.glance_of(self._at, self.id)
                    if now.last_holder is not None and (now.holder or now.epoch > before.epoch):
                        return await asyncio.to_thread(cluster().actor, now.last_holder.split("#")[0])
        except TimeoutError:
            raise TimedOut(f"no actor took {self.id} within {timeout_s} s", hint="see `maestro status`") from None
        raise AssertionError("the feed has no end")

    async def _changes(self) -> AsyncIterator[None]:
        """Yields now, and whenever something may have changed."""
        while True:
            yield
            await asyncio.sleep(POLL_S)

    status, why, send, reply, result = _sync(astatus), _sync(awhy), _sync(asend), _sync(areply), _sync(aresult)
    approve, deny, events, log, field = _sync(aapprove), _sync(adeny), _sync(aevents), _sync(alog), _sync(afield)
    freshness, artifacts, artifact = _sync(afreshness), _sync(aartifacts), _sync(aartifact)
    fork, rebudget, cancel, kill = _sync(afork), _sync(arebudget), _sync(acancel), _sync(akill)
    transfer, refund, soften = _sync(atransfer), _sync(arefund), _sync(asoften)
    freeze, merge, wake, actor, migrate = _sync(afreeze), _sync(amerge), _sync(awake), _sync(aactor), _sync(amigrate)


def cluster() -> Any:
    """The Ray side, by the entry point `maestro.cluster`.

    Raises:
        ClusterError: it is not installed here.
    """
    found = tuple(entry_points(group="maestro.cluster"))
    if not found:
        raise ClusterError("the Ray side is not installed here", hint="install maestro with its actors")
    return found[0].load()()


def _opener() -> Callable[..., Awaitable[Installation]]:
    """How a store is opened, by the entry point `maestro.store`: the client itself knows no store."""
    found = tuple(entry_points(group="maestro.store"))
    if not found:
        raise StoreUnavailable("no store adapter is installed", hint="install maestro with its entry points")
    opener: Callable[..., Awaitable[Installation]] = found[0].load()
    return opener
