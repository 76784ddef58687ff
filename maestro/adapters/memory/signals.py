"""Signals in memory: a token for each rouse that found nobody asleep, a future for each sleeper."""

import asyncio
from collections import Counter, defaultdict, deque

SIGNAL_LIMIT = 64  # more pending signals than actors of a pool rouse nobody sooner


class MemorySignals:
    """maestro.runtime.ports.Signals in one process."""

    def __init__(self) -> None:
        self._tokens: Counter[str] = Counter()
        self._sleepers: defaultdict[str, deque[asyncio.Future[None]]] = defaultdict(deque)

    async def wait(self, name: str, timeout_ms: int, *others: str) -> bool:
        names = (name, *others)
        if any(map(self._take, names)):
            return True
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for each in names:
            self._sleepers[each].append(sleeper)
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await sleeper
        except TimeoutError:
            return False
        finally:
            for each in names:
                if sleeper in self._sleepers[each]:
                    self._sleepers[each].remove(sleeper)
        return True

    async def rouse(self, name: str) -> None:
        self.ring(name)

    def ring(self, name: str) -> None:
        """One sleeper on `name` is roused, or the next to come does not sleep."""
        sleepers = self._sleepers[name]
        while sleepers:
            sleeper = sleepers.popleft()
            if not sleeper.done():
                sleeper.set_result(None)
                return
        self._tokens[name] = min(self._tokens[name] + 1, SIGNAL_LIMIT)

    def hush(self, name: str) -> bool:
        """No signal of `name` is pending; True when one was."""
        return self._tokens.pop(name, 0) > 0

    def _take(self, name: str) -> bool:
        found = self._tokens[name] > 0
        self._tokens[name] -= found
        return found
