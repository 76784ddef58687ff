"""Letters: what one continuation writes to another, as its mail.

Invariant: a letter counts the letters between it and the world outside, so that two who answer each other for ever come
to an end.
"""

from maestro.continuation.directive import Send
from maestro.continuation.mail import MAX_HOPS, Kind, Mail
from maestro.errors import InvalidInput
from maestro.ids import TimeMs
from maestro.tick.transition import Facts, hops_of, mail_of


def letter_of(facts: Facts, ordinal: int, act: Send) -> Mail:
    """The message that `act` means.

    Raises:
        InvalidInput: it would be the answer to an answer to ... more than MAX_HOPS times.
    """
    hops = hops_of(facts, act.cause)
    if hops > MAX_HOPS:
        raise InvalidInput(
            f"a message to {act.to} after {MAX_HOPS} messages and events in a row",
            field="send",
            hint="look for a loop of messages; a timer or a person begins anew",
        )
    letter = mail_of(facts, ordinal, Kind.MESSAGE, act.subject, act.body)
    expires_ms = None if act.expires_ms is None else TimeMs(act.expires_ms)
    return letter.model_copy(update={"hops": hops, "supersedes": act.supersedes, "expires_ms": expires_ms})
