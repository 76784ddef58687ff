"""What a client asked for and was told: the file beside the exports that alone reveals a lost acknowledgement.

One JSON object per line, written before the asking goes on: {at_ms, op, phase, what, facts}. An operation is an
`invoke` and what came of it: `ok`, `fail` (it certainly did not happen) or `unknown`. A line with phase `info` tells of
something that nobody asked for: a fault, its end, what the world outside counted, what the machine runs.

Invariant: what is written was known at that moment; nothing is changed afterwards.
"""

import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from maestro.errors import InvalidInput

Phase = Literal["invoke", "ok", "fail", "unknown", "info"]
Outcome = Literal["ok", "fail", "unknown"]


class Note(BaseModel):
    """One line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at_ms: int
    op: Annotated[int, Field(ge=0)]
    phase: Phase
    what: str
    facts: dict[str, JsonValue] = {}


@dataclass(frozen=True, slots=True)
class Deed:
    """One operation as a whole: what was asked, and what its caller knows of it."""

    op: int
    what: str
    outcome: Outcome
    began_ms: int
    ended_ms: int | None
    """None for one that never returned: it may take effect at any later moment."""
    asked: Mapping[str, JsonValue]
    told: Mapping[str, JsonValue]


class Annals:
    """The writer of one client's history."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("a", encoding="utf-8")
        self._numbers = itertools.count(1)
        self.written = 0

    def ask(self, what: str, **facts: JsonValue) -> "Asked":
        """An operation begins."""
        asked = Asked(self, next(self._numbers), what)
        self.write(asked.number, "invoke", what, facts)
        return asked

    def tell(self, what: str, **facts: JsonValue) -> None:
        """Something was seen."""
        self.write(0, "info", what, facts)

    def write(self, op: int, phase: Phase, what: str, facts: dict[str, JsonValue]) -> None:
        note = Note(at_ms=time.time_ns() // 1_000_000, op=op, phase=phase, what=what, facts=facts)
        self._file.write(note.model_dump_json() + "\n")
        self._file.flush()
        self.written += 1

    def close(self) -> None:
        self._file.close()


@dataclass(slots=True)
class Asked:
    """An operation under way; it ends once."""

    annals: Annals
    number: int
    what: str
    ended: bool = field(default=False)

    def ends(self, outcome: Outcome, **facts: JsonValue) -> None:
        if not self.ended:
            self.ended = True
            self.annals.write(self.number, outcome, self.what, facts)


def read(lines: Iterable[str]) -> list[Note]:
    """The notes of a file; an unfinished last line is left out, because its writer was killed.

    Raises:
        InvalidInput: a line before it is none of ours.
    """
    texts = list(lines)
    notes: list[Note] = []
    for number, text in enumerate(texts, 1):
        try:
            notes.append(Note.model_validate_json(text))
        except ValidationError as error:
            if number == len(texts) and not text.endswith("\n"):
                break
            first = error.errors(include_url=False, include_input=False)[0]
            raise InvalidInput(
                f"line {number} is no line of a history: {first['msg']}", field="file", hint="give history.jsonl"
            ) from None
    return notes


def deeds(notes: Sequence[Note]) -> Iterator[Deed]:
    """Each operation with its end, in the order in which they began."""
    ends = {note.op: note for note in notes if note.phase not in ("invoke", "info")}
    for note in notes:
        if note.phase != "invoke":
            continue
        end = ends.get(note.op)
        known = end is not None and end.phase != "unknown"
        yield Deed(
            op=note.op,
            what=note.what,
            outcome="unknown" if end is None else _outcome(end.phase),
            began_ms=note.at_ms,
            ended_ms=end.at_ms if known and end is not None else None,
            asked=note.facts,
            told={} if end is None else end.facts,
        )


def _outcome(phase: Phase) -> Outcome:
    match phase:
        case "ok" | "fail":
            return phase
        case _:
            return "unknown"
