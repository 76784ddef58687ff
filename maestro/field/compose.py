"""What of a field goes into one model call, as far as the budget allows.

Invariants:
- the estimate of the whole never exceeds the budget; who gives way first, and how, is the policy's;
- system, pinned entries, digest and question are never dropped or shortened;
- every byte of the request is in its manifest, and every entry whose text is in the messages has its line there.

What is not here: choosing entries (`project.top`, `arrange`), where each stands (`layout`), how it reads (`views`),
providers, tools.
Source: spec/03 sections 6, 7 and 9; spec/07 section 9; DESIGN section 4 "Wakes".
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType

import orjson

from maestro.continuation.goal import GoalFrame
from maestro.errors import ContextOverflow
from maestro.field.entry import EntryState
from maestro.field.layout import (
    PINNED,
    ROLLING,
    Piece,
    heading_tokens,
    in_order,
    message_parts,
    piece,
    system_parts,
)
from maestro.field.manifest import (
    MESSAGE_TOKENS,
    Composed,
    Freshness,
    Manifest,
    ManifestLine,
    Message,
    Part,
    estimate_tokens,
    sha256,
    spans_of,
)
from maestro.field.project import Weighed
from maestro.field.views import View

NOBODY: Mapping[str, int] = MappingProxyType({})


class Compression(StrEnum):
    """Who gives way when not everything fits."""

    SMART = "SMART"
    """The lowest-ranked: first its body, then all of it."""
    SUMMARIZE_OLD = "SUMMARIZE_OLD"
    """The oldest: first all but a sentence of it, then all of it."""
    TRUNCATE_OLDEST = "TRUNCATE_OLDEST"
    """The oldest, all of it."""


_SMALLEST = {
    Compression.SMART: View.TITLE,
    Compression.SUMMARIZE_OLD: View.SUMMARY,
    Compression.TRUNCATE_OLDEST: View.FULL,
}


def compose(
    goal: GoalFrame,
    entries_top: Sequence[Weighed],
    question: str,
    digest: str,
    budget_tokens: int,
    *,
    policy: Compression = Compression.SMART,
    hidden: Mapping[str, int] = NOBODY,
    freshness: Freshness | None = None,
) -> Composed:
    """The request that asks `question` with as much of the field's top as fits.

    Args:
        entries_top: pinned entries, then ranked ones, heaviest first: as `arrange` gives them.
        question: the trigger of this tick, always the last words of the request.
        digest: of unread mail; may be empty.
        budget_tokens: what the window leaves for the request.
        hidden: source -> how many of its entries somebody hid: their number stays where they were.
        freshness: how far the field has come, for the manifest; no word of it is in the request.
    Raises:
        ContextOverflow: system, pinned entries, digest and question alone need more.
    """
    system = system_parts(goal)
    pinned = [piece(it, View.FULL) for it in entries_top if it.entry.state is EntryState.PINNED]
    ranked = _first_served([it for it in entries_top if it.entry.state is EntryState.SHOWN], policy)
    needed = _cost(system, message_parts(pinned, [], hidden, digest, question))
    if needed > budget_tokens:
        raise ContextOverflow(
            f"system, pinned entries, digest and question need about {needed} tokens, the budget is {budget_tokens}",
            field="budget_tokens",
            hint="unpin entries, shorten the goal, or use a tier with a larger window",
            needed=needed,
            budget=budget_tokens,
        )
    chosen = _fit(ranked, budget_tokens - needed, _SMALLEST[policy])
    parts = message_parts(pinned, chosen, hidden, digest, question)
    messages = tuple(Message(role="user", content=_text(message)) for message in parts)
    manifest = Manifest(
        goal_version=goal.version,
        lines=tuple(_line(it) for it in (*pinned, *in_order(chosen))),
        spans=spans_of(system, parts),
        tokens=_cost(system, parts),
        left_out=len(ranked) - len(chosen),
        content_hash=sha256(orjson.dumps([_text(system), *(it.model_dump() for it in messages)])),
        freshness=freshness,
    )
    return Composed(messages, _text(system), manifest)


def stable_messages(texts: Sequence[str]) -> int:
    """How many of a request's first messages stay as they are while the pins do: worth a provider's cache."""
    return 1 if texts and texts[0].startswith(f"{PINNED}\n") else 0


def _first_served(ranked: Sequence[Weighed], policy: Compression) -> list[Weighed]:
    """In the order in which room is given."""
    if policy is Compression.SMART:
        return list(ranked)
    return sorted(ranked, key=lambda it: (-it.entry.created_at_ms, it.entry.id))


def _fit(ranked: Sequence[Weighed], room: int, smallest: View) -> list[Piece]:
    """As many entries as `room` holds, the first served first.

    The smallest view is given first, from the first down; what room is left buys bodies in the same order, and ends at
    the first that does not fit: who is served later never shows more than who is served before.
    """
    room -= MESSAGE_TOKENS
    small: list[Piece] = []
    headings: set[str] = set()
    for weighed in ranked:
        found = piece(weighed, smallest)
        cost = found.tokens + (0 if found.heading in headings else _heading_cost(found.heading))
        if cost > room:
            break
        room -= cost
        headings.add(found.heading)
        small.append(found)
    return _expand(small, ranked, room)


def _heading_cost(heading: str) -> int:
    """What the first entry under it pays; that of rolling values opens a message."""
    return heading_tokens(heading) + (MESSAGE_TOKENS if heading == ROLLING else 0)


def _expand(small: Sequence[Piece], ranked: Sequence[Weighed], room: int) -> list[Piece]:
    chosen = list(small)
    for place, (before, weighed) in enumerate(zip(small, ranked, strict=False)):
        full = piece(weighed, View.FULL)
        room -= full.tokens - before.tokens
        if room < 0:
            break
        chosen[place] = full
    return chosen


def _line(of: Piece) -> ManifestLine:
    return ManifestLine(id=of.entry.id, view=of.view, tokens=of.tokens, reason=of.reason)


def _text(parts: Sequence[Part]) -> str:
    return "".join(part.text for part in parts)


def _cost(system: Sequence[Part], messages: Sequence[Sequence[Part]]) -> int:
    return sum(estimate_tokens(_text(parts)) + MESSAGE_TOKENS for parts in (system, *messages))
