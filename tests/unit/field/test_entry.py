import subprocess
import sys

import pytest
from pydantic import ValidationError

from maestro.errors import InvalidInput
from maestro.field.entry import Entry, Provenance, entry_id
from tests.unit.field.entries import an_entry


def test_the_same_key_of_the_same_source_is_the_same_id_in_another_process() -> None:
    code = "from maestro.field.entry import entry_id; print(entry_id('arxiv', '2407.1'))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert other == entry_id("arxiv", "2407.1")


def test_source_and_key_do_not_run_into_each_other() -> None:
    assert entry_id("ab", "c") != entry_id("a", "bc")


def test_an_id_of_another_form_is_refused() -> None:
    with pytest.raises(ValidationError, match="id"):
        Entry.model_validate({**an_entry("x").model_dump(), "id": "x"})


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValidationError, match="colour"):
        Entry.model_validate({**an_entry("x").model_dump(), "colour": "red"})


def test_an_entry_without_a_title_is_refused() -> None:
    with pytest.raises(InvalidInput, match="title is empty"):
        Entry.model_validate({**an_entry("x").model_dump(), "title": "  "})


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan")])
def test_a_score_outside_0_to_1_is_refused(score: float) -> None:
    with pytest.raises(ValidationError, match="score"):
        Entry.model_validate({**an_entry("x").model_dump(), "score": score})


def test_what_comes_from_outside_is_untrusted_unless_said_otherwise() -> None:
    assert an_entry("x").taint == "untrusted"


def test_an_entry_survives_its_json() -> None:
    entry = an_entry("x", body="ünïcode")
    assert Entry.model_validate_json(entry.model_dump_json()) == entry


def test_an_entry_that_nothing_linked_says_nothing_of_it_so_that_older_releases_read_it() -> None:
    assert "via" not in Provenance().model_dump()
    assert Provenance.model_validate_json(Provenance(found="linked", via="arxiv:1").model_dump_json()).via == "arxiv:1"
