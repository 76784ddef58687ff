"""Taking in what merged ones leave: a tick of its own, between the ticks of the behaviour.

Each legacy is a mail: the state of a source as it ended, and the state that both once had. The laws of the behaviour's
State merge it; what they do not decide, `on_merge` may; what is open after that is asked of a person, and the answer
is taken in by such a tick too.
Invariants: nothing of either side is lost; a hook that fails decides nothing; a legacy waits until the behaviour has
had its first tick, and as long as a tick that ran out of money is to be repeated: its answers rest on the old state.
"""

from collections.abc import Sequence
from typing import Any

import orjson
import structlog
from pydantic import BaseModel, JsonValue

from maestro.continuation.checkpoint import Checkpoint
from maestro.continuation.directive import Sleep
from maestro.continuation.lineage import is_legacy
from maestro.continuation.mail import Kind, Mail
from maestro.continuation.merging import Disagreement, Fields, Merged, Sides, disagreement, laws_of, three_way
from maestro.continuation.wait import BudgetGrant
from maestro.errors import Unservable
from maestro.ids import ContinuationId
from maestro.tick.behaviour import Behaviour, migrated, state_of
from maestro.tick.context import Tick
from maestro.tick.merge import Merging
from maestro.tick.store import Adopted
from maestro.tick.transition import Transition

log = structlog.get_logger()

_SAME = Sleep()


def legacies(before: Checkpoint, adopted: Adopted) -> list[tuple[int, Mail]]:
    """What is to be taken in now, with the positions in the mailbox."""
    if before.state is None or adopted.batch is not None or isinstance(before.wait, BudgetGrant):
        return []
    return [(place, mail) for place, mail in enumerate(adopted.mail) if is_legacy(before, mail)]


async def take_in(
    behaviour: type[Behaviour[Any]], before: Checkpoint, tick: Tick[Any], inbox: Sequence[Mail]
) -> Transition:
    """The transition that these legacies and answers mean; its closing is the caller's to replace."""
    state: Fields = tick.state.model_dump(mode="json")
    open_ = {each.question_id: each for each in before.disagreements}
    for mail in inbox:
        if mail.kind is Kind.MERGE:
            merged = await _united(behaviour, before, tick, state, mail)
            open_ |= {each.question_id: each for each in merged.disagreements}
        else:
            merged = _answered(behaviour, state, open_.pop(mail.correlation or ""), mail)
            open_ |= {each.question_id: each for each in merged.disagreements}
        state = merged.state
    return Transition(dict(state), tick.acts, _SAME, disagreements=tuple(open_.values()))


async def _united(
    behaviour: type[Behaviour[Any]], before: Checkpoint, tick: Tick[Any], ours: Fields, mail: Mail
) -> Merged:
    left = mail.body if isinstance(mail.body, dict) else {}
    source = ContinuationId(mail.sender)
    try:
        theirs = _today(behaviour, left.get("state"), left.get("version"))
        base = _today(behaviour, left.get("base"), left.get("base_version"))
    except Unservable as error:
        whole = disagreement(source, "(the whole state)", None, str(error), left.get("state"))
        return Merged(dict(ours), (whole,))
    newer = int(str(left.get("at_ms") or 0)) > before.updated_at_ms
    merged = three_way(Sides(source, ours, theirs or {}, base, newer), laws_of(behaviour.State))
    if merged.disagreements:
        merged = await _resolved(behaviour, tick, merged, Merging(source, theirs or {}, base, _by_field(merged)))
    if not _fits(behaviour, merged.state):
        changed = [name for name in merged.state if merged.state[name] != ours.get(name)]
        asked = (
            disagreement(source, name, (base or {}).get(name), ours.get(name), merged.state[name]) for name in changed
        )
        return Merged(dict(ours), (*merged.disagreements, *asked))
    return merged


async def _resolved(behaviour: type[Behaviour[Any]], tick: Tick[Any], merged: Merged, merging: Merging) -> Merged:
    """What the hook decides is decided; a hook that fails, or decides what is no state, decides nothing."""
    tick.state = behaviour.State.model_validate(merged.state) if _fits(behaviour, merged.state) else tick.state
    try:
        await behaviour().on_merge(tick, merging)
    except Exception as error:  # noqa: BLE001 - user code may raise anything
        log.warning("on_merge_failed", source=merging.source, error=f"{type(error).__name__}: {error}")
        return merged
    state = {**merged.state, **merging.chosen}
    if not _fits(behaviour, state):
        return merged
    return Merged(state, tuple(each for each in merged.disagreements if each.field not in merging.chosen))


def _answered(behaviour: type[Behaviour[Any]], ours: Fields, about: Disagreement, mail: Mail) -> Merged:
    """The state with a person's word; asked again where the word does not fit."""
    text = str(mail.body.get("text", "")).strip() if isinstance(mail.body, dict) else ""
    match text:
        case "ours":
            return Merged(dict(ours))
        case "theirs":
            value: JsonValue = about.theirs
        case _:
            try:
                value = orjson.loads(text)
            except orjson.JSONDecodeError:
                value = text
    state = {**ours, about.field: value}
    if _fits(behaviour, state) and about.field in behaviour.State.model_fields:
        return Merged(state)
    again = disagreement(about.source, about.field, about.base, about.ours, about.theirs, asked=mail.id)
    return Merged(dict(ours), (again,))


def _today(behaviour: type[Behaviour[Any]], state: JsonValue, version: JsonValue) -> Fields | None:
    """A state of `version` as today's code writes it; None where there was none."""
    if state is None:
        return None
    today: BaseModel = state_of(behaviour, migrated(behaviour, state, int(str(version))))
    return today.model_dump(mode="json")


def _fits(behaviour: type[Behaviour[Any]], state: Fields) -> bool:
    try:
        state_of(behaviour, dict(state))
    except Unservable:
        return False
    return True


def _by_field(merged: Merged) -> dict[str, Disagreement]:
    return {each.field: each for each in merged.disagreements}
