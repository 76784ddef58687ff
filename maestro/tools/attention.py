"""Tool attention: which tools' schemas go into a model call, so that fifty tools do not cost fifty schemas each time.

Ranked lexically by the question: BM25 over the words of name and description. The promoted set is sticky: it changes
when a better tool leads by a margin, when the goal changes, and when the model asks through NEED_TOOL; then the set is
widened, k doubled first, then all.
Invariants: pure; with fewer than `min_tools` tools all are sent, and there is no NEED_TOOL; what an open exchange has
used, and what is kept by name, is always sent; the same question gives the same set.

Source: spec/04 section 8 (A-53, X-13, X-59).
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import JsonValue

from maestro.tools.spec import Spec

NEED_TOOL = "NEED_TOOL"
MARGIN = 1.25  # times the weakest one's score is what a newcomer needs: less would trade cached prefixes for noise
_WORD = re.compile(r"[a-z0-9]+")
_SATURATION, _LENGTH = 1.2, 0.75  # BM25's k1 and b, as Robertson and Zaragoza (2009) give them
_SUFFIXES = ("ing", "ed", "s")


@dataclass(frozen=True, slots=True)
class ToolAttention:
    """How many tools a model is shown."""

    enabled: bool = True
    k: int = 3
    min_tools: int = 5
    need_tool_fallback: bool = True
    margin: float = MARGIN


@dataclass(frozen=True, slots=True)
class Promoted:
    """The tools that are shown, for a goal; kept from turn to turn."""

    names: tuple[str, ...] = ()
    goal: str = ""
    widened: int = 0
    """How often NEED_TOOL was answered for this question: k is doubled, then all are shown."""


ATTENTION = ToolAttention()
NOTHING = Promoted()


def promoted(
    specs: Sequence[Spec],
    question: str,
    goal: str = "",
    before: Promoted = NOTHING,
    kept: Iterable[str] = (),
    attention: ToolAttention = ATTENTION,
) -> Promoted:
    """The set for one call.

    Args:
        before: the set of the call before.
        kept: names that are shown whatever their rank: what the open exchange has used.
    """
    names = [spec.name for spec in specs]
    if not attention.enabled or len(names) < attention.min_tools or before.widened > 1:
        return replace(before, names=tuple(sorted(names)), goal=goal)
    size = attention.k * (2 if before.widened else 1)
    scores = scored(specs, f"{question} {goal}")
    ranked = sorted(names, key=lambda name: (-scores[name], name))
    stays = [name for name in before.names if name in scores] if before.goal == goal else []
    chosen = (stays or ranked)[:size]
    for newcomer in ranked:
        if newcomer in chosen:
            continue
        if len(chosen) < size:
            chosen.append(newcomer)
            continue
        weakest = min(chosen, key=lambda name: (scores[name], name))
        if scores[newcomer] <= attention.margin * scores[weakest] or scores[newcomer] == 0:
            break
        chosen[chosen.index(weakest)] = newcomer
    always = [name for name in kept if name in scores]
    return Promoted(tuple(sorted({*chosen, *always})), goal, before.widened)


def needed(before: Promoted) -> Promoted:
    """The model asked for a tool that it was not shown: the next set is wider."""
    return replace(before, names=(), widened=before.widened + 1)


def schemas(specs: Sequence[Spec], shown: Promoted, attention: ToolAttention = ATTENTION) -> list[dict[str, JsonValue]]:
    """What a model is sent of the tools in the set, with NEED_TOOL where others are held back."""
    by_name = {spec.name: spec for spec in specs}
    sent = [_schema(by_name[name].name, by_name[name].description, by_name[name].parameters) for name in shown.names]
    if attention.need_tool_fallback and len(shown.names) < len(specs):
        sent.append(_schema(NEED_TOOL, "None of these tools will do: say what the one you need should do.", _NEEDED))
    return sent


def scored(specs: Sequence[Spec], question: str) -> dict[str, float]:
    """How well each tool fits the question; 0 where no word is shared."""
    texts = {spec.name: Counter(_words(f"{spec.name} {spec.name} {spec.description}")) for spec in specs}
    mean = sum(counts.total() for counts in texts.values()) / max(1, len(texts)) or 1
    carriers = Counter(word for counts in texts.values() for word in counts)
    asked = set(_words(question))
    return {name: _fit(counts, asked, carriers, len(texts), mean) for name, counts in texts.items()}


def _fit(counts: Counter[str], asked: set[str], carriers: Counter[str], tools: int, mean: float) -> float:
    length = _SATURATION * (1 - _LENGTH + _LENGTH * counts.total() / mean)
    return sum(
        math.log(1 + (tools - carriers[word] + 0.5) / (carriers[word] + 0.5))
        * counts[word] * (_SATURATION + 1) / (counts[word] + length)
        for word in sorted(asked & counts.keys())
    )  # fmt: skip


def _words(text: str) -> list[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).lower()
    return [_stem(word) for word in _WORD.findall(spaced)]


def _stem(word: str) -> str:
    """Without its ending, where enough is left to tell it by."""
    ending = next((suffix for suffix in _SUFFIXES if word.endswith(suffix) and len(word) - len(suffix) > 2), "")
    return word.removesuffix(ending).removesuffix("e")


def _schema(name: str, description: str, parameters: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    return {"name": name, "description": description, "parameters": dict(parameters)}


_NEEDED: dict[str, JsonValue] = {
    "type": "object",
    "properties": {"description": {"type": "string"}},
    "required": ["description"],
    "additionalProperties": False,
}
