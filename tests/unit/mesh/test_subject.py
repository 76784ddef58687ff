import pytest

from maestro.errors import InvalidInput
from maestro.mesh.subject import MAX_TOKEN_CHARS, candidates, check_pattern, check_subject, matches


@pytest.mark.parametrize("subject", ["a", "arxiv.cs.AI", "astro-ph.CO_2", "a.b.c.d.e.f.g.h", "x" * MAX_TOKEN_CHARS])
def test_a_subject_of_one_to_eight_tokens_is_taken(subject: str) -> None:
    assert check_subject(subject) == subject


@pytest.mark.parametrize(
    "subject",
    [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "a b",
        "a.*",
        ">",
        "a/b",
        "a{b}",
        "ä",
        "a\n",
        "a.b.c.d.e.f.g.h.i",
        "x" * 65,
        "." * 9**5,
    ],
)
def test_anything_else_is_refused_as_a_subject(subject: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_subject(subject)
    assert caught.value.field == "subject"
    assert caught.value.hint


@pytest.mark.parametrize("pattern", ["*", ">", "a.*", "*.b", "a.*.c.>", "a.b", "*.*.*.*.*.*.*.>"])
def test_wildcards_are_taken_in_a_pattern(pattern: str) -> None:
    assert check_pattern(pattern) == pattern


@pytest.mark.parametrize("pattern", ["", ">.a", "a.>.b", "a*", "a.**", ">>", "a.[bc]", "(a+)+$", "*.*.*.*.*.*.*.*.>"])
def test_a_pattern_that_says_nothing_clear_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_pattern(pattern)
    assert caught.value.field == "pattern"


@pytest.mark.parametrize(
    ("pattern", "subject", "meets"),
    [
        ("arxiv.cs.AI", "arxiv.cs.AI", True),
        ("arxiv.cs.AI", "arxiv.cs.ai", False),
        ("arxiv.cs.AI", "arxiv.cs", False),
        ("arxiv.cs", "arxiv.cs.AI", False),
        ("arxiv.*.AI", "arxiv.cs.AI", True),
        ("arxiv.*", "arxiv.cs.AI", False),
        ("arxiv.>", "arxiv.cs.AI", True),
        ("arxiv.cs.AI.>", "arxiv.cs.AI", False),
        ("arxiv.>", "arxiv", False),
        (">", "arxiv", True),
        ("*.>", "arxiv", False),
        ("*.>", "arxiv.cs", True),
    ],
)
def test_a_star_is_one_token_and_an_arrow_is_the_rest(pattern: str, subject: str, meets: bool) -> None:
    assert matches(pattern, subject) is meets


def test_the_candidates_of_a_subject_are_all_its_patterns_and_the_subject_comes_first() -> None:
    assert candidates("a.b") == ("a.b", "a.*", "*.b", "*.*", "a.>", "*.>", ">")
    assert len(candidates("a.b.c.d.e.f.g.h")) == 511
