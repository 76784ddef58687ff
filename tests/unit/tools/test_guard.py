"""The guard, and the breaker: pure tables."""

from itertools import product

import pytest

from maestro.errors import ToolDenied
from maestro.tools.breaker import CLOSED, PAUSE_MS, THRESHOLD
from maestro.tools.guard import covered, ruling, shared_scopes
from maestro.tools.spec import SideEffect, Spec

TAINT = ("its cause: event from feed",)


def spec(side_effect: SideEffect, outgoing: bool = False, risk: str = "low", *scopes: str) -> Spec:
    return Spec("t", "t", {}, side_effect, outgoing=outgoing, risk=risk, scopes=scopes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("side_effect", "outgoing", "risk", "tainted"),
    list(product(SideEffect, (False, True), ("low", "high"), (False, True))),
)
def test_who_is_asked(side_effect: SideEffect, outgoing: bool, risk: str, tainted: bool) -> None:
    asked = risk == "high" or (tainted and (outgoing or side_effect is SideEffect.UNSAFE))
    found = ruling(spec(side_effect, outgoing, risk), (), TAINT if tainted else ())
    assert found.verdict == ("asked" if asked else "allowed")
    assert bool(found.because) == asked


def test_what_no_scope_covers_is_denied_whatever_else_is_so() -> None:
    tool = spec(SideEffect.PURE, False, "low", "mail.send", "mail.read")
    assert ruling(tool, (), ()).because == "t needs the scope mail.send, mail.read"
    assert ruling(tool, ("mail.read",), ()).because == "t needs the scope mail.send"
    for held in (("mail.send", "mail.read"), ("mail.*",), ("*",)):
        assert ruling(tool, held, ()).verdict == "allowed"


@pytest.mark.parametrize("held", [(), ("mail",), ("mail.",), ("mai*",), ("mail.s*",), ("bank.*",), ("mail.send.x",)])
def test_a_scope_is_covered_by_itself_or_a_wildcard_and_by_nothing_else(held: tuple[str, ...]) -> None:
    assert not covered("mail.send", held)


def test_children_get_at_most_what_their_parent_has() -> None:
    held = ("mail.*", "map.read")
    assert shared_scopes(held, None) == held
    assert shared_scopes(held, ["mail.send", "mail.send"]) == ("mail.send",)
    assert shared_scopes(held, ["mail.*"]) == ("mail.*",)
    assert shared_scopes(held, []) == ()
    for more in ("*", "bank.pay", "map.*", "map.write"):
        with pytest.raises(ToolDenied) as denied:
            shared_scopes(held, ["mail.send", more])
        assert denied.value.field == "scopes"
        assert more in str(denied.value)


@pytest.mark.spec("04.10")
def test_the_breaker_opens_after_five_failures_in_a_row_and_lets_one_try_later() -> None:
    breaker = CLOSED
    for _ in range(THRESHOLD - 1):
        breaker = breaker.failed(1_000)
    assert breaker.retry_in_ms(1_000) == 0
    assert breaker.succeeded() == CLOSED, "any success begins anew"

    opened = breaker.failed(2_000)
    assert opened.retry_in_ms(2_000) == PAUSE_MS
    assert opened.retry_in_ms(2_000 + PAUSE_MS) == 0
    trying = opened.begun(2_000 + PAUSE_MS)
    assert trying.retry_in_ms(2_000 + PAUSE_MS) == PAUSE_MS, "one at a time"
    assert trying.failed(40_000).retry_in_ms(40_000) == PAUSE_MS, "one failure opens it again"
    assert trying.succeeded().retry_in_ms(40_000) == 0
