"""The guard: whether a tool may be used here and now, whether a person is asked first, or whether it may not.

    scopes are missing                                  -> denied
    its risk is high                                    -> asked
    unsafe or outgoing, and untrusted is what caused or informed this tick -> asked
    anything else                                       -> allowed

Invariants: pure; no behaviour and no model is asked; what is not covered by a scope that was given is denied; scopes
only shrink from parent to child.

Source: spec/04 sections 4, 6; PROMISES P15, B45, B75, 5.6.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from maestro.errors import ToolDenied
from maestro.tools.spec import SideEffect, Spec

EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the guard says, and why, in words for a person."""

    verdict: Literal["allowed", "asked", "denied"]
    because: str


def ruling(spec: Spec, scopes: Iterable[str], taint: Iterable[str]) -> Ruling:
    """Whether a continuation that holds `scopes` may use the tool.

    Args:
        taint: what of this tick is untrusted, in words: its cause, what it has read; empty when nothing is.
    """
    held = tuple(scopes)
    missing = [scope for scope in spec.scopes if not covered(scope, held)]
    if missing:
        return Ruling("denied", f"{spec.name} needs the scope {', '.join(missing)}")
    if spec.risk == "high":
        return Ruling("asked", "its risk is high")
    reasons = list(taint)
    if reasons and (spec.side_effect is SideEffect.UNSAFE or spec.outgoing):
        kind = "unsafe" if spec.side_effect is SideEffect.UNSAFE else "outgoing"
        return Ruling("asked", f"it is {kind}, and untrusted is {'; '.join(reasons)}")
    return Ruling("allowed", "")


def covered(scope: str, held: Iterable[str]) -> bool:
    """True when one of `held` is this scope, `*`, or a wildcard above it such as `mail.*`."""
    return any(
        scope == each or each == EVERYTHING or (each.endswith(".*") and scope.startswith(each[:-1])) for each in held
    )


def shared_scopes(held: Iterable[str], asked: Iterable[str] | None) -> tuple[str, ...]:
    """What a child gets: what is asked for it; all that its parent has, where nothing is asked.

    Raises:
        ToolDenied: something is asked that the parent has not.
    """
    have = tuple(held)
    if asked is None:
        return have
    wanted = tuple(dict.fromkeys(asked))
    beyond = [scope for scope in wanted if not covered(scope, have)]
    if beyond:
        raise ToolDenied(
            f"a child cannot be given {', '.join(beyond)}: its parent has not got it",
            field="scopes",
            hint=f"give of: {', '.join(have) or 'nothing'}",
        )
    return wanted
