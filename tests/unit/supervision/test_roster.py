"""What supervisors left behind is one tree when it is read again, whatever became of it in the store (F52)."""

from maestro.supervision.roster import RosterEntry, Spoilt, parse, render, survey
from maestro.supervision.spec import ChildSpec
from tests.unit.supervision.stage import child, sup

TREE = sup(sup(child("x"), id="s"), child("a"), id="root")


def left(*specs: ChildSpec, stopped: bool = False) -> bytes:
    return render(tuple(RosterEntry(spec=spec, stopped=stopped) for spec in specs))


def test_what_is_whole_stays_as_it_is() -> None:
    found = {"root": left(sup(id="s"), child("a"), child("added")), "s": left(child("x"), child("y", "temporary"))}
    seen = survey(TREE, found)
    assert seen.spoilt == ()
    assert {name: render(roster) for name, roster in seen.kept.items()} == found
    assert parse(found["s"])[1].spec == child("y", "temporary")


def test_without_any_roster_there_is_nothing_to_read() -> None:
    assert survey(TREE, {}).kept == {}


def test_f52_a_cycle_is_set_aside_and_the_rest_of_the_tree_starts() -> None:
    found = {"root": left(sup(id="s"), child("a")), "s": left(sup(id="root"), sup(id="s"), child("x"))}
    seen = survey(TREE, found)
    assert [entry.spec.id for entry in seen.kept["s"]] == ["x"]
    assert seen.spoilt == (
        Spoilt("s", "root", "cycle: root would be below itself"),
        Spoilt("s", "s", "cycle: s would be below itself"),
    )


def test_f52_a_roster_whose_supervisor_nobody_starts_is_set_aside() -> None:
    seen = survey(TREE, {"lost": left(child("y"))})
    assert (seen.kept, seen.spoilt) == (
        {},
        (Spoilt("lost", None, "dangling: no supervisor of the tree has this id"),),
    )


def test_what_cannot_be_read_is_set_aside_and_the_spec_holds() -> None:
    for data in (b"", b"{", b"[]x", b'[{"spec": {"id": "x"}, "stopped": false}]', b'[{"spec": 1}]'):
        seen = survey(TREE, {"s": data})
        assert [entry.spec.id for entry in seen.kept["s"]] == ["x"]
        assert [(s.supervisor, s.entry, s.why.split(":")[0]) for s in seen.spoilt] == [("s", None, "unreadable")]


def test_an_id_stands_in_the_tree_once_the_place_nearer_to_the_root_wins() -> None:
    found = {"root": left(sup(id="s"), child("a")), "s": left(child("a"), child("x"), child("x"))}
    seen = survey(TREE, found)
    assert [entry.spec.id for entry in seen.kept["s"]] == ["x"]
    assert [s.why for s in seen.spoilt] == [
        "twice in the tree: it is a child of root",
        "twice in the tree: it is a child of s",
    ]

    moved = {"root": left(sup(child("x"), id="s"), child("a"), child("x"))}
    seen = survey(TREE, moved)
    assert [entry.spec.id for entry in seen.kept["root"]] == ["s", "a", "x"]
    assert seen.kept["s"] == ()


def test_an_entry_that_its_supervisor_could_not_have_is_set_aside() -> None:
    seen = survey(TREE, {"s": left(child("x"), child("v", "transient", significant=True))})
    assert [entry.spec.id for entry in seen.kept["s"]] == ["x"]
    assert seen.spoilt[0].entry == "v"
