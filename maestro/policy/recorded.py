"""Questions as JSON: what a decision was made on is kept with it, so that it can be made again under another policy.

Prices and settings are the same in many questions; they are kept apart, as the *terms* that a question was put under.
Invariant: `question_of(record_of(q), terms_of(q)) == q`, so the kernel decides the same of both.
"""

from typing import Any

import orjson
from pydantic import JsonValue, TypeAdapter

from maestro.policy.question import Conditions, Question, Signals

_QUESTION: TypeAdapter[Question] = TypeAdapter(Question)
_SIGNALS: TypeAdapter[Signals] = TypeAdapter(Signals)
_TERMS = ("prices", "config")
_PLAIN_SIGNALS = Signals()
_PLAIN = {"signals": _PLAIN_SIGNALS, "conditions": Conditions(), "pinned": False, "asked": None}
"""What most questions say of these; it is not written."""


def record_of(question: Question) -> dict[str, JsonValue]:
    """The question without its terms."""
    said = {name: getattr(question, name) for name in ("size", "asked", "signals", "budget", "conditions", "pinned")}
    return _json({name: value for name, value in said.items() if name not in _PLAIN or _PLAIN[name] != value})


def terms_of(question: Question) -> dict[str, JsonValue]:
    """The prices and settings of the question."""
    return _json({name: getattr(question, name) for name in _TERMS})


def signals_of(journaled: JsonValue) -> Signals:
    """What was known about the work; of {question: a record, ...} that does not say, what is known of any."""
    record = journaled.get("question") if isinstance(journaled, dict) else None
    said = record.get("signals") if isinstance(record, dict) else None
    return _PLAIN_SIGNALS if said is None else _SIGNALS.validate_python(said)


def question_of(record: JsonValue, terms: JsonValue) -> Question:
    """The question again.

    Raises:
        ValueError: these are no record and no terms.
    """
    if not isinstance(record, dict) or not isinstance(terms, dict):
        raise ValueError("a question is two JSON objects")
    return _QUESTION.validate_python({**terms, **record})


def _json(value: dict[str, Any]) -> dict[str, JsonValue]:
    told: dict[str, JsonValue] = orjson.loads(
        orjson.dumps(value, default=sorted, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SORT_KEYS)
    )
    return told
