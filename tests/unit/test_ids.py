import itertools
import re
import string

import pytest

from maestro.errors import InvalidInput
from maestro.ids import (
    ALPHABET,
    ContinuationId,
    Partition,
    Rev,
    TimeMs,
    check_continuation_id,
    check_label,
    child_id,
    derived_token,
    home_partition,
    new_continuation_id,
    new_token,
    partition_of,
)

NOW = TimeMs(1_721_001_600_000)
PARENT = new_continuation_id(NOW, Partition(7))


def test_a_new_id_passes_its_own_check_and_is_safe_in_keys_and_urls() -> None:
    cid = new_continuation_id(NOW, Partition(3))
    assert check_continuation_id(cid) == cid
    assert set(cid) <= set(string.ascii_lowercase + string.digits + "-")


def test_ids_sort_by_birth_whatever_their_entropy() -> None:
    births = [0, 1, 31, 32, 1023, 1024, NOW - 1, NOW, NOW + 1, 2**50 - 1]
    ids = [new_continuation_id(TimeMs(birth), Partition(0)) for birth in births]
    assert ids == sorted(ids)


def test_two_ids_of_one_millisecond_differ() -> None:
    assert len({new_continuation_id(NOW, Partition(0)) for _ in range(1_000)}) == 1_000


@pytest.mark.parametrize("partition", [0, 1, 35, 36, 255, 1295, 1296, 36**4 - 1])
def test_the_partition_is_read_back_from_the_id(partition: int) -> None:
    cid = new_continuation_id(NOW, Partition(partition))
    assert partition_of(cid) == partition
    assert check_continuation_id(cid) == cid


def test_a_repeated_tick_names_the_same_child() -> None:
    assert child_id(PARENT, Rev(4), 0, NOW) == child_id(PARENT, Rev(4), 0, NOW)


def test_children_of_other_parents_revs_and_ordinals_have_other_names() -> None:
    parents = [PARENT, new_continuation_id(NOW, Partition(7))]
    names = {child_id(p, Rev(r), o, NOW) for p, r, o in itertools.product(parents, range(20), range(20))}
    assert len(names) == 800


def test_a_child_lives_in_the_partition_of_its_parent() -> None:
    child = child_id(PARENT, Rev(1), 0, NOW)
    assert partition_of(child) == partition_of(PARENT)
    assert partition_of(child_id(child, Rev(1), 0, NOW)) == partition_of(PARENT)


def test_homes_are_stable_and_spread() -> None:
    assert home_partition("scout", 16) == home_partition("scout", 16)
    assert {home_partition(f"key-{i}", 16) for i in range(1_000)} == set(range(16))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        PARENT.upper(),
        PARENT + "\n",
        PARENT[:-2],
        PARENT + "0000",
        " " + PARENT,
        PARENT.replace("-", ":"),
        "i" + PARENT[1:],
        "../" + PARENT,
        "{" + PARENT + "}",
    ],
)
def test_what_is_no_id_never_reaches_a_key(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_continuation_id(text, "parent")
    assert (caught.value.code, caught.value.field) == ("invalid_input", "parent")
    assert caught.value.hint == "see `maestro list` for ids"


def test_a_long_wrong_id_is_cut_in_the_message() -> None:
    with pytest.raises(InvalidInput) as caught:
        check_continuation_id("x" * 10_000)
    assert len(caught.value.message) < 100


@pytest.mark.parametrize("label", ["a", "Scout", "arxiv.cs_AI-2", "9lives", "x" * 64])
def test_a_label_is_kept_as_it_is(label: str) -> None:
    assert check_label(label, "behaviour") == label


@pytest.mark.parametrize("label", ["", ".hidden", "-x", "_x", "a b", "a:b", "a{b}", "é", "x" * 65, "a\n", "a*"])
def test_a_label_that_could_break_a_key_is_refused_with_its_field(label: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_label(label, "tenant")
    assert caught.value.field == "tenant"
    assert "beginning with a letter or digit" in str(caught.value)


def test_tokens_have_their_prefix_and_are_fresh() -> None:
    tokens = {new_token("approval") for _ in range(1_000)}
    assert len(tokens) == 1_000
    assert all(re.fullmatch(rf"approval-[{ALPHABET}]{{10}}", token) for token in tokens)


def test_a_derived_token_depends_on_every_part_and_on_their_borders() -> None:
    assert derived_token("mail", "a", 1) == derived_token("mail", "a", 1)
    parts: list[tuple[object, ...]] = [("a", 1), ("a", 2), ("b", 1), ("a1",), ("a", "", 1), ("", "a", 1)]
    assert len({derived_token("mail", *each) for each in parts}) == len(parts)


def test_names_are_made_as_the_first_version_made_them() -> None:
    """They are stored for years, and a tick may be repeated by the next release."""
    old = ContinuationId("01j2t8q300zzzzzzzzzzzz-7")
    assert check_continuation_id(old) == old
    assert child_id(old, Rev(3), 2, NOW) == "01j2sv0s00e9evrma8fn7j-7"
    assert derived_token("mail", "a", 1) == "mail-ghmggx6w5y"
