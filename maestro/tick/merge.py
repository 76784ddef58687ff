"""A merge as the behaviour that takes it in sees it: what the laws could not decide, and a word for each."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

from maestro.continuation.merging import Disagreement, Fields
from maestro.errors import InvalidInput
from maestro.ids import ContinuationId


@dataclass(slots=True)
class Merging:
    """What `source` left, beside what is here; whatever is still open when the hook returns, a person is asked."""

    source: ContinuationId
    theirs: Fields
    base: Fields | None
    open: Mapping[str, Disagreement]
    chosen: dict[str, JsonValue] = field(default_factory=dict)

    def resolve(self, field_: str, value: JsonValue) -> None:
        """The field is `value`, as JSON; nobody is asked.

        Raises:
            InvalidInput: nothing is open about that field.
        """
        if field_ not in self.open:
            raise InvalidInput(f"{field_!r} is not in dispute", field="field", hint=f"open: {', '.join(self.open)}")
        self.chosen[field_] = value
