"""`mail.send`: a letter over SMTP as a tool, to those whom the installation lets it write to.

Keyed: a letter that is sent again under its key has the Message-ID that it had, and is shown once by whoever knows it.
It carries data out: a tick which untrusted words caused asks a person first. It needs the scope `mail.send`.
"""

from fnmatch import fnmatchcase

from pydantic import BaseModel, ConfigDict

from maestro.adapters.mail.smtp import SmtpPost, parse_smtp
from maestro.errors import InvalidInput, NotificationFailed, ToolDeclined, ToolValidationError
from maestro.mesh.mail_out import Letter
from maestro.tools.calls import failed
from maestro.tools.gifts import gift
from maestro.tools.spec import tool

_HINT = "set MAESTRO_MAIL_URL=smtp://USER@HOST:587/?from=ADDRESS&to=ADDRESS, with * in it for many receivers"


class Sent(BaseModel):
    """A letter that the server has taken."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    message_id: str
    to: tuple[str, ...]


@tool(name="mail.send", side_effect="keyed", outgoing=True, scopes=("mail.send",), timeout_s=90)
async def send(to: list[str], subject: str, body: str, idempotency_key: str) -> Sent:
    """Sends an e-mail in plain text to one or more addresses."""
    server, allowed = parse_smtp(gift("mail server", _HINT), gift("mail password", _HINT))
    strangers = [each for each in to if not any(fnmatchcase(each.lower(), one.lower()) for one in allowed)]
    if strangers:
        told = f"{strangers[0][:80]!r} is none of those whom this installation writes to"
        raise ToolDeclined(told, field="to", hint=f"write to: {', '.join(allowed)}")
    try:
        letter = Letter(idempotency_key, tuple(to), subject, body)
    except InvalidInput as error:
        raise ToolValidationError(error.message, field=error.field, hint=error.hint) from None
    try:
        await SmtpPost(server).send(letter)
    except NotificationFailed as error:
        raise failed("mail.send", error.message) from None
    return Sent(message_id=letter.message_id(server.sender.rpartition("@")[2]), to=letter.to)
