"""Sending letters over SMTP, from a thread: one connection per letter.

Delivery is at least once: an answer that was lost is tried again, under the same Message-ID. What the server refuses
for good (5xx) is not tried again.
"""

import asyncio
import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import parse_qs, unquote, urlsplit

from maestro.errors import InvalidInput, NotificationFailed
from maestro.mesh.mail_out import Letter, check_address

TIMEOUT_S = 15.0
PAUSES_S = (0.5, 2.0)


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where letters are handed over."""

    host: str
    port: int
    sender: str
    encrypted: bool = False
    """TLS from the first byte (smtps); otherwise STARTTLS is used where the server offers it."""
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"SmtpServer({self.host}:{self.port})"


def parse_smtp(url: str, password: str = "") -> tuple[SmtpServer, tuple[str, ...]]:
    """The server and the receivers that `smtp(s)://USER@HOST:PORT/?from=ADDRESS&to=ADDRESS&to=...` names.

    Raises:
        InvalidInput: it names no host, sender or receiver.
    """
    parts = urlsplit(url)
    asked = parse_qs(parts.query)
    encrypted = parts.scheme == "smtps"
    senders, to = asked.get("from", []), tuple(asked.get("to", []))
    if not parts.hostname or len(senders) != 1 or not to:
        raise InvalidInput(
            "the address for notices names no host, sender or receiver",
            field="notify_url",
            hint="write smtp://USER@HOST:587/?from=maestro@example.org&to=someone@example.org",
        )
    for address in (*senders, *to):
        check_address(address, "notify_url")
    port = parts.port or (465 if encrypted else 25)
    user = unquote(parts.username or "")
    return SmtpServer(parts.hostname, port, senders[0], encrypted, user, password), to


class SmtpPost:
    """Hands letters over to one server."""

    def __init__(self, server: SmtpServer, pauses_s: Sequence[float] = PAUSES_S) -> None:
        self._server = server
        self._pauses_s = pauses_s

    async def send(self, letter: Letter) -> None:
        """The server has taken `letter` for each of its receivers.

        Raises:
            NotificationFailed: it has not, or not for all.
        """
        message = self._message(letter)
        for pause_s in (*self._pauses_s, None):
            try:
                await asyncio.to_thread(self._hand_over, message, letter.to)
            except (OSError, smtplib.SMTPException) as error:
                if pause_s is None or _is_final(error):
                    raise NotificationFailed(
                        f"the mail server did not take it: {error}", hint="see MAESTRO_NOTIFY_URL"
                    ) from None
                await asyncio.sleep(pause_s)
            else:
                return

    def _message(self, letter: Letter) -> EmailMessage:
        message = EmailMessage()
        message["From"], message["To"] = self._server.sender, ", ".join(letter.to)
        message["Subject"] = letter.subject
        message["Message-ID"] = letter.message_id(self._server.sender.rpartition("@")[2])
        message["Date"] = format_datetime(datetime.now(UTC))
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(letter.body)
        return message

    def _hand_over(self, message: EmailMessage, to: Sequence[str]) -> None:
        with self._connected() as smtp:
            if self._server.user:
                smtp.login(self._server.user, self._server.password)
            refused = smtp.send_message(message, self._server.sender, list(to))
        if refused:
            raise smtplib.SMTPRecipientsRefused(refused)

    def _connected(self) -> smtplib.SMTP:
        at, tls = self._server, ssl.create_default_context()
        if at.encrypted:
            return smtplib.SMTP_SSL(at.host, at.port, timeout=TIMEOUT_S, context=tls)
        smtp = smtplib.SMTP(at.host, at.port, timeout=TIMEOUT_S)
        smtp.ehlo()
        if smtp.has_extn("starttls"):
            smtp.starttls(context=tls)
        elif at.user:
            smtp.close()
            raise smtplib.SMTPNotSupportedError("the server offers no TLS: a password is not sent in the open")
        return smtp


def _is_final(error: Exception) -> bool:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    return isinstance(error, smtplib.SMTPNotSupportedError) or (
        isinstance(error, smtplib.SMTPResponseException) and error.smtp_code >= 500
    )
