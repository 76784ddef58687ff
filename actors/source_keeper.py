"""The keeper of sources: each source that has a record has one supervised actor; a new record starts one soon.

Not here: what a source does (actors.sources), and when it ends (its loop sees that its record is gone).
"""

import asyncio
from typing import Any

import ray

from actors.names import NAMESPACE, source_actor
from actors.opening import patiently
from actors.sources import FEED_SOURCE
from actors.supervised import Supervised
from maestro import bootstrap
from maestro.mesh.source import SourceRecord
from maestro.runtime.backend import Backend
from maestro.runtime.loops import keep
from maestro.settings import Settings
from maestro.supervision.spec import ChildSpec

SOURCE_KEEPER_ACTOR = "actors.source_keeper:SourceKeeperActor"
LOOK_MS = 1_000


class SourceKeeperActor(Supervised):
    """Asks the supervisor of the sources for one actor per record.

    Args:
        settings: `Settings.to_json()`.
        supervisor: the actor name of the supervisor to ask.
    """

    def __init__(self, *, incarnation: str, settings: str, supervisor: str) -> None:
        super().__init__(incarnation)
        self._settings_json = settings
        self._settings = Settings.from_json(settings)
        self._supervisor = supervisor
        bootstrap.enter_process(self._settings, "source-keeper")

    async def work(self) -> None:
        backend = await patiently(lambda: bootstrap.open_store(self._settings))
        for subject, url in self._settings.feeds.items():
            await _know(backend, subject, url)

        async def step() -> int:
            await self._keep({record.name for record in await backend.sources.list()})
            return LOOK_MS

        await keep("source-keeper", step, lambda pause_ms: asyncio.sleep(pause_ms / 1000))

    async def _keep(self, names: set[str]) -> None:
        sources: Any = await asyncio.to_thread(ray.get_actor, self._supervisor, NAMESPACE)
        here = {child["id"]: child["state"] for child in await sources.which_children.remote()}
        for name in sorted(names):
            spec = self._spec(name)
            if spec.id not in here:
                await sources.start_child.remote(spec.model_dump_json(exclude_defaults=True))
            elif here[spec.id] == "stopped":
                await sources.restart_child.remote(spec.id)

    def _spec(self, name: str) -> ChildSpec:
        return ChildSpec(
            id=source_actor(name),
            start=FEED_SOURCE,
            restart="transient",
            args={"source": name, "settings": self._settings_json},
        )


async def _know(backend: Backend, subject: str, url: str) -> None:
    """A feed from the settings has a record, unless it has one already."""
    name = subject.replace(".", "-")
    if await backend.sources.load(name) is None:
        await backend.sources.save(SourceRecord(name=name, subject=subject, url=url))
