"""The pager as a continuation actor sees it: a Ray call to the pager's process, JSON both ways.

A pager that died with a call under way leaves its outcome unknown: the tick is tried again, and the same call id is
asked of the next pager, which answers from the journal if there is an answer.
"""

import asyncio
from typing import Any

import ray
from ray.exceptions import RayActorError

from actors.names import NAMESPACE, PAGER
from maestro.errors import ProviderUnavailable
from maestro.pager.dispatch import ModelCallResult
from maestro.pager.load import IDLE, Load
from maestro.pager.prices import PriceTable
from maestro.pager.reply import Reply
from maestro.pager.request import ModelRequest

FIND_S = 60.0  # a pager loads litellm for two or three seconds before it answers; a restarted one again
LOOK_S = 0.1
FRESH_S = 1.0  # a load is asked for at most so often: it says how things are going, not how they stand


class RayPager:
    """maestro.tick.mind.Pager over the actor named `pager`."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._load = IDLE
        self._looked_s = float("-inf")

    async def prices(self) -> PriceTable:
        """The price table, as soon as a pager answers."""
        return PriceTable.model_validate_json(await self._ask("quote"))

    async def call(self, request: ModelRequest) -> ModelCallResult:
        reply = Reply.model_validate_json(await self._ask("call", request.model_dump_json()))
        return reply.opened()

    async def load(self) -> Load:
        """How busy the pager was at most FRESH_S ago."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._looked_s > FRESH_S:
            self._looked_s = now_s
            self._load = Load.model_validate_json(await self._ask("load"))
        return self._load

    async def _ask(self, method: str, *arguments: str) -> str:
        try:
            pager = await self._find()
            return str(await getattr(pager, method).remote(*arguments))
        except RayActorError as error:
            self._handle = None
            raise ProviderUnavailable(
                f"the pager died: {error}"[:300], hint="the tick is tried again", retry_after_ms=500
            ) from None

    async def _find(self) -> Any:
        """The pager's handle; its name is looked up again after its death."""
        deadline = asyncio.get_running_loop().time() + FIND_S
        while self._handle is None:
            try:
                self._handle = await asyncio.to_thread(ray.get_actor, PAGER, NAMESPACE)
            except ValueError:
                if asyncio.get_running_loop().time() > deadline:
                    raise ProviderUnavailable(
                        "no pager runs", hint="see `maestro status --tree`", retry_after_ms=5_000
                    ) from None
                await asyncio.sleep(LOOK_S)
        return self._handle
