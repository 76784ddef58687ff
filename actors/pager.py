"""The pager as a supervised actor: the one process that imports litellm, and the one that holds the provider keys.

Everything crosses as JSON, failures included (`maestro.pager.reply`): neither side unpickles the other's classes.
Not here: what a call costs, who is asked, that it is answered once (maestro.pager), and the reservation (the tick).
"""

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from pydantic import JsonValue

from actors.lifecycle import Lifecycle
from actors.opening import patiently
from maestro import bootstrap
from maestro.adapters.litellm import open_dispatch
from maestro.adapters.litellm.profiles import chains_of
from maestro.bootstrap import PagerPorts
from maestro.errors import MaestroError, StoreUnavailable
from maestro.pager.desk import PagerDesk
from maestro.pager.failover import FailoverModelRouter
from maestro.pager.reply import Failure, Reply
from maestro.pager.request import ModelRequest
from maestro.pager.retries import RetryPolicy
from maestro.pager.telling import Telling
from maestro.runtime.dispatching import Dispatcher
from maestro.runtime.loops import keep
from maestro.settings import Settings

OPENER = "maestro.bootstrap:open_pager"
PAGER = "actors.pager:PagerActor"


@dataclass(frozen=True, slots=True)
class _Open:
    """What answers, once litellm is loaded and the store is reached."""

    dispatch: FailoverModelRouter
    desk: PagerDesk
    placed: Dispatcher | None
    """Carries out the calls that nobody waits for."""


class PagerActor:
    """Answers model calls, each call id once.

    Args:
        settings: `Settings.to_json()`; its tiers name the targets.
        opener: `module:async_function`, settings -> PagerPorts.
    """

    def __init__(self, *, incarnation: str, settings: str, opener: str = OPENER) -> None:
        self._life = Lifecycle(incarnation)
        bootstrap.enter_process(Settings.from_json(settings), "pager")
        self._opening = asyncio.create_task(self._open(settings, opener))
        self._taking = self._life.run(self._take(), vital=False)

    async def ready(self) -> dict[str, JsonValue]:
        await asyncio.shield(self._opening)
        return self._life.identity()

    async def watch(self) -> None:
        await self._life.ended()

    async def stop(self, reason: str) -> None:
        """What is being paid for is finished and journaled first; new calls are refused meanwhile."""
        self._life.stopping.set()
        if self._opening.done() and not self._opening.cancelled() and self._opening.exception() is None:
            opened = self._opening.result()
            self._taking.cancel()
            await opened.desk.drain()
            if opened.placed is not None:
                await opened.placed.drain()
            await opened.dispatch.close()
        self._opening.cancel()
        await self._life.stop(reason)

    async def call(self, request_json: str) -> str:
        """The durable answer to a ModelRequest, or its failure, as the JSON of a `Reply`."""
        try:
            if self._life.stopping.is_set():
                raise StoreUnavailable("the pager is stopping", hint="ask the next one with the same request")
            opened = await asyncio.shield(self._opening)
            reply = Reply(result=await opened.desk.call(ModelRequest.model_validate_json(request_json)))
        except MaestroError as error:
            reply = Reply(failure=Failure.of(error))
        return reply.model_dump_json()

    async def quote(self) -> str:
        """The price table as JSON, so that others price calls without litellm."""
        return (await asyncio.shield(self._opening)).dispatch.prices.model_dump_json()

    async def load(self) -> str:
        """How busy this pager is, as the JSON of a `Load`."""
        opened = await asyncio.shield(self._opening)
        up = {"providers_up": await opened.dispatch.any_up()}
        return opened.desk.load.model_copy(update=up).model_dump_json()

    async def health(self) -> dict[str, bool]:
        """Target -> whether it answers now; costs a token each."""
        return await (await asyncio.shield(self._opening)).dispatch.health_check()

    async def _take(self) -> None:
        """Placed calls are taken as long as this lives; fails, and the life with it, when opening fails."""
        opened = await asyncio.shield(self._opening)
        if opened.placed is not None:
            await keep("placed calls", opened.placed.step, opened.placed.wait)

    async def _open(self, settings: str, opener: str) -> _Open:
        told = Settings.from_json(settings)
        policy = RetryPolicy(
            max_retries=told.llm_max_retries,
            attempt_timeout_ms=told.llm_request_timeout_s * 1_000,
            failover=told.failover_enabled,
        )
        chains = chains_of(told.tier_settings())
        opened = partial(open_dispatch, chains, policy, told.conservative_price, advises=told.advisor_enabled)
        dispatch = await asyncio.to_thread(opened)
        module, _, function = opener.partition(":")
        open_ports: Callable[[str], Awaitable[PagerPorts]] = getattr(importlib.import_module(module), function)
        ports = await patiently(lambda: open_ports(settings))
        dispatch.told_by(ports.notices)
        answering = dispatch.answer
        if ports.backend is not None:
            answering = Telling(dispatch.answer, dispatch.answer_in_pieces, ports.backend.pieces).answer
        desk = PagerDesk(answering, ports.answers, told.pager_slots, told.pager_async_slots)
        return _Open(dispatch, desk, None if ports.backend is None else Dispatcher(ports.backend, desk.call))
