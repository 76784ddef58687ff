"""The store looks up candidates instead of trying every subscription; both must say the same."""

from hypothesis import example, given
from hypothesis import strategies as st

from maestro.mesh.subject import candidates, check_pattern, check_subject, matches

TOKEN = st.sampled_from(["a", "b", "c"])
SUBJECT = st.lists(TOKEN, min_size=1, max_size=8).map(".".join)
HEAD = st.lists(TOKEN | st.just("*"), max_size=7)
PATTERN = st.builds(lambda head, last: ".".join([*head, last]), HEAD, TOKEN | st.sampled_from(["*", ">"]))


@st.composite
def near(draw: st.DrawFn) -> tuple[str, str]:
    """A subject, and a pattern made from it: most random pairs have nothing in common."""
    tokens = draw(SUBJECT).split(".")
    kept = draw(st.integers(0, len(tokens)))
    head = [draw(st.sampled_from([token, "*"])) for token in tokens[:kept]]
    tail = draw(st.sampled_from([[">"], ["*"], []]))
    return ".".join(tokens), ".".join((head + tail) or ["*"])


@given(subject=SUBJECT, pattern=PATTERN)
@example(subject="a", pattern=">")
@example(subject="a", pattern="a.>")
def test_a_pattern_is_a_candidate_exactly_when_it_matches(subject: str, pattern: str) -> None:
    assert (check_pattern(pattern) in candidates(check_subject(subject))) is matches(pattern, subject)


@given(pair=near())
def test_so_it_is_for_patterns_that_are_nearly_or_really_met(pair: tuple[str, str]) -> None:
    subject, pattern = pair
    assert (pattern in candidates(subject)) is matches(pattern, subject)


@given(subject=SUBJECT)
def test_every_candidate_is_a_valid_pattern_that_matches_and_none_comes_twice(subject: str) -> None:
    found = candidates(subject)
    assert len(set(found)) == len(found) == 2 ** (subject.count(".") + 2) - 1
    assert all(matches(check_pattern(pattern), subject) for pattern in found)
