"""A finding as it is shown: whoever reads it sees whether it rests on anything."""

import orjson
import pytest

from maestro.continuation.finding import Finding
from maestro.pane import views


@pytest.mark.spec("04.15")
@pytest.mark.parametrize(("evidence", "marked"), [((), True), (("event-1",), False)])
def test_a_finding_without_evidence_is_marked_as_such(evidence: tuple[str, ...], marked: bool) -> None:
    kept = orjson.dumps(Finding(title="A paper bears on it", links=("https://x.org",), evidence=evidence).model_dump())
    (shown,) = views.findings([kept])
    assert shown == {**orjson.loads(kept), "without_evidence": marked}
