"""Letters over SMTP against a server that speaks it, and nothing that could become a header of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy

import pytest

from maestro.adapters.mail.notifier import EmailNotifier
from maestro.adapters.mail.smtp import SmtpPost, SmtpServer, parse_smtp
from maestro.errors import InvalidInput, NotificationFailed
from maestro.mesh.mail_out import Letter, check_address
from maestro.runtime.herald import Notice

NOTICE = Notice(
    key="notice-1", continuation="01j", behaviour="scout", approval_id="a-1", action="send\r\nBcc: x@evil.example",
    arguments={"text": "hello\u202eolleh"}, approvers=("ann",), until_ms=None, on_timeout="deny",
)  # fmt: skip


class Post:
    """A mail server that keeps what it is given, and answers DATA as it is told."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.letters: list[bytes] = []
        self.receivers: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while line := await reader.readline():
            verb = line.split()[0].upper()
            if verb == b"QUIT":
                break
            if verb == b"RCPT":
                self.receivers.append(line.split(b"<")[1].split(b">")[0])
            if verb == b"DATA":
                writer.write(b"354 go on\r\n")
                self.letters.append((await reader.readuntil(b"\r\n.\r\n"))[:-5])
                writer.write(self.answers.pop(0) if self.answers else b"250 taken\r\n")
            else:
                writer.write(b"250 fine\r\n")
        writer.close()


@asynccontextmanager
async def serving(post: Post) -> AsyncIterator[SmtpPost]:
    server = await asyncio.start_server(post.serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield SmtpPost(SmtpServer("127.0.0.1", port, "maestro@example.org"), pauses_s=(0.0,))


async def test_a_letter_arrives_under_a_name_that_its_key_gives_it() -> None:
    post = Post()
    letter = Letter("key-1", ("ann@example.org", "bob@example.org"), "Grüße", "Zeile eins\nZeile zwei")
    async with serving(post) as smtp:
        await smtp.send(letter)
        await smtp.send(letter)
    first, second = (message_from_bytes(raw, policy=policy.default) for raw in post.letters)
    assert first["Message-ID"] == second["Message-ID"] == letter.message_id("example.org")
    assert (first["Subject"], first["To"]) == ("Grüße", "ann@example.org, bob@example.org")
    assert first.get_content().splitlines() == ["Zeile eins", "Zeile zwei"]
    assert post.receivers == [b"ann@example.org", b"bob@example.org"] * 2


async def test_a_server_that_is_busy_is_asked_again_under_the_same_name() -> None:
    post = Post(b"451 later\r\n")
    async with serving(post) as smtp:
        await smtp.send(Letter("key-1", ("ann@example.org",), "s", "b"))
    names = {message_from_bytes(raw)["Message-ID"] for raw in post.letters}
    assert (len(post.letters), len(names)) == (2, 1)


async def test_what_is_refused_for_good_is_not_tried_again() -> None:
    post = Post(b"550 never\r\n")
    async with serving(post) as smtp:
        with pytest.raises(NotificationFailed):
            await smtp.send(Letter("key-1", ("ann@example.org",), "s", "b"))
    assert len(post.letters) == 1


async def test_a_password_is_not_sent_in_the_open() -> None:
    post = Post()
    async with serving(post) as smtp:
        at = smtp._server
        secret = SmtpPost(SmtpServer(at.host, at.port, at.sender, user="me", password="hush"), pauses_s=())
        with pytest.raises(NotificationFailed) as caught:
            await secret.send(Letter("k", ("ann@example.org",), "s", "b"))
    assert (post.letters, "hush" in str(caught.value)) == ([], False)


async def test_an_approval_is_told_by_a_letter_without_a_header_of_its_making() -> None:
    post = Post()
    async with serving(post) as smtp:
        await EmailNotifier(smtp, ("ann@example.org",)).notify(NOTICE)
    letter = message_from_bytes(post.letters[0], policy=policy.default)
    assert letter["Bcc"] is None
    assert post.receivers == [b"ann@example.org"]
    assert "maestro approve 01j a-1" in letter.get_content()
    assert "\u202e" not in letter.get_content()


@pytest.mark.parametrize(
    ("field", "letter"),
    [
        ("to", {"to": ()}),
        ("to", {"to": ("ann@example.org\r\nBcc: x@evil.example",)}),
        ("to", {"to": ("ann@example.org, bob@example.org",)}),
        ("to", {"to": ("Ann <ann@example.org>",)}),
        ("to", {"to": ("-oQ/tmp@",)}),
        ("to", {"to": ("a@b@c",)}),
        ("to", {"to": ("a@example.org",) * 21}),
        ("subject", {"subject": "x\r\nBcc: x@evil.example"}),
        ("subject", {"subject": "x\ny"}),
        ("subject", {"subject": ""}),
        ("subject", {"subject": "x\u2028y"}),
        ("body", {"body": "x\x00y"}),
        ("body", {"body": "x" * 100_001}),
        ("key", {"key": ""}),
    ],
)
def test_what_could_become_a_header_or_another_receiver_is_no_letter(field: str, letter: dict[str, object]) -> None:
    given: dict[str, object] = {"key": "k", "to": ("ann@example.org",), "subject": "s", "body": "b", **letter}
    with pytest.raises(InvalidInput) as caught:
        Letter(**given)  # type: ignore[arg-type]
    assert caught.value.field == field


def test_the_address_of_a_mail_server_is_read_once() -> None:
    server, to = parse_smtp("smtps://me%40x@mail.example/?from=m@example.org&to=a@x.org&to=b@x.org", "hush")
    assert (server.host, server.port, server.user, server.encrypted, to) == (
        "mail.example", 465, "me@x", True, ("a@x.org", "b@x.org"),
    )  # fmt: skip
    assert "hush" not in repr(server)
    for wrong in ("smtp://h/?from=a@b.org", "smtp://h/?to=a@b.org", "smtp:///?from=a@b.org&to=a@b.org"):
        with pytest.raises(InvalidInput):
            parse_smtp(wrong)
    with pytest.raises(InvalidInput):
        check_address("a b@x.org")
