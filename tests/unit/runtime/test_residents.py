"""What a process keeps of those that were here last."""

from hypothesis import given
from hypothesis import strategies as st

from maestro.ids import ContinuationId, Epoch
from maestro.runtime.residents import Residents

A, B, C = map(ContinuationId, ("a", "b", "c"))


class Hand:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


def test_the_least_recently_used_goes_first_when_there_are_too_many() -> None:
    kept = Residents(1_000, most=2, clock=Hand())
    for cid in (A, B, A, C):
        kept.keep(cid, kept.resident(Epoch(1), b"x"))
    assert list(kept.now()) == [A, C]


def test_the_least_recently_used_go_first_when_they_are_too_large() -> None:
    kept = Residents(1_000, most_bytes=10, clock=Hand())
    kept.keep(A, kept.resident(Epoch(1), b"x" * 4))
    kept.keep(B, kept.resident(Epoch(1), b"x" * 4))
    kept.keep(C, kept.resident(Epoch(1), b"x" * 8))
    assert list(kept.now()) == [C]
    kept.keep(A, kept.resident(Epoch(2), b"x" * 11))
    assert not kept.now(), "what is larger than all there may be is not kept"


def test_nothing_is_kept_beyond_its_time() -> None:
    clock = Hand()
    kept = Residents(1_000, clock=clock)
    kept.keep(A, kept.resident(Epoch(1), b"x"))
    clock.s = 0.6
    kept.keep(B, kept.resident(Epoch(1), b"x"))
    clock.s = 1.0
    assert list(kept.now()) == [B]
    assert len(kept) == 1


def test_without_a_linger_time_nothing_is_kept() -> None:
    kept = Residents(0, clock=Hand())
    kept.keep(A, kept.resident(Epoch(1), b"x"))
    assert not kept.now()


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 7), st.integers(0, 3)), max_size=60))
def test_whatever_comes_there_are_never_too_many_nor_too_much(steps: list[tuple[str, int, int]]) -> None:
    clock = Hand()
    kept = Residents(2_000, most=3, most_bytes=12, clock=clock)
    for number, (name, size, later_s) in enumerate(steps):
        clock.s += later_s
        kept.keep(ContinuationId(name), kept.resident(Epoch(number), b"x" * size))
        now = kept.now()
        assert len(now) <= 3
        assert sum(len(one.checkpoint) for one in now.values()) <= 12
        assert name in now
        assert all(one.until > clock.s for one in now.values())
