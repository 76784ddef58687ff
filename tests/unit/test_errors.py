import inspect
import pickle  # noqa: TID251 - Ray sends errors between processes this way; nothing is kept so
import re

import pytest

import maestro.errors
from maestro.errors import BudgetExceededError, Fenced, InvalidInput, MaestroError, ProvidersExhausted, TimedOut

DRAWING = re.compile(r"^(?P<rail>[ │├└─]*)(?P<names>[A-Z]\w+(?: · [A-Z]\w+)*)")
FAMILY = [
    kind
    for _, kind in inspect.getmembers(maestro.errors, inspect.isclass)
    if issubclass(kind, BaseException) and kind.__module__ == "maestro.errors"
]


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    real = {kind.__name__: kind.__mro__[1].__name__ for kind in FAMILY}
    assert _drawn(maestro.errors.__doc__ or "") == real


def test_a_wrong_drawing_is_seen() -> None:
    doc = (maestro.errors.__doc__ or "").replace("│   └─ ContinuationNotFoundError", "├─ ContinuationNotFoundError")
    assert _drawn(doc)["ContinuationNotFoundError"] == "MaestroError"


@pytest.mark.parametrize("kind", [kind for kind in FAMILY if issubclass(kind, MaestroError)])
def test_every_error_crosses_a_process_border_whole(kind: type[MaestroError]) -> None:
    sent = kind("no room", field="budget.usd", hint="grant more", asked=3, free=1)
    got = pickle.loads(pickle.dumps(sent))  # noqa: S301 - bytes made one line above
    assert type(got) is kind
    assert (got.message, got.field, got.hint, got.facts) == ("no room", "budget.usd", "grant more", sent.facts)
    assert (str(got), got.code, got.exit_status) == (str(sent), sent.code, sent.exit_status)


def test_a_fence_crosses_a_process_border_whole() -> None:
    got = pickle.loads(pickle.dumps(Fenced("c-1", 3, 5)))  # noqa: S301 - bytes made in this line
    assert (got.cid, got.epoch, got.current, str(got)) == ("c-1", 3, 5, "c-1: epoch 3 is over, 5 is current")


def test_a_greedy_except_does_not_swallow_a_fence() -> None:
    with pytest.raises(Fenced):
        try:
            raise Fenced("c-1", 1, 2)
        except Exception:  # noqa: BLE001 - this is the greed that the test is about
            pytest.fail("swallowed")


def test_codes_are_told_apart_where_a_face_must_tell_apart() -> None:
    codes: dict[str, list[type[MaestroError]]] = {}
    for kind in FAMILY:
        if issubclass(kind, MaestroError):
            codes.setdefault(kind.code, []).append(kind)
    shared = {code: kinds for code, kinds in codes.items() if len(kinds) > 1}
    for kinds in shared.values():
        top = min(kinds, key=lambda kind: len(kind.__mro__))
        assert all(issubclass(kind, top) for kind in kinds), kinds


def test_the_exit_codes_are_those_of_the_command_line() -> None:
    status = {kind.__name__: kind.exit_status for kind in FAMILY if issubclass(kind, MaestroError)}
    assert status["InvalidInput"] == status["ContinuationInvalidInputError"] == 2
    assert status["NotFound"] == status["ContinuationNotFoundError"] == 3
    assert status["StoreUnavailable"] == status["StoreRefused"] == status["ClusterError"] == 4
    assert status["TimedOut"] == TimedOut.exit_status == 124
    assert {status[name] for name in ("Conflict", "MailboxFull", "ProvidersExhausted")} == {1}


def test_the_text_ends_with_the_fix_where_there_is_one() -> None:
    assert str(InvalidInput("bad", hint="write good")) == "bad (write good)"
    assert str(ProvidersExhausted("all out")) == "all out"


def test_facts_are_attributes_not_only_text() -> None:
    assert BudgetExceededError("short", asked=5, free=2).facts == {"asked": 5, "free": 2}


def _drawn(doc: str) -> dict[str, str]:
    """Name -> name of its parent, read off the drawing by indentation."""
    parents: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in doc.splitlines():
        row = DRAWING.match(line)
        if row is None or not line.startswith("    "):
            continue
        depth, names = len(row["rail"]), row["names"].split(" · ")
        above = [(d, name) for d, name in above if d < depth]
        parent = above[-1][1] if above else ("BaseException" if names == ["Fenced"] else "Exception")
        parents.update(dict.fromkeys(names, parent))
        above.append((depth, names[-1]))
    return parents
