"""What was spent, summed: from the warehouse and what the feed has told since.

Invariant: rows add up to the total that the feed told of; none is left out.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from maestro.adapters.duckdb.reader import Answer, asked
from maestro.adapters.duckdb.stock import reached_in
from maestro.runtime.verbs import Installation, partitions
from maestro.runtime.warehousing import fresh

KEYS = {
    "behaviour": "coalesce(program, '-')",
    "tier": "coalesce(tier, '-')",
    "provider": "coalesce(provider, '-')",
    "model": "coalesce(model, '-')",
    "day": "day",
    "continuation": "continuation",
    "account": "coalesce(account, '-')",
    "tenant": "coalesce(nullif(split_part(account, '/', 1), ''), tenant)",
    "key": "coalesce(nullif(split_part(account, '/', 2), ''), '-')",
    "project": "coalesce(nullif(split_part(account, '/', 3), ''), '-')",
    "session": "coalesce(nullif(split_part(account, '/', 4), ''), session)",
    "domain": "coalesce(domain, '-')",
    "step": "coalesce(step, '-')",
    "status": "status",
}
"""What can be summed by, and the column of fact_spent that says it."""
ALL_GROUPS = 10_000_000  # rows that add up to the total: none is left out


@dataclass(frozen=True, slots=True)
class Spending:
    """The sums of one tenant, over the warehouse in `folder`."""

    at: Installation
    folder: Path

    async def by(self, keys: Sequence[str]) -> list[dict[str, JsonValue]]:
        """One row per combination of `keys`, the dearest first: the keys, `calls`, `tokens`, `usd_micros`."""
        columns = ", ".join(f"{KEYS[key]} as by_{key}" for key in keys)
        numbers = ", ".join(str(place) for place in range(1, len(keys) + 1))
        sums = (
            "count(distinct call_id), coalesce(sum(tokens), 0)::bigint, coalesce(sum(usd_micros), 0)::bigint as micros"
        )
        sql = f"select {columns}, {sums} from fact_spent group by {numbers} order by micros desc, {numbers}"  # noqa: S608
        found = await self.answer(sql, ALL_GROUPS)
        rows: list[dict[str, JsonValue]] = []
        for *place, calls, tokens, micros in found.rows:
            told: dict[str, JsonValue] = {"calls": calls, "tokens": tokens, "usd_micros": micros}
            rows.append({**dict(zip(keys, place, strict=True)), **told})
        return rows

    async def answer(self, sql: str, most: int) -> Answer:
        """What `sql` selects from all that was spent up to now.

        Raises:
            InvalidInput: it is not one SELECT that can be answered.
        """
        kept = {partition: reached_in(self.folder, partition) for partition in partitions(self.at)}
        rows = await fresh(self.at.backend, kept)
        return await asyncio.to_thread(asked, self.folder, rows, sql, most)
