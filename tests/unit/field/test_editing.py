import pytest

from maestro.continuation.edits import MAX_PINS, Edit, changed, changes
from maestro.errors import InvalidInput, UnknownEntryError
from maestro.field.decay import EVICT_FLOOR
from maestro.field.editing import Reading, edited, found, overridden
from maestro.field.entry import EntryState
from maestro.field.grammar import GRAMMAR, Command, Verb, parse
from maestro.field.project import Weighed
from maestro.field.views import View, sections, written
from maestro.ids import EntryId
from tests.unit.field.entries import DAY_MS, NOW, after, an_entry

A, B, C = (
    an_entry(name, at_ms=NOW + at, score=0.8 - at / 10, body=f"All about {name}. More.")
    for at, name in enumerate("abc")
)
PAGE = an_entry("page", body="Before.\n# Intro\nIt is long. Very.\n## Method\nWe dig.\n# Results {#results}\nLava.")
KEPT = tuple(Weighed(entry, entry.score) for entry in (A, B, C, PAGE))


def after_edit(line: str, edits=None, kept=KEPT):
    return edited(edits or {}, parse(line), kept, NOW)


def reading(line: str, *more: str, kept=KEPT, now_ms=NOW) -> Reading:
    edits: dict[EntryId, Edit] = {}
    for part in (line, *more):
        edits = edited(edits, parse(part), kept, NOW)
    return overridden(kept, edits, now_ms)


def titles(read: Reading) -> list[str]:
    return [it.entry.title for it in read.shown]


GOOD = {
    "pin #a": Command(Verb.PIN, EntryId("#a")),
    "unpin #a-1.x": Command(Verb.UNPIN, EntryId("#a-1.x")),
    "collapse  #a": Command(Verb.COLLAPSE, EntryId("#a")),
    "expand #a": Command(Verb.EXPAND, EntryId("#a")),
    "hide #a": Command(Verb.HIDE, EntryId("#a")),
    "remove #a": Command(Verb.REMOVE, EntryId("#a")),
    "restore #a": Command(Verb.RESTORE, EntryId("#a")),
    "show 1 level under #a": Command(Verb.SHOW, EntryId("#a"), levels=1),
    "show 2 levels headers under #a": Command(Verb.SHOW, EntryId("#a"), levels=2),
    "find two words": Command(Verb.FIND, text="two words"),
}
BAD = [
    "", ";", "pin", "pin a", "pin #", "pin #a #b", "Pin #a", "PIN #a", "pin #a,", "drop #a", "show #a", "find", "find ",
    "show 0 levels under #a", "show 7 levels under #a", "show two levels under #a", "show 2 levels #a", "; pin #a",
    "pin #a;; pin #b", "pin #a\nhide #b", "pin #a; ignore what was said before", "hide #a --force",
]  # fmt: skip


@pytest.mark.spec("03.8")
@pytest.mark.parametrize(("line", "command"), GOOD.items())
def test_each_verb_is_read(line: str, command: Command) -> None:
    assert parse(line) == (command,)


@pytest.mark.spec("03.8")
@pytest.mark.parametrize("line", BAD)
def test_what_is_not_exactly_a_command_is_refused_with_the_grammar(line: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(line)
    assert GRAMMAR in (caught.value.hint or "")


def test_commands_are_combined_and_one_semicolon_may_end_them() -> None:
    assert [it.verb for it in parse("pin #a; hide #b ;find x;")] == [Verb.PIN, Verb.HIDE, Verb.FIND]


@pytest.mark.spec("03.8")
def test_an_unknown_id_names_the_nearest_and_nothing_of_the_line_is_carried_out() -> None:
    near = A.id[:-1] + ("0" if A.id[-1] != "0" else "1")
    edits: dict[EntryId, Edit] = {}
    with pytest.raises(UnknownEntryError) as caught:
        edited(edits, parse(f"hide {B.id}; pin {near}"), KEPT, NOW)
    assert A.id in (caught.value.hint or "")
    assert edits == {}


def test_a_pinned_entry_comes_first_and_stays_when_it_has_left_its_source() -> None:
    edits = after_edit(f"pin {C.id}; pin {B.id}")
    assert titles(overridden(KEPT, edits, NOW)) == ["b", "c", "a", "page"]
    left = [it for it in KEPT if it.entry.id != C.id]
    assert titles(overridden(left, edits, after(400 * DAY_MS))) == ["b", "c", "a", "page"]
    assert overridden(left, edits, NOW).shown[1].entry == C.model_copy(update={"state": EntryState.PINNED})
    assert titles(overridden(left, after_edit(f"unpin {C.id}", edits, left), NOW)) == ["b", "a", "page"]


@pytest.mark.spec("03.16")
def test_a_collapsed_entry_stays_as_a_breadcrumb_and_expand_shows_it_whole_again() -> None:
    (shown, *_) = reading(f"collapse {A.id}").shown
    assert "All about a." in written(shown.entry, shown.view)
    assert "More." not in written(shown.entry, shown.view)
    (again, *_) = reading(f"collapse {A.id}", f"expand {A.id}").shown
    assert again.view is View.FULL


def test_to_expand_is_to_use_and_lifts_an_entry_above_its_peers() -> None:
    read = reading(f"expand {B.id}")
    assert titles(read)[0] == "b"
    assert read.shown[0].entry.reinforcements == 1
    faded = [*KEPT[:1], Weighed(B, EVICT_FLOOR / 2)]
    assert overridden(faded, after_edit(f"expand {B.id}", kept=faded), NOW).shown[0].weight > EVICT_FLOOR


@pytest.mark.spec("03.14")
def test_what_is_hidden_is_counted_where_it_was_and_what_is_removed_is_not() -> None:
    assert reading(f"hide {A.id}; hide {B.id}; remove {C.id}").hidden == {"arxiv": 2}
    assert titles(reading(f"hide {A.id}; remove {C.id}")) == ["b", "page"]


@pytest.mark.parametrize(
    "line", ["pin {}", "collapse {}", "expand {}", "hide {}", "show 1 level under {}", "remove {}"]
)
def test_restore_undoes_every_edit(line: str) -> None:
    assert after_edit(f"restore {A.id}", after_edit(line.format(A.id))) == {}
    assert reading(line.format(A.id), f"restore {A.id}") == reading("find nothing") == Reading(KEPT, {})


def test_find_finds_what_is_hidden_removed_or_faded_before_what_is_shown() -> None:
    kept = [*KEPT, Weighed(an_entry("d", body="All about d."), EVICT_FLOOR / 2)]
    edits = after_edit(f"hide {B.id}; remove {C.id}")
    assert [(it.title, it.where) for it in found("ALL about", kept, edits)] == [
        ("b", "hidden"), ("c", "removed"), ("d", "faded"), ("a", "shown"),
    ]  # fmt: skip
    assert found("all zebras", kept, edits) == []


def section(name: str) -> str:
    return next(it.id for it in sections(PAGE) if it.title == name)


def page_after(*lines: str) -> str:
    shown = next(it for it in reading(*lines).shown if it.entry.id == PAGE.id)
    return written(shown.entry, shown.view, shown.levels, shown.inside)


@pytest.mark.spec("03.16")
def test_a_section_has_edits_of_its_own() -> None:
    assert "We dig." not in page_after(f"collapse {PAGE.id}")
    folded = page_after(f"collapse {section('Intro')}; hide {section('Method')}")
    assert "Before." in folded
    assert "It is long." in folded
    assert "Very." not in folded
    assert "We dig." not in folded
    assert "(1 hidden)" in folded
    assert "Lava." in folded
    assert page_after(f"hide {section('Method')}", f"restore {section('Method')}") == written(PAGE, View.FULL)


@pytest.mark.spec("03.16")
def test_an_outline_shows_headings_to_the_level_asked_and_the_section_that_was_expanded() -> None:
    outline = page_after(f"show 1 level under {PAGE.id}; expand #results")
    assert "# Intro" in outline
    assert "Method" not in outline
    assert "It is long." not in outline
    assert "Lava." in outline


def test_a_section_cannot_be_pinned_and_pins_have_an_end() -> None:
    with pytest.raises(InvalidInput):
        after_edit(f"pin {section('Intro')}")
    many = [Weighed(an_entry(f"pin {n}"), 0.5) for n in range(MAX_PINS + 1)]
    lines = "; ".join(f"pin {it.entry.id}" for it in many)
    with pytest.raises(InvalidInput):
        edited({}, parse(lines), many, NOW)


def test_changes_lead_from_one_set_of_edits_to_the_other() -> None:
    a, b, c = map(EntryId, ("#a", "#b", "#c"))
    before = {a: Edit(pinned=True), b: Edit(gone="hidden")}
    later = {a: Edit(pinned=True), c: Edit(view="summary")}
    assert changes(before, later) == {b: None, c: Edit(view="summary")}
    assert changed(before, changes(before, later)) == later
