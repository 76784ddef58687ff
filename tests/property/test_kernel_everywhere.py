"""Ten thousand random questions get one answer: asked twice, read back, in processes that hash apart."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from statistics import median
from time import perf_counter

import orjson
import pytest

from maestro.policy.decision import Reason
from maestro.policy.kernel import decide
from maestro.policy.recorded import question_of, record_of, terms_of
from tests.property.drawn_questions import digest, drawn

SEED, COUNT = 20_260, 10_000
ROOT = Path(__file__).parents[2]


@pytest.mark.spec("05.2")
@pytest.mark.shows("6.5")
def test_ten_thousand_questions_are_decided_alike_by_processes_that_hash_apart() -> None:
    command = [sys.executable, "-m", "tests.property.drawn_questions", str(SEED), str(COUNT)]
    others = [
        subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, stdout=subprocess.PIPE)
        for seed in ("1", "4294967295")
    ]
    here = digest(SEED, COUNT)
    told = [other.communicate(timeout=120)[0].decode().strip() for other in others]
    assert told == [here, here]


@pytest.mark.spec("05.2")
@pytest.mark.shows("6.5")
def test_ten_thousand_questions_read_back_from_their_records_are_decided_as_they_were() -> None:
    seen: Counter[Reason] = Counter()
    took_us: list[float] = []
    for question in drawn(SEED, COUNT):
        begun = perf_counter()
        decision = decide(question)
        took_us.append(1e6 * (perf_counter() - begun))
        again = question_of(*map(orjson.loads, map(orjson.dumps, (record_of(question), terms_of(question)))))
        assert decide(question) == decide(again) == decision
        seen.update((decision.reason, decision.mode_reason, decision.place_reason, decision.value_reason))
    assert seen.keys() == set(Reason), "each rule fired somewhere"
    print(f"{COUNT:,} random questions: median decision {median(took_us):.1f} us")  # printed, never asserted
