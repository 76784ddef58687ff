"""A thought: what a behaviour asks a model, before anything is composed or priced."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import orjson
from pydantic import BaseModel, JsonValue

from maestro.continuation.edits import Edits
from maestro.policy.question import Signals


@dataclass(frozen=True, slots=True)
class Thought:
    """One question, the material it is about, and the shape of its answer."""

    question: str
    about: str
    step: str | None
    """The gradient step that is asked for; None leaves it to the signals."""
    schema: type[BaseModel] | None
    max_output_tokens: int
    edits: Edits | None = None
    """How the context is shown to it, where this tick has changed that."""
    signals: Signals = Signals()
    """What is known about the work."""
    prompt: JsonValue = None
    """A kept prompt to ask word for word, in place of one composed of question and field: see maestro.tick.asking."""

    @property
    def json_schema(self) -> dict[str, JsonValue] | None:
        return None if self.schema is None else _schema_of(self.schema)

    @property
    def key(self) -> str:
        """What makes two thoughts the same one: not the field, which may have moved on since the first try."""
        asked = [self.question, self.about, self.step, self.json_schema, self.max_output_tokens]
        return hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]


@lru_cache(maxsize=256)
def _schema_of(answer: type[BaseModel]) -> dict[str, JsonValue]:
    """The JSON schema of an answer; made once, it takes longer than the rest of a tick."""
    return answer.model_json_schema()
