"""Events: facts that somebody may have asked for, as the mesh carries them.

Invariants:
- an event's id is a function of (tenant, source, subject, key): publishing the same fact twice names the same event;
- the payload is finite JSON of at most 256 KiB;
- an event counts the wakes between it and the world outside (`hops`), so that a loop of wakes comes to an end;
- what came from outside is `untrusted`, and so is what says nothing of itself.

What is not here: who is told (subscription.py), and storage.

Source: spec/04 section 2; PROMISES B75-B79.
"""

import re
from typing import Annotated, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator

from maestro.errors import InvalidInput
from maestro.ids import DEFAULT_TENANT, EventId, TenantId, TimeMs, check_label, event_id
from maestro.mesh.subject import check_subject

MAX_PAYLOAD_BYTES = 256 * 1024
MAX_KEY_CHARS = 512
MAX_HOPS = 16  # PROMISES B79: A wakes B wakes A ends here

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,127}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

Taint = Literal["untrusted", "trusted"]


class Event(BaseModel):
    """One fact, published under a subject."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    schema_version: Literal[1] = 1
    id: EventId
    subject: str
    type: str
    """What kind of fact: `feed.item`, `source.degraded` ..."""
    version: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """Of the type: what its payload looks like, where somebody described it (schemas.py)."""
    source: str
    """Who says so; set by the one who lets it in, never by the caller."""
    key: str
    """Names the fact within its source: the same key again is the same fact, told again."""
    payload: JsonValue = None
    time_ms: TimeMs
    hops: int = 0
    causation_id: str | None = None
    tenant: TenantId = DEFAULT_TENANT
    taint: Taint = Field(default="untrusted")

    @field_validator("subject")
    @classmethod
    def _check_subject(cls, subject: str) -> str:
        return check_subject(subject)

    @field_validator("type", "source")
    @classmethod
    def _check_name(cls, name: str) -> str:
        return check_name(name)

    @field_validator("key")
    @classmethod
    def _check_key(cls, key: str) -> str:
        if not 1 <= len(key) <= MAX_KEY_CHARS or _CONTROL.search(key):
            raise InvalidInput(
                f"{key[:40]!r} ({len(key)} characters) is no key of an event",
                field="key",
                hint=f"give 1 to {MAX_KEY_CHARS} printable characters; hash what is longer",
            )
        return key

    @field_validator("payload")
    @classmethod
    def _check_payload(cls, payload: JsonValue) -> JsonValue:
        return check_payload(payload)

    @field_validator("hops")
    @classmethod
    def _check_hops(cls, hops: int) -> int:
        if not 0 <= hops <= MAX_HOPS:
            raise InvalidInput(
                f"an event after {hops} wakes in a row",
                field="hops",
                hint=f"at most {MAX_HOPS}: look for a loop of wakes",
            )
        return hops

    @field_validator("causation_id")
    @classmethod
    def _check_cause(cls, cause: str | None) -> str | None:
        if cause is not None and (not 1 <= len(cause) <= MAX_KEY_CHARS or _CONTROL.search(cause)):
            raise InvalidInput(
                f"{cause[:40]!r} is no id of a cause",
                field="causation_id",
                hint="name the event or tick, or leave it out",
            )
        return cause

    @field_validator("tenant")
    @classmethod
    def _check_tenant(cls, tenant: TenantId) -> TenantId:
        return TenantId(check_label(tenant, "tenant"))


def check_name(name: str) -> str:
    """`name` as a type or source of events.

    Raises:
        InvalidInput: other than 1 to 128 letters, digits and '_.:/-', beginning with a letter or digit.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name[:40]!r} names no type or source of events",
            field="type or source",
            hint="use 1 to 128 of letters, digits and '_.:/-', beginning with a letter or digit",
        )
    return name


def new_event(
    subject: str,
    event_type: str,
    source: str,
    key: str,
    payload: JsonValue,
    time_ms: TimeMs,
    tenant: TenantId = DEFAULT_TENANT,
    taint: Taint = "untrusted",
) -> Event:
    """An event of the first hop, under the id that its facts give it.

    Raises:
        InvalidInput: a field is not as the mesh takes it; the error names which.
    """
    try:
        return Event(
            id=event_id(tenant, source, subject, key), subject=subject, type=event_type, source=source, key=key,
            payload=payload, time_ms=time_ms, tenant=tenant, taint=taint,
        )  # fmt: skip
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = str(first["loc"][0]) if first["loc"] else None
        raise InvalidInput(
            f"no event: {first['msg']}", field=field, hint="give the fields of mesh.event.Event"
        ) from None


def check_payload(payload: JsonValue) -> JsonValue:
    """`payload`, which fits into an event.

    Raises:
        InvalidInput: larger than 256 KiB as JSON, or not writable as JSON at all.
    """
    try:
        size = len(orjson.dumps(payload))
    except orjson.JSONEncodeError as error:
        raise InvalidInput(
            f"the payload is not writable as JSON: {error}",
            field="payload",
            hint="use text in UTF-8, integers of 64 bits, and less than 200 levels",
        ) from None
    if size > MAX_PAYLOAD_BYTES:
        raise InvalidInput(
            f"the payload has {size} bytes, at most {MAX_PAYLOAD_BYTES} are taken",
            field="payload",
            hint="store large material and put a reference to it here",
            size_bytes=size,
            limit_bytes=MAX_PAYLOAD_BYTES,
        )
    return payload
