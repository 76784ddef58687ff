"""Folders as sources: real files, real links, real mail, and every way out of the root closed."""

import os
from email.message import EmailMessage
from pathlib import Path

import pytest

from maestro.adapters.feeds.poll import poll_once
from maestro.adapters.feeds.schedule import ScheduleReader
from maestro.adapters.files.folders import MAX_FILES, FolderReader, MaildirReader
from maestro.adapters.files.inside import read_inside
from maestro.adapters.memory.shelf import MemorySources
from maestro.errors import InvalidInput
from maestro.ids import TimeMs
from maestro.mesh.source import Reader, SourceRecord
from tests.integration.feed_support import Shelf

NOW = TimeMs(1_795_000_000_000)


class Watched:
    """A source that is polled by hand."""

    def __init__(self, url: str, reader: Reader) -> None:
        self.record = SourceRecord(name="in", subject="in.box", url=url)
        self.reader, self.shelf, self.records, self.now_ms = reader, Shelf(), MemorySources(), NOW

    async def poll(self, later_ms: int = 60_000) -> list[str]:
        """The titles of what is new."""
        known = set(self.shelf.events)
        self.now_ms = TimeMs(self.now_ms + later_ms)
        self.record = await poll_once(self.record, self.reader, self.shelf, self.records, self.now_ms)
        fresh = [event for event in self.shelf.events.values() if event.id not in known]
        return [
            str(event.payload["title"])
            for event in fresh
            if isinstance(event.payload, dict) and "title" in event.payload
        ]


async def test_a_file_is_news_in_each_of_its_versions(tmp_path: Path) -> None:
    watched = Watched(f"file://{tmp_path}?glob=*.txt", FolderReader())
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "b.pdf").write_text("not wanted")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "c.txt").write_text("two")
    assert await watched.poll() == ["a.txt", "deep/c.txt"]
    assert await watched.poll() == []
    (tmp_path / "a.txt").write_text("three, longer")
    assert await watched.poll() == ["a.txt"]
    assert {event.type for event in watched.shelf.events.values()} == {"file.changed"}
    assert {event.taint for event in watched.shelf.events.values()} == {"untrusted"}


async def test_links_pipes_and_hidden_files_are_passed_over(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    (root / "link.txt").symlink_to(outside / "secret.txt")
    (root / "folder").symlink_to(outside)
    (root / ".hidden.txt").write_text("x")
    os.mkfifo(root / "pipe.txt")
    (root / "fine.txt").write_text("x")
    assert await Watched(f"file://{root}", FolderReader()).poll() == ["fine.txt"]


async def test_a_folder_that_is_gone_or_too_full_is_a_fault_and_the_source_lives(tmp_path: Path) -> None:
    watched = Watched(f"file://{tmp_path / 'later'}", FolderReader())
    await watched.poll()
    assert (watched.record.state, watched.shelf.changes) == ("degraded", ["source.degraded"])
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "x").write_text("x")
    assert await watched.poll() == ["x"]
    for number in range(MAX_FILES):
        (tmp_path / "later" / f"f{number}").touch()
    await watched.poll()
    assert "too_many_items" in str(watched.record.last_error)


@pytest.mark.shows("5.5")
@pytest.mark.parametrize(
    "name", ["../secret", "link", "folder/secret", "pipe", "nothing", ".", "/etc/hostname", "a\x00"]
)
def test_nothing_outside_the_root_is_read(name: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret").write_text("secret")
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "folder").symlink_to(tmp_path)
    os.mkfifo(root / "pipe")
    (root / "plain").write_text("plain text")
    assert read_inside(root, "plain", 5) == b"plain"
    with pytest.raises(InvalidInput):
        read_inside(root, name, 100)


def put(folder: Path, name: str, **headers: str) -> None:
    message = EmailMessage()
    for header, value in headers.items():
        message[header.replace("_", "-")] = value
    message.set_content("The body.\nIts second line.")
    (folder / name).write_bytes(message.as_bytes())


async def test_a_mail_is_news_once_wherever_it_lies(tmp_path: Path) -> None:
    for folder in ("new", "cur", "tmp"):
        (tmp_path / folder).mkdir()
    put(tmp_path / "new", "1.M1.host", Subject="Grüße", From="Ann <ann@example.org>", Message_ID="<1@x>", To="b@x.org")
    put(tmp_path / "tmp", "2.M2.host", Subject="unfinished")
    watched = Watched(f"maildir://{tmp_path}", MaildirReader())
    assert await watched.poll() == ["Grüße"]
    (tmp_path / "new" / "1.M1.host").rename(tmp_path / "cur" / "1.M1.host:2,S")
    assert await watched.poll() == []
    (event,) = watched.shelf.events.values()
    assert isinstance(event.payload, dict)
    assert (event.type, event.taint) == ("mail.arrived", "untrusted")
    assert (event.payload["authors"], event.payload["abstract"]) == (["ann@example.org"], "The body. Its second line.")


@pytest.mark.parametrize(
    "raw",
    [b"", b"\xff" * 1000, b"Subject: =?utf-8?b?////?=\n\n", b"Content-Type: multipart/mixed; boundary=x\n\n--x" * 50,
     b"Content-Type: text/plain; charset=nothing\n\nx", b"Date: 99 Foo 99999\nFrom: <<>>@\n\nx",
     b"From: " + b"(" * 5000],
)  # fmt: skip
async def test_a_mail_that_is_broken_is_a_mail_all_the_same(raw: bytes, tmp_path: Path) -> None:
    for folder in ("new", "cur"):
        (tmp_path / folder).mkdir()
    (tmp_path / "new" / "1").write_bytes(raw)
    watched = Watched(f"maildir://{tmp_path}", MaildirReader())
    assert len(await watched.poll()) == 1
    assert watched.record.state == "ok"


async def test_a_schedule_is_told_when_it_is_due_and_not_for_the_time_before_it_was_made() -> None:
    watched = Watched("every:900", ScheduleReader())
    assert await watched.poll(0) == []
    assert watched.record.next_poll_ms == NOW // 900_000 * 900_000 + 900_000
    assert await watched.poll(watched.record.next_poll_ms - NOW) != []
    assert await watched.poll(1) == []
    assert len(await watched.poll(10 * 900_000)) == 1
    assert {event.taint for event in watched.shelf.events.values()} == {"trusted"}
    assert {event.type for event in watched.shelf.events.values()} == {"schedule.due"}
