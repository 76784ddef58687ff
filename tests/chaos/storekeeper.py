"""A process that keeps the warehouse and ends by SIGKILL in the midst of a write of its choice: `keep` is its life.

Its stretches are short, and few become one, so that a small run has writes of every kind.
"""

import asyncio
import itertools
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from maestro.adapters.duckdb import stock
from maestro.adapters.duckdb.stock import ParquetStock
from maestro.adapters.redis.backend import open_backend
from maestro.ids import TenantId
from maestro.runtime import warehousing
from maestro.runtime.warehousing import Warehouse
from maestro.warehouse.stock import Stretch

FACTS, TOGETHER = 3, 4
MOMENTS: tuple["Moment", ...] = ("before", "half written", "written", "renamed")
Moment = Literal["before", "half written", "written", "renamed"]


@dataclass(frozen=True, slots=True)
class Storekeeper:
    """Where a process keeps what is told, and at which of its writes it dies; 0 lets it live."""

    url: str
    tenant: str
    folder: Path
    write: int = 0
    moment: Moment = "before"


class MortalStock(ParquetStock):
    """A stock that is written by a process which is killed."""

    def __init__(self, keeper: Storekeeper) -> None:
        super().__init__(keeper.folder)
        self._keeper, self._writes = keeper, itertools.count(1)

    def _write(self, db: Any, rows: str, stretch: Stretch) -> None:
        if next(self._writes) != self._keeper.write:
            super()._write(db, rows, stretch)
            return
        match self._keeper.moment:
            case "half written" | "written":
                db.execute(f"copy ({rows}) to {stock.quoted(self._writing)} (format parquet)")
                if self._keeper.moment == "half written":
                    os.truncate(self._writing, self._writing.stat().st_size // 2)
            case "renamed":
                super()._write(db, rows, stretch)
        os.kill(os.getpid(), signal.SIGKILL)


def keep(keeper: Storekeeper) -> None:
    """All that is told is kept, unless it dies before."""
    warehousing.BATCH, stock.MANY = FACTS, TOGETHER
    asyncio.run(_keep(keeper))


async def _keep(keeper: Storekeeper) -> None:
    backend = await open_backend(keeper.url, TenantId(keeper.tenant), virtual=True)
    warehouse = Warehouse(backend, MortalStock(keeper))
    while await warehouse.step() == 0:
        pass
    await backend.close()
