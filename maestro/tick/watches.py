"""Watches: who is told when a continuation ends, and the mail that tells it.

A monitor is one-way: the watcher gets a mail of kind `down`. A link is two watches, one each way, under one name: each
side gets a mail of kind `exit`, which ends it too unless it traps exits. Each watch tells once, in the step that ends
its target, or at once where nobody of that id lives (`noproc`).
Not here: what a watcher makes of it (ties), and how the store keeps watches (adapters).

Source: Erlang/OTP, "Processes": links, monitors, exit signals.
"""

from dataclasses import dataclass

import orjson
from pydantic import JsonValue

from maestro.continuation.mail import Kind, Mail
from maestro.ids import ContinuationId, MailId, TimeMs, derived_token

NOPROC = "noproc"
"""The reason of one that had ended before, or never lived: OTP's word."""


@dataclass(frozen=True, slots=True)
class Watch:
    """`watcher` is told of the end of `target`; `ref` names the watch, at the target."""

    target: ContinuationId
    watcher: ContinuationId
    ref: str
    link: bool = False

    @property
    def kind(self) -> Kind:
        return Kind.EXIT if self.link else Kind.DOWN

    def told(self, word: Mail) -> Mail:
        """What the watcher gets, where `word` says how the target ended."""
        id_ = MailId(f"{self.kind}:{self.ref}")
        return word.model_copy(update={"id": id_, "kind": self.kind, "correlation": self.ref})

    def answered(self, id_: MailId, sent_ms: TimeMs) -> Mail:
        """What the watcher gets at once where its target does not live."""
        word = last_word(self.target, NOPROC, NOPROC, None, sent_ms)
        return self.told(word).model_copy(update={"id": id_})

    def dumps(self) -> bytes:
        return orjson.dumps([self.target, self.watcher, self.ref, self.link])

    @staticmethod
    def loads(body: bytes) -> "Watch":
        target, watcher, ref, link = orjson.loads(body)
        return Watch(target, watcher, ref, link)


def last_word(target: ContinuationId, status: str, reason: str, detail: str | None, sent_ms: TimeMs) -> Mail:
    """How `target` ended, before it is addressed to anybody."""
    body: JsonValue = {"target": target, "status": status, "reason": reason, "detail": (detail or "")[:500]}
    return Mail(id=MailId(f"end:{target}"), kind=Kind.DOWN, sender=target, subject=reason, body=body, sent_ms=sent_ms)


def unaddressed(word: Mail) -> bytes:
    """`word` as JSON, from behind what `Watch.told` fills in: a script writes that in front of it."""
    return orjson.dumps(word.model_dump(mode="json", exclude={"id", "kind", "correlation"}))[1:]


def link_ref(one: ContinuationId, other: ContinuationId) -> str:
    """The name of the link between two; there is one at most."""
    return derived_token("link", *sorted((one, other)))
