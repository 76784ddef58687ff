"""Errors as the API tells them: a status, and {code, message, field, hint, request_id}.

Invariants: no answer holds a stack trace; a defect of ours is told by its request id and nothing else; who may not see
something is answered as if it were not there.
"""

from collections.abc import Mapping

from maestro.errors import MaestroError
from maestro.gateway.shapes import Problem


class NotWelcome(MaestroError):
    code = "unauthorized"


class NotAllowed(MaestroError):
    code = "forbidden"


class Malformed(MaestroError):
    """What was sent is no JSON of ours: B1, B2, B5."""

    code = "malformed"


class TooLarge(MaestroError):
    code = "too_large"


class WrongMedia(MaestroError):
    code = "unsupported_media_type"


class TooMany(MaestroError):
    """`facts` hold `retry_after_s`."""

    code = "too_many_requests"


class NotReady(MaestroError):
    code = "not_ready"


class Changed(MaestroError):
    """What was shown is not what would happen: B29, and a dry run that is out of date."""

    code = "changed"


class Gap(MaestroError):
    """What came behind a cursor cannot be told; `facts` hold `cursor` and `snapshot`, which the answer does, too."""

    code = "gap"


STATUS: Mapping[str, int] = {
    "malformed": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "unknown_entry": 404,
    "expired": 410,
    "gap": 410,
    "too_large": 413,
    "unsupported_media_type": 415,
    "invalid_input": 422,
    "unfit_event": 422,
    "attempts_exhausted": 409,
    "too_many_requests": 429,
    "mailbox_full": 429,
    "not_ready": 503,
    "store": 503,
    "store_unavailable": 503,
    "store_refused": 503,
    "store_went_back": 503,
    "store_full": 503,
    "cluster": 503,
    "timed_out": 503,
    "defect": 500,
}
"""Code -> status; any other of our errors is a conflict with how things are: 409."""
RETRY_AFTER_S = {429: 1, 503: 2}


def status_of(error: MaestroError) -> int:
    return STATUS.get(error.code, 409)


def problem(error: MaestroError, request_id: str) -> Problem:
    """What is told of `error`."""
    told = error.message, error.field, error.hint
    message, field, hint = (None if text is None else text[:2_000] for text in told)
    return Problem(code=error.code, message=message or error.code, field=field, hint=hint, request_id=request_id)


def headers_of(error: MaestroError) -> dict[str, str]:
    """When to come back, and how to be welcome."""
    status = status_of(error)
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    if status in RETRY_AFTER_S:
        headers["Retry-After"] = str(error.facts.get("retry_after_s", RETRY_AFTER_S[status]))
    return headers
