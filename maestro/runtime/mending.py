"""Ranking again what was ranked while the engine was away.

Invariants: only score and mark of an entry change: it is neither reinforced nor older, and wakes nobody; what has
changed meanwhile stays as it is; as long as the engine is away nothing changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from maestro.continuation.envelope import Seal
from maestro.field.decay import rank_key
from maestro.field.entry import Entry
from maestro.field.ranker import Ranker
from maestro.field.steady import rank
from maestro.ids import Partition
from maestro.runtime.backend import Backend
from maestro.runtime.goals import goals_of
from maestro.runtime.ports import Reranked, Waiting

LOWEST = -1e300  # the rank key of a score of 0, in the range of a store's numbers

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Mender:
    """Who gives entries the rank that is theirs."""

    backend: Backend
    seal: Seal
    ranker: Ranker
    deadline_ms: int

    async def mend(self, partition: Partition) -> int | None:
        """How many of the oldest have their rank now; None while the engine is away."""
        waiting = await self.backend.projections.degraded(partition)
        goals = await goals_of(self.backend, self.seal, {row.cid for row in waiting})
        mended = 0
        for cid in dict.fromkeys(row.cid for row in waiting):
            mine = [row for row in waiting if row.cid == cid]
            entries = [Entry.model_validate_json(row.entry) for row in mine]
            scores: Sequence[float] = [entry.score for entry in entries]  # nobody can rank for a goal that is lost
            if cid in goals:
                ranking = await rank(self.ranker, goals[cid], entries, scores, self.deadline_ms)
                if ranking.degraded is not None:
                    return None
                scores = ranking.scores
            pairs = zip(mine, entries, scores, strict=True)
            mended += await self.backend.projections.rerank(partition, [_reranked(*each) for each in pairs])
        if mended:
            log.info("ranked_again", entries=mended)
        return mended


def _reranked(of: Waiting, entry: Entry, score: float) -> Reranked:
    """The entry under that score, as if it had been its first."""
    body = entry.model_copy(update={"score": score, "degraded": False}).model_dump_json().encode()
    key = rank_key(score, entry.reinforcements, entry.last_reinforced_at_ms, of.half_life_ms)
    return Reranked(of, entry.id, body, max(key, LOWEST))
