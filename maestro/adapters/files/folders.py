"""Readers of folders: maestro.mesh.source.Reader over files and over mail that lies in a maildir.

A file is news in each of its versions (size and time of change); what is gone is no news. A mail is news once, by its
Message-ID. What they tell is what the outside says: untrusted, plain text, capped.

What is not here: IMAP. Whatever fetches mail into a maildir (mbsync, getmail, a mail server) does that better.
"""

import asyncio
import calendar
from email import policy
from email.errors import MessageError
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import getaddresses, parsedate
from pathlib import PurePath, PurePosixPath

from maestro.adapters.files.inside import Check, Found, read_inside, walk_inside
from maestro.errors import FeedError, InvalidInput
from maestro.ids import TimeMs
from maestro.mesh.item import MAX_ABSTRACT_CHARS, MAX_NAMES, MAX_TITLE_CHARS, Item
from maestro.mesh.paths import DEFAULT_GLOB, check_name, folder_of
from maestro.mesh.source import Document, Fetched

MAX_FILES = 2_000  # what a source remembers of what it has seen holds as many
MAX_MAIL_BYTES = 256 * 1024  # of a larger one the head and the first part are read
MAIL_FOLDERS = ("new", "cur")


class FolderReader:
    """Reads `file:///folder?glob=*.pdf`: an item per version of a file."""

    async def fetch(self, url: str, etag: str | None, last_modified: str | None, now_ms: TimeMs) -> Fetched:
        root, glob = folder_of(url)
        found = await asyncio.to_thread(_listed, root, glob)
        return Document(tuple(map(_file_item, found)))


class MaildirReader:
    """Reads `maildir:///folder`: an item per mail in `new` and `cur`; nothing is moved or marked."""

    async def fetch(self, url: str, etag: str | None, last_modified: str | None, now_ms: TimeMs) -> Fetched:
        root, _ = folder_of(url)
        return Document(await asyncio.to_thread(_mails, root, now_ms))


def _listed(root: PurePath, glob: str, check: Check = check_name) -> list[Found]:
    try:
        found = list(walk_inside(root, glob, MAX_FILES, check))
    except OSError as error:
        raise FeedError(f"{root} cannot be read: {error.strerror}", reason="unreadable") from None
    if len(found) > MAX_FILES:
        raise FeedError(f"{root} holds more than {MAX_FILES} files", reason="too_many_items")
    return found


def _file_item(found: Found) -> Item:
    version = f"{found.size_bytes} bytes, changed at {found.modified_ns} ns"
    # the version is part of the text: a source knows an item again by its text too
    return Item(title=found.name[:MAX_TITLE_CHARS], abstract=version, guid=f"{found.name} {version}")


def _mails(root: PurePath, now_ms: TimeMs) -> tuple[Item, ...]:
    items: list[Item] = []
    for folder in MAIL_FOLDERS:
        for found in _listed(root / folder, DEFAULT_GLOB, _check_mail_name):
            try:
                raw = read_inside(root / folder, found.name, MAX_MAIL_BYTES, _check_mail_name)
                items.append(_mail_item(BytesParser(policy=policy.default).parsebytes(raw), found, now_ms))
            except (InvalidInput, MessageError, ValueError, LookupError, TypeError, RecursionError):
                items.append(Item(title="A mail that cannot be read", guid=f"unreadable {found.name}"))
    return tuple(items)


def _check_mail_name(name: str) -> PurePosixPath:
    """A maildir puts flags behind a colon, and has no folders in its folders."""
    check_name(name.partition(":2,")[0].replace("/", ":"))
    return PurePosixPath(name)


def _mail_item(mail: EmailMessage, found: Found, now_ms: TimeMs) -> Item:
    body = mail.get_body(("plain",))
    text = body.get_content() if body is not None else ""
    sent = parsedate(str(mail.get("Date", "")))
    sent_ms = None if sent is None else min(calendar.timegm(sent) * 1000, now_ms)
    senders = getaddresses([str(mail.get("From", ""))])
    return Item(
        title=_line(str(mail.get("Subject", "")))[:MAX_TITLE_CHARS],
        abstract=_line(str(text))[:MAX_ABSTRACT_CHARS],
        guid=_line(str(mail.get("Message-ID", ""))) or f"file {found.name.partition(':')[0]}",
        authors=tuple(address for _, address in senders if address)[:MAX_NAMES],
        published_ms=None if sent_ms is None else TimeMs(sent_ms),
    )


def _line(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
