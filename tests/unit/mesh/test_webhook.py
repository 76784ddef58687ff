"""Webhooks: what is signed and in time is believed, and nothing else."""

from collections.abc import Mapping

import pytest

from maestro.errors import InvalidInput, WebhookRefused
from maestro.ids import TimeMs
from maestro.mesh.webhook import WINDOW_MS, Hook, Replays, received, secret_bytes, sign, verify

NOW = TimeMs(1_795_000_000_000)
SECRET, NEXT = b"sixteen bytes or", b"more than sixteen bytes"
HOOK = Hook("ci", "ci.builds", (SECRET, NEXT))
BODY = b'{"build": 7}'


def headers(secret: bytes = SECRET, seconds: int = NOW // 1000, body: bytes = BODY, id_: str = "m-1") -> dict[str, str]:
    return {
        "webhook-id": id_, "webhook-timestamp": str(seconds), "webhook-signature": sign(secret, id_, seconds, body),
    }  # fmt: skip


def test_what_is_signed_is_believed() -> None:
    assert verify(HOOK, headers(), BODY, NOW) == headers()["webhook-signature"]
    assert verify(HOOK, headers(NEXT), BODY, NOW)
    both = headers() | {"webhook-signature": f"v1,AAAA v2,x {headers()['webhook-signature']}"}
    assert verify(HOOK, both, BODY, NOW)


def test_the_signature_is_that_of_the_standard() -> None:
    """The example of the Standard Webhooks specification's reference implementations."""
    secret = secret_bytes("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    "wrong",
    [
        {"webhook-signature": sign(b"another secret of ours", "m-1", NOW // 1000, BODY)},
        {"webhook-signature": ""},
        {"webhook-signature": "v1," + "A" * 44},
        {"webhook-signature": "v1,ü"},
        {"webhook-signature": " ".join(["v1,x"] * 9)},
        {"webhook-id": "m-2"},
        {"webhook-id": ""},
        {"webhook-id": "m 1"},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "-1"},
        {"webhook-timestamp": "9" * 40},
        headers(seconds=NOW // 1000 - WINDOW_MS // 1000 - 1),
        headers(seconds=NOW // 1000 + WINDOW_MS // 1000 + 1),
        headers(body=b'{"build": 8}'),
    ],
)
def test_anything_else_is_refused(wrong: Mapping[str, str]) -> None:
    with pytest.raises(WebhookRefused):
        verify(HOOK, {**headers(), **wrong}, BODY, NOW)


def test_a_signature_is_taken_once_in_the_window() -> None:
    replays = Replays()
    assert replays.take("a", NOW)
    assert not replays.take("a", TimeMs(NOW + WINDOW_MS))
    assert replays.take("b", TimeMs(NOW + 3 * WINDOW_MS))
    assert replays.take("a", TimeMs(NOW + 3 * WINDOW_MS))
    replays.forget("a")
    assert replays.take("a", TimeMs(NOW + 3 * WINDOW_MS))


def test_what_it_becomes_says_nothing_that_the_sender_chose_but_its_payload() -> None:
    event = received(HOOK, headers(), b'{"subject": "mail.other", "source": "person", "tenant": "x"}', NOW)
    assert (event.subject, event.source, event.tenant, event.taint) == (
        "ci.builds",
        "webhook.ci",
        "default",
        "untrusted",
    )
    again = received(HOOK, headers(seconds=NOW // 1000 + 9), BODY, TimeMs(NOW + 9_000))
    assert again.id == event.id


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        received(HOOK, headers(), body, NOW)


@pytest.mark.parametrize("secrets", [(), (b"short",), (SECRET, b"")])
def test_a_hook_without_a_good_secret_cannot_be(secrets: tuple[bytes, ...]) -> None:
    with pytest.raises(InvalidInput) as caught:
        Hook("ci", "ci.builds", secrets)
    assert caught.value.field == "secrets"
