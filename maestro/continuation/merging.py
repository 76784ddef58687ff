"""Merging two states that came from one: a law for each field, and a question where no law decides.

    class State(BaseModel):
        seen: Annotated[int, Merge.SUM] = 0
        papers: Annotated[list[str], Merge.UNION] = []
        verdict: Annotated[str, MergeBy(the_longer)] = ""
        title: str = ""                 # no law: the side that changed it is right; both, differently: a question

Invariants: pure; a field that neither side changed stays; without a law nothing of either side is overwritten: ours
stays, and theirs is kept in the disagreement until a person, or the behaviour, has decided.
States are JSON objects here; whether the outcome is a state is checked by whoever knows the model.

Source: three-way merge; spec/01 section 9.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from pydantic import BaseModel, ConfigDict, JsonValue

from maestro.continuation.patch import same
from maestro.ids import ContinuationId, derived_token

Fields = Mapping[str, JsonValue]


class Merge(Enum):
    """The laws that have a name."""

    SUM = "sum"
    """What both added since they parted."""
    MAX = "max"
    MIN = "min"
    UNION = "union"
    """Lists as sets, objects by their keys: what either added, without what either took away; of two changes, ours."""
    CONCAT = "concat"
    """Ours, then what theirs has grown by: texts and lists."""
    LAST = "last"
    """The side that ticked last."""
    OURS = "ours"
    THEIRS = "theirs"


@dataclass(frozen=True, slots=True)
class MergeBy:
    """A law of the behaviour's own: (base, ours, theirs) -> the value; all three as JSON, pure."""

    rule: Callable[[JsonValue, JsonValue, JsonValue], JsonValue]


Law = Merge | MergeBy


class Disagreement(BaseModel):
    """A field that both sides changed differently; `theirs` is kept here, the state has `ours`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question_id: str
    source: ContinuationId
    field: str
    base: JsonValue = None
    ours: JsonValue = None
    theirs: JsonValue = None

    @property
    def question(self) -> str:
        """What a person is asked."""
        both = f"{self.field} is {self.ours!r} here and {self.theirs!r} there"
        return f"merging {self.source}: {both}; answer ours, theirs, or a value in JSON"


@dataclass(frozen=True, slots=True)
class Merged:
    """A merged state, and where it needs a word of somebody."""

    state: dict[str, JsonValue]
    disagreements: tuple[Disagreement, ...] = ()


@dataclass(frozen=True, slots=True)
class Sides:
    """What is merged: `theirs` into `ours`, since they were `base` (None: they never were one)."""

    source: ContinuationId
    ours: Fields
    theirs: Fields
    base: Fields | None = None
    theirs_is_newer: bool = False


def laws_of(state: type[BaseModel]) -> dict[str, Law]:
    """The laws that a state declares, by field."""
    found = ((name, law) for name, info in state.model_fields.items() for law in info.metadata)
    return {name: law for name, law in found if isinstance(law, Merge | MergeBy)}


def three_way(sides: Sides, laws: Mapping[str, Law]) -> Merged:
    """Theirs merged into ours, field by field."""
    state: dict[str, JsonValue] = dict(sides.ours)
    open_: list[Disagreement] = []
    base = sides.base or {}
    for field in sorted(sides.ours.keys() | sides.theirs.keys()):
        ours, theirs, was = sides.ours.get(field), sides.theirs.get(field), base.get(field)
        law = laws.get(field)
        if field not in sides.theirs or (field in sides.ours and same(ours, theirs) and not _counts_both(law)):
            continue
        if law is not None:
            state[field] = _by_law(law, was, ours, theirs, sides.theirs_is_newer)
        elif field not in sides.ours or (field in base and same(ours, was)):
            state[field] = theirs
        elif not (field in base and same(theirs, was)):
            open_.append(disagreement(sides.source, field, was, ours, theirs))
    return Merged(state, tuple(open_))


def disagreement(
    source: ContinuationId, field: str, base: JsonValue, ours: JsonValue, theirs: JsonValue, asked: str = ""
) -> Disagreement:
    """A disagreement with the question that it means; asked anew, it is another question."""
    question_id = derived_token("question", "merge", source, field, asked)
    return Disagreement(question_id=question_id, source=source, field=field, base=base, ours=ours, theirs=theirs)


def _by_law(law: Law, base: JsonValue, ours: JsonValue, theirs: JsonValue, theirs_is_newer: bool) -> JsonValue:
    if isinstance(law, MergeBy):
        return law.rule(base, ours, theirs)
    match law:
        case Merge.SUM:
            return _number(ours) + _number(theirs) - _number(base)
        case Merge.MAX | Merge.MIN:
            choose = max if law is Merge.MAX else min
            return choose((side for side in (ours, theirs) if side is not None), key=_number)
        case Merge.UNION:
            return _union(base, ours, theirs)
        case Merge.CONCAT:
            return _concat(base, ours, theirs)
        case Merge.LAST:
            return theirs if theirs_is_newer else ours
        case Merge.OURS:
            return ours
        case Merge.THEIRS:
            return theirs
        case _:
            assert_never(law)


def _counts_both(law: Law | None) -> bool:
    """True when two equal changes are two changes."""
    return isinstance(law, MergeBy) or law in (Merge.SUM, Merge.CONCAT)


def _number(value: JsonValue) -> int | float:
    return value if isinstance(value, int | float) else 0


def _union(base: JsonValue, ours: JsonValue, theirs: JsonValue) -> JsonValue:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        was = base if isinstance(base, dict) else {}
        mine = {k: v for k, v in ours.items() if k not in was or k in theirs}
        news = {
            k: v
            for k, v in theirs.items()
            if (k not in ours and k not in was) or (k in ours and same(ours[k], was.get(k)))
        }
        return mine | news
    if not (isinstance(ours, list) and isinstance(theirs, list)):
        return ours if theirs is None else theirs if ours is None else ours
    old = base if isinstance(base, list) else []
    kept = [item for item in ours if _has(theirs, item) or not _has(old, item)]
    return kept + [item for item in theirs if not _has(ours, item) and not _has(old, item)]


def _concat(base: JsonValue, ours: JsonValue, theirs: JsonValue) -> JsonValue:
    if isinstance(ours, str) and isinstance(theirs, str):
        return ours + theirs.removeprefix(base if isinstance(base, str) else "")
    if isinstance(ours, list) and isinstance(theirs, list):
        shared = len(base) if isinstance(base, list) and same(theirs[: len(base)], base) else 0
        return ours + theirs[shared:]
    return ours if theirs is None else theirs if ours is None else ours


def _has(items: list[JsonValue], wanted: JsonValue) -> bool:
    return any(same(item, wanted) for item in items)
