"""A store for a source actor that the test can look into: what it is told is appended to a file."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

from maestro.adapters.memory.shelf import MemorySources
from maestro.adapters.web.client import GuardedWeb
from maestro.bootstrap import SourceReader
from maestro.clock import ManualClock
from maestro.mesh.event import Event
from maestro.mesh.source import Published, SourceRecord
from tests.e2e.family import write


class Diary:
    """Writes down the subject and the link of each item that it is given."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def publish(self, event: Event) -> Published:
        link = event.payload["link"] if isinstance(event.payload, dict) else ""
        await asyncio.to_thread(write, self._path, f"{event.subject} {link}")
        return Published(event.id, duplicate=False, matched=0)


@dataclass
class Ports:
    clock: ManualClock
    publisher: Diary
    sources: MemorySources
    reader: SourceReader


async def open_ports(settings: str) -> Ports:
    given = json.loads(settings)
    if "url" not in given:
        raise ConnectionError("the store does not answer")
    sources = MemorySources()
    await sources.save(SourceRecord(name="demo", subject="demo.papers", url=given["url"]))
    return Ports(ManualClock(1_795_000_000_000), Diary(Path(given["diary"])), sources, SourceReader(GuardedWeb()))
