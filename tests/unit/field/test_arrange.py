from dataclasses import replace

import pytest

from maestro.field.arrange import arranged
from maestro.field.decay import EVICT_FLOOR
from maestro.field.entry import Entry, EntryState
from maestro.field.likeness import ALIKE, alike, likeness, sketch
from maestro.field.project import Delta, Field, Weighed, project, top
from maestro.ids import TimeMs
from tests.unit.field.entries import NOW, after, an_entry

TEXT = (
    "We watch the tremor of a volcano with cheap seismic sensors on its flank and warn the villages below hours before "
    "an eruption, where earlier networks of stations gave minutes; two seasons of field work on Etna and Hekla show it."
)
AGAIN = TEXT.replace("two seasons", "three seasons")
OTHER = (
    "Sourdough bread rises by wild yeast and bacteria. We follow the acids of forty bakeries through a winter, and "
    "find that flour decides less than the hands that knead it, which carry the same strains from one to the next."
)


def offered(*entries: Entry) -> list[Weighed]:
    """Heaviest first, as given."""
    return [Weighed(entry, 0.9 - place / 100) for place, entry in enumerate(entries)]


def written(name: str, text: str, **changes: object) -> Entry:
    return an_entry(name, body=text).model_copy(update={"sketch": sketch("", text), **changes})


def test_the_second_version_of_a_text_is_like_the_first_and_another_text_is_not() -> None:
    assert likeness(sketch("", TEXT), sketch("", TEXT)) == 1
    assert likeness(sketch("", TEXT), sketch("", AGAIN)) >= ALIKE
    assert likeness(sketch("", TEXT), sketch("", OTHER)) < 0.2


def test_a_text_too_short_to_tell_is_like_no_other_not_even_itself() -> None:
    assert sketch("Volcano", "It smokes.") == ()
    assert not alike((), ())


@pytest.mark.spec("03.9")
def test_near_duplicates_are_read_once_and_the_one_that_is_read_names_the_others() -> None:
    first, second, other = written("a", TEXT), written("b", AGAIN), written("c", OTHER)
    read = arranged(offered(first, second, other), 10)
    assert [(it.entry.title, it.stands_for) for it in read] == [("a", (second.id,)), ("c", ())]


@pytest.mark.spec("03.9")
def test_do_x_then_do_y_in_its_place_only_y_is_read_and_x_is_named() -> None:
    x, y, z = an_entry("do x"), an_entry("do y"), an_entry("do z")
    y = y.model_copy(update={"supersedes": x.id})
    assert [(it.entry.title, it.stands_for) for it in arranged(offered(x, y), 10)] == [("do y", (x.id,))]
    z = z.model_copy(update={"supersedes": y.id})
    assert [(it.entry.title, it.stands_for) for it in arranged(offered(x, y, z), 10)] == [("do z", (x.id, y.id))]


def test_two_that_supersede_each_other_do_not_both_vanish() -> None:
    x, y = an_entry("x"), an_entry("y")
    x, y = x.model_copy(update={"supersedes": y.id}), y.model_copy(update={"supersedes": x.id})
    assert [it.entry.title for it in arranged(offered(x, y), 10)] == ["x", "y"]


def test_what_a_person_pinned_stays_whatever_supersedes_it_or_is_like_it() -> None:
    pin = written("pin", TEXT, state=EntryState.PINNED)
    later = written("later", AGAIN, supersedes=pin.id)
    read = arranged([Weighed(pin, float("inf")), *offered(later)], 10)
    assert pin.id in [it.entry.id for it in read]


def test_what_has_faded_below_the_floor_is_not_read_and_room_is_made_for_the_next() -> None:
    faded = Weighed(an_entry("faded"), EVICT_FLOOR / 2)
    assert arranged([*offered(an_entry("a")), faded], 10) == offered(an_entry("a"))
    twice = offered(written("a", TEXT), written("b", AGAIN), written("c", OTHER))
    assert [it.entry.title for it in arranged(twice, 2)] == ["a", "c"]


SIBLING, MINE, UNRELATED = an_entry("sibling", score=0.9), an_entry("mine", score=0.5), an_entry("zebra", score=0.4)


@pytest.mark.spec("03.1")
def test_each_of_the_three_triggers_alone_changes_version_and_order() -> None:
    field = project(Field(), Delta(NOW, (MINE, UNRELATED)), {MINE.id: 0.5, UNRELATED.id: 0.4})
    before = order(field)
    new_goal = project(field, Delta(after(1)), {MINE.id: 0.1, UNRELATED.id: 0.8})
    new_data = project(field, Delta(after(1), (an_entry("new", score=0.7),)), {an_entry("new").id: 0.7})
    finding = project(field, Delta(after(1), (SIBLING,)), {SIBLING.id: 0.9})
    for changed in (new_goal, new_data, finding):
        assert changed.version > field.version
        assert order(changed) != before


@pytest.mark.spec("03.1")
def test_unrelated_data_changes_no_place_of_what_was_there_and_nothing_at_all_no_version() -> None:
    field = project(Field(), Delta(NOW, (MINE,)), {MINE.id: 0.5})
    beside = project(field, Delta(after(1), (UNRELATED,)), {UNRELATED.id: 0.0})
    assert order(beside)[0] == "mine"
    assert replace(project(field, Delta(after(1)), {})) == field


def order(field: Field, now_ms: TimeMs = NOW) -> list[str]:
    return [it.entry.title for it in top(field, 10, now_ms)]
