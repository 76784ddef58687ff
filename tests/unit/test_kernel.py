"""What a context kernel may be told, what it is asked, and what of both is refused."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from maestro.continuation.goal import GoalFrame
from maestro.errors import InvalidInput
from maestro.field.entry import Entry, SourceKind, entry_id
from maestro.field.kernel import Candidate, KernelAsk, KernelOptions
from maestro.field.local import MAX_CHARS
from maestro.ids import TimeMs
from maestro.settings import Settings
from tests.judged import Document

GOAL = GoalFrame(goal="Early warning of volcanic eruptions")
WRONG = {
    "engine": {"engine": "bm25"},
    "gpu": {"gpu": 1},
    "gpus": {"gpus": -1},
    "model": {"engine": "vllm", "revision": "abc"},
    "revision": {"engine": "torch", "model": "/models/minilm"},
    "max_replicas": {"min_replicas": 3, "max_replicas": 2},
    "time_limit_ms": {"time_limit_ms": "soon"},
}
WRONG_SETTINGS = {
    "kernel": {"kernel": "on"},
    "kernel_engine": {"kernel_engine": "bm25"},
    "kernel_model": {"kernel_engine": "vllm", "kernel_revision": "abc"},
    "kernel_revision": {"kernel_engine": "torch", "kernel_model": "/models/minilm"},
    "kernel_max_replicas": {"kernel_min_replicas": 3},
    "kernel_deadline_ms": {"kernel_deadline_ms": 0},
}


@pytest.mark.parametrize(("field", "given"), WRONG.items(), ids=WRONG)
def test_a_wrong_option_is_refused_by_its_name(field: str, given: dict[str, object]) -> None:
    with pytest.raises(InvalidInput) as caught:
        KernelOptions.read(given)
    assert caught.value.field == field
    assert field in caught.value.message


@pytest.mark.parametrize(("field", "given"), WRONG_SETTINGS.items(), ids=WRONG_SETTINGS)
def test_a_wrong_setting_is_refused_by_its_name(field: str, given: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        Settings.load(home=tmp_path, **given)
    assert caught.value.field == field


def test_the_local_engine_takes_no_model() -> None:
    with pytest.raises(InvalidInput) as caught:
        KernelOptions.read({"model": "/models/minilm"})
    assert "the engine local has no model" in caught.value.message


def test_options_are_read_from_text_as_serve_run_passes_them() -> None:
    options = KernelOptions.read({"engine": "vllm", "model": "/m", "revision": "abc", "gpus": "0.5", "batch": "32"})
    assert (options.gpus, options.batch, options.model) == (0.5, 32, Path("/m"))


def test_a_deployment_is_named_by_its_engine_and_by_whatever_its_options_are() -> None:
    plain, roomy = KernelOptions(), KernelOptions(max_replicas=2)
    assert plain.deployment == KernelOptions.model_validate_json(plain.model_dump_json()).deployment
    assert plain.deployment != roomy.deployment
    assert plain.deployment.startswith("local-")


def test_settings_say_what_the_kernel_is_to_be_also_in_another_process(tmp_path: Path) -> None:
    given = {"kernel": "serve", "kernel_engine": "vllm", "kernel_model": "/m", "kernel_revision": "abc"}
    settings = Settings.load(home=tmp_path, kernel_gpus=1, kernel_max_replicas=3, **given)
    options = Settings.from_json(settings.to_json()).kernel_options
    assert options == KernelOptions(engine="vllm", model=Path("/m"), revision="abc", gpus=1, max_replicas=3)


def test_an_entry_that_comes_twice_is_two_candidates_and_a_long_body_is_cut_where_engines_stop_reading() -> None:
    twice = Entry(
        id=entry_id("mesh", "1"),
        source="mesh",
        kind=SourceKind.EVENT,
        title="Tremor",
        created_at_ms=TimeMs(5),
        last_reinforced_at_ms=TimeMs(5),
        reinforcements=3,
    )
    ask = KernelAsk.of(GOAL, [twice, twice, Document("long", "x" * (MAX_CHARS + 1))])
    assert KernelAsk.model_validate_json(ask.model_dump_json()) == ask
    assert len({candidate.id for candidate in ask.entries}) == 3
    assert (ask.entries[0].kind, ask.entries[0].reinforcements) == ("event", 3)
    assert len(ask.entries[2].body) == MAX_CHARS


def test_two_candidates_of_one_id_are_refused() -> None:
    with pytest.raises(ValidationError):
        KernelAsk(goal=GOAL, entries=(Candidate(id="a", title="x"), Candidate(id="a", title="y")))
