"""The rehearsal model: deterministic, extractive, offline. It lets every path be walked without a key.

It reads the prompt as any model does. The goal frame is what `maestro.field.compose` writes of it, or else the whole
system prompt. The material stands under the last line `# About`; where there is none, in the last message behind the
paragraph that ends in a question mark, or else it is that whole message. Given a JSON schema it fills the fields from
the material; without one it answers with the sentences that bear most on the goal.

Invariants: the same prompt gives the same answer in every process; it invents nothing, each sentence, link and title
stands in the prompt. Usage is counted at four bytes a token. Its price is the list price of the real tier that it
stands in for (`REHEARSAL_PRICES`), although nobody bills it: so budgets move as they will with a real provider.
What is not here: understanding. Its scores are those of the field's `local` engine.

Source: INTERFACES "Model providers".
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import orjson
from pydantic import JsonValue

from maestro.adapters.litellm.structured import JsonObject, schema_in
from maestro.continuation.goal import MAX_GOAL_CHARS, MAX_LINES, GoalFrame
from maestro.field.local import relevance
from maestro.field.ranker import RELEVANT
from maestro.pager.prices import Price
from maestro.policy.gradient import Tier

REHEARSAL_PRICES = {
    Tier.OPUS: Price(input_micros_per_mtok=5_000_000, output_micros_per_mtok=25_000_000),
    Tier.SONNET: Price(input_micros_per_mtok=3_000_000, output_micros_per_mtok=15_000_000),
    Tier.HAIKU: Price(input_micros_per_mtok=1_000_000, output_micros_per_mtok=5_000_000),
}
BYTES_PER_TOKEN = 4
SENTENCES = 2  # of the material, in an answer of text

_GOAL = "Goal:"
_ABOUT = re.compile(r"^# About[ \t]*$", re.MULTILINE)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_LINK = re.compile(r"https?://[^\s<>\"')\]]*[\w/=&-]")
_LINK_FIELDS = re.compile(r"link|url|uri|source", re.IGNORECASE)
_TITLE_FIELDS = re.compile(r"title|headline|name", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RehearsedAnswer:
    """What the model says, and what it counts."""

    text: str
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class _Material:
    """The text of the prompt that the answer is taken from; a title and a body, as rankers read it."""

    title: str
    body: str

    @property
    def sentences(self) -> list[str]:
        return [part.strip() for part in _SENTENCE_END.split(self.body) if part.strip()] or [self.title]


def rehearse(messages: Sequence[Mapping[str, JsonValue]]) -> RehearsedAnswer:
    """The answer to a prompt in the chat format."""
    system = "\n".join(_text(message) for message in messages if message.get("role") == "system")
    prompt = "\n".join(_text(message) for message in messages if message.get("role") != "system")
    schema, system = schema_in(system)
    frame = _goal_frame(system if system.strip() else prompt)
    material = _material(_about(prompt, _text(messages[-1]) if messages else ""))
    text = _fill(schema, frame, material) if schema else _summary(frame, material)
    read = sum(len(_text(message).encode()) for message in messages)
    return RehearsedAnswer(text, _tokens(read), _tokens(len(text.encode())))


def _tokens(size: int) -> int:
    return max(1, -(-size // BYTES_PER_TOKEN))


def _text(message: Mapping[str, JsonValue]) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else orjson.dumps(content).decode() if content else ""


def _goal_frame(system: str) -> GoalFrame:
    """The goal frame that a system prompt was written from."""
    paragraphs = [part.strip() for part in system.split("\n\n")]
    goal = next((part.removeprefix(_GOAL).strip() for part in paragraphs if part.startswith(_GOAL)), system.strip())
    listed = {head: _list_under(head, paragraphs) for head in ("Constraints:", "Open questions:", "Keywords:")}
    return GoalFrame(
        goal=goal[:MAX_GOAL_CHARS] or "nothing in particular",
        constraints=listed["Constraints:"],
        questions=listed["Open questions:"],
        keywords=listed["Keywords:"],
    )


def _list_under(head: str, paragraphs: Sequence[str]) -> tuple[str, ...]:
    for part in paragraphs:
        first, *lines = part.splitlines() or [""]
        if first == head:
            return tuple(line.removeprefix("- ").strip() for line in lines if line.startswith("- "))[:MAX_LINES]
    return ()


def _about(prompt: str, last: str) -> str:
    """The part of the prompt that is to be judged."""
    if headings := list(_ABOUT.finditer(prompt)):
        return prompt[headings[-1].end() :]
    paragraphs = last.split("\n\n")
    for place, part in enumerate(paragraphs[:-1]):
        if part.rstrip().endswith("?"):
            return "\n\n".join(paragraphs[place + 1 :])
    return last


def _material(text: str) -> _Material:
    title, _, body = text.strip().partition("\n")
    return _Material(title.strip(), body.strip() or title.strip())


def _summary(goal: GoalFrame, material: _Material) -> str:
    best = set(_best(goal, material.sentences, SENTENCES))
    return " ".join(sentence for sentence in material.sentences if sentence in best)


def _best(goal: GoalFrame, sentences: Sequence[str], count: int) -> list[str]:
    """The sentences that bear most on the goal, the best first; the first of all where none does."""
    scores = {sentence: relevance(goal, _Material(sentence, "")) for sentence in sentences}
    bearing = sorted((sentence for sentence in scores if scores[sentence] > 0), key=lambda sentence: -scores[sentence])
    return (bearing or [*sentences[:1]])[:count]


def _fill(schema: JsonObject, goal: GoalFrame, material: _Material) -> str:
    score = round(relevance(goal, material), 4)
    value = _value("", schema, _Filler(schema, goal, material, score))
    return orjson.dumps(value).decode()


@dataclass(frozen=True, slots=True)
class _Filler:
    """All that a field is filled from."""

    root: JsonObject
    goal: GoalFrame
    material: _Material
    score: float


def _value(name: str, schema: JsonValue, filler: _Filler) -> JsonValue:
    """The value of one field, by the type that its schema names."""
    shape = _resolved(schema, filler.root)
    if "const" in shape:
        return shape["const"]
    if isinstance(choices := shape.get("enum"), list) and choices:
        return _choice(choices, filler)
    match shape.get("type"):
        case "object":
            fields = shape.get("properties")
            return {key: _value(key, part, filler) for key, part in fields.items()} if isinstance(fields, dict) else {}
        case "array":
            return _items(name, shape, filler)
        case "boolean":
            return filler.score >= RELEVANT
        case "number":
            return _scaled(shape, filler.score)
        case "integer":
            return round(_scaled(shape, filler.score))
        case "null":
            return None
        case _:
            return _string(name, shape, filler)


def _resolved(schema: JsonValue, root: JsonObject) -> JsonObject:
    """`schema` without its reference, and of alternatives the first that is not null."""
    shape = schema if isinstance(schema, dict) else {}
    if isinstance(reference := shape.get("$ref"), str):
        definitions = root.get("$defs")
        target = definitions.get(reference.rpartition("/")[2]) if isinstance(definitions, dict) else None
        return _resolved(target, root)
    for word in ("anyOf", "oneOf", "allOf"):
        if isinstance(branches := shape.get(word), list) and branches:
            shapes = [_resolved(branch, root) for branch in branches]
            return next((branch for branch in shapes if branch.get("type") != "null"), shapes[0])
    return shape


def _choice(choices: Sequence[JsonValue], filler: _Filler) -> JsonValue:
    """The choice that the material names; else the first of a relevant material, the last of another."""
    text = f"{filler.material.title}\n{filler.material.body}".lower()
    named = next((choice for choice in choices if isinstance(choice, str) and choice.lower() in text), None)
    return named if named is not None else choices[0 if filler.score >= RELEVANT else -1]


def _items(name: str, shape: JsonObject, filler: _Filler) -> list[JsonValue]:
    """One item per best sentence where the items are text, else the fewest that are allowed."""
    item = _resolved(shape.get("items"), filler.root)
    least = _bound(shape, "minItems", 0)
    most = int(_bound(shape, "maxItems", max(least, SENTENCES)))
    if item.get("type", "string") == "string" and "enum" not in item:
        return list[JsonValue](map(partial(_cut, item), _best(filler.goal, filler.material.sentences, most)))
    return [_value(name, item, filler) for _ in range(int(least))]


def _scaled(shape: JsonObject, score: float) -> float:
    """The score, stretched over the bounds of the field; over 0..1 where it has none."""
    low, high = _bound(shape, "minimum", 0.0), _bound(shape, "maximum", 1.0)
    return low + (max(low, high) - low) * score


def _bound(shape: JsonObject, word: str, default: float) -> float:
    bound = shape.get(word)
    return float(bound) if isinstance(bound, int | float) else default


def _string(name: str, shape: JsonObject, filler: _Filler) -> str:
    material = filler.material
    if _LINK_FIELDS.search(name) and (link := _LINK.search(f"{material.title}\n{material.body}")):
        return _cut(shape, link.group())
    if _TITLE_FIELDS.search(name):
        return _cut(shape, material.title)
    return _cut(shape, _best(filler.goal, material.sentences, 1)[0])


def _cut(shape: JsonObject, text: str) -> str:
    return text[: int(_bound(shape, "maxLength", len(text)))]
