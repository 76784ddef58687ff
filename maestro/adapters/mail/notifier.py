"""The notifier by e-mail: one letter per notice or digest, under one Message-ID however often.

What is not here: who is told, and what follows from an outcome (maestro.runtime.herald).
"""

import re

import orjson

from maestro.adapters.mail.smtp import SmtpPost
from maestro.errors import InvalidInput, NotificationFailed
from maestro.mesh.mail_out import MAX_BODY_CHARS, MAX_SUBJECT_CHARS, Letter
from maestro.runtime.alarms import Alarm
from maestro.runtime.attention import Digest
from maestro.runtime.herald import Notice

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class EmailNotifier:
    """maestro.runtime.herald.Notifier to fixed addresses."""

    def __init__(self, post: SmtpPost, to: tuple[str, ...]) -> None:
        self._post = post
        self._to = to

    async def notify(self, notice: Notice) -> None:
        await self._send(notice.key, _subject(notice), _body(notice))

    async def digest(self, digest: Digest) -> None:
        await self._send(digest.key, f"{len(digest.questions)} questions wait for your attention", _listed(digest))

    async def alarm(self, alarm: Alarm) -> None:
        await self._send(alarm.key, f"Most of a budget is spent: {alarm.resource}", f"{alarm.text}\n\n{alarm.hint}")

    async def _send(self, key: str, subject: str, body: str) -> None:
        try:
            letter = Letter(key, self._to, subject, body)
        except InvalidInput as error:
            raise NotificationFailed(f"no letter can be written: {error.message}", hint=error.hint) from None
        await self._post.send(letter)


def _subject(notice: Notice) -> str:
    return _plain(f"Approval asked: {notice.action} ({notice.behaviour})")[:MAX_SUBJECT_CHARS]


def _body(notice: Notice) -> str:
    arguments = orjson.dumps(notice.arguments, option=orjson.OPT_INDENT_2).decode()
    lines = (
        f"{_plain(notice.behaviour)} {notice.continuation} asks whether it may: {_plain(notice.action)}",
        f"Who may answer: {_plain(', '.join(notice.approvers)) or 'anybody'}",
        f"If nobody answers in time: {notice.on_timeout}",
        "",
        "With these arguments (written by the program, perhaps after what it read outside):",
        *(f"  {_plain(line)}" for line in arguments.splitlines()),
        "",
        f"maestro approve {notice.continuation} {notice.approval_id}",
        f"maestro deny {notice.continuation} {notice.approval_id}",
    )
    return "\n".join(lines)[:MAX_BODY_CHARS]


def _listed(digest: Digest) -> str:
    asked = (f"- {_plain(q.behaviour)} {q.continuation}: {_plain(q.question)}" for q in digest.questions)
    lines = (
        "Nobody was asked these questions: the attention for the day, or for the whole of it, was used up.",
        "They are asked when there is more: tomorrow, or after a grant such as",
        "maestro rebudget ID human.approvals=+1",
        "",
        *asked,
    )
    return "\n".join(lines)[:MAX_BODY_CHARS]


def _plain(text: str) -> str:
    return _CONTROL.sub(" ", text)
