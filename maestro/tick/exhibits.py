"""What of a tick's artifacts enters its continuation's field: the beginning of each, and where the rest is.

Invariant: pure; an artifact that is made again is the same entry.
"""

import orjson

from maestro.continuation.artifact import artifacts_in
from maestro.ids import ContinuationId
from maestro.tick.transition import Facts

ARTIFACT = "artifact"
"""What a projection says that it is, beside a finding."""


def exhibited(facts: Facts) -> tuple[tuple[ContinuationId, bytes], ...]:
    """(whose field, what of it) for each artifact that can be read."""
    return tuple(
        (facts.before.id, orjson.dumps({"kind": ARTIFACT, "of": facts.before.id, **artifact.model_dump(mode="json")}))
        for artifact in artifacts_in(facts.effects)
        if artifact.excerpt
    )
