"""A person's edits of a context: the same verbs as a model's, ordered by control mail and folded in without its code.

Invariant: a line of commands counts whole or, with an error, not at all.
"""

from maestro.continuation.directive import EditField
from maestro.continuation.edits import changes
from maestro.continuation.mail import Control, Kind, Mail
from maestro.field.editing import edited
from maestro.field.grammar import parse
from maestro.ids import ContinuationId, MailId, new_token
from maestro.runtime.audit import note
from maestro.runtime.verbs import Installation, checkpoint_of

MOST_ENTRIES = 1_000  # what a store keeps of one half-life


async def ordered(at: Installation, cid: ContinuationId, commands: str, by: str) -> list[str]:
    """The edits are on their way; which entries they are about.

    Raises:
        InvalidInput, UnknownEntryError: a command is none, or names what the field does not hold.
        ContinuationAlreadyTerminalError: it reads no context any more.
    """
    before, now_ms = await checkpoint_of(at, cid), await at.backend.clock.now_ms()
    kept = await at.backend.shelf.top(cid, MOST_ENTRIES, now_ms)
    news = changes(before.edits, edited(before.edits, parse(commands), kept, now_ms))
    if not news:
        return []
    await note(at, "edit field", cid, commands=commands)
    order = EditField(commands=commands, changes=news)
    mail = Mail(
        id=MailId(new_token("mail")),
        kind=Kind.CONTROL,
        sender=by,
        subject=Control.EDITED.value,
        body=order.model_dump(mode="json", exclude={"type"}),
        sent_ms=now_ms,
    )
    await at.backend.steering.order(cid, mail)
    return sorted(news)
