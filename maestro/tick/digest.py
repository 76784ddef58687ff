"""Digests: many mails in few words, whatever their number.

Invariants: every mail is counted once under each heading; nothing of a mail's content is in its digest, only who wrote
about what and when. The text of a digest has an end; its counts do not leave anything out.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from maestro.continuation.mail import Kind, Mail
from maestro.ids import TimeMs

HEADERS = 20  # so many mails are named one by one, the oldest; the rest is counted
NAMES = 10  # so many subjects and senders are named in a prompt, the most frequent
NAME_CHARS = 120  # of a subject in a prompt: it may come from anybody


@dataclass(frozen=True, slots=True)
class Header:
    """A mail without its content."""

    kind: Kind
    sender: str
    subject: str
    sent_ms: TimeMs


@dataclass(frozen=True, slots=True)
class Digest:
    """What a number of mails is about."""

    total: int
    by_kind: Mapping[str, int]
    by_subject: Mapping[str, int]
    by_sender: Mapping[str, int]
    oldest_ms: TimeMs | None
    newest_ms: TimeMs | None
    headers: tuple[Header, ...]
    """Of the first HEADERS, in the order of reading."""


def digest_of(mail: Sequence[Mail]) -> Digest:
    """The digest of `mail`; the most frequent names come first."""
    times = [letter.sent_ms for letter in mail]
    return Digest(
        total=len(mail),
        by_kind=_counted(letter.kind.value for letter in mail),
        by_subject=_counted(letter.subject for letter in mail),
        by_sender=_counted(letter.sender for letter in mail),
        oldest_ms=min(times, default=None),
        newest_ms=max(times, default=None),
        headers=tuple(Header(m.kind, m.sender, m.subject, m.sent_ms) for m in mail[:HEADERS]),
    )


def in_prompt(mail: Sequence[Mail], inbox: Sequence[Mail]) -> str:
    """What a model is told of the mail of its tick, where that is more than one, and of what is left unread."""
    read = {letter.id for letter in inbox}
    unread = [letter for letter in mail if letter.id not in read]
    told = [_told("Mail of this tick", digest_of(inbox))] if len(inbox) > 1 else []
    return "\n".join([*told, *([_told("Unread mail", digest_of(unread))] if unread else [])])


def _told(title: str, digest: Digest) -> str:
    lines = [f"- {header.kind} from {header.sender}: {_name(header.subject)}" for header in digest.headers]
    if digest.total > len(lines):
        lines += [f"- and {digest.total - len(lines)} more", f"- kinds: {_names(digest.by_kind)}"]
        lines += [f"- subjects: {_names(digest.by_subject)}", f"- senders: {_names(digest.by_sender)}"]
        lines += [f"- sent from {digest.oldest_ms} to {digest.newest_ms} ms"]
    return "\n".join([f"{title} ({digest.total}):", *lines])


def _names(counts: Mapping[str, int]) -> str:
    named = [f"{_name(name)} {count}" for name, count in list(counts.items())[:NAMES]]
    others = list(counts.values())[NAMES:]
    return ", ".join([*named, *([f"{len(others)} others {sum(others)}"] if others else [])])


def _name(text: str) -> str:
    """One line of bounded length."""
    return " ".join(text.split())[:NAME_CHARS] or "-"


def _counted(names: Iterable[str]) -> Mapping[str, int]:
    return dict(Counter(names).most_common())
