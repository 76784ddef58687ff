"""What went wrong at a provider, as our error tree: the one place where recoverable or not is decided.

Rows are tried in order: a content policy in litellm's words, a definite HTTP status (litellm calls OpenAI's 401 a bad
request, because its body says so), litellm's other classes, what httpx left in the chain of causes. What broke while an
answer was being read is charged and not asked again, because it was answered.

Source: spec/05 section 7; PROMISES F69 to F72, F74.
"""

import asyncio
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from traceback import walk_tb

import httpx
import openai
from litellm import exceptions as theirs

from maestro.errors import (
    AnswerLost,
    AuthRefused,
    BadRequest,
    ContentPolicy,
    MalformedAnswer,
    ModelError,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
)

_BY_CLASS: tuple[tuple[type[Exception], type[ModelError]], ...] = (
    (theirs.AuthenticationError, AuthRefused),
    (theirs.PermissionDeniedError, AuthRefused),
    (theirs.RateLimitError, RateLimited),
    (theirs.Timeout, ProviderTimeout),
    (theirs.NotFoundError, BadRequest),
    (theirs.UnprocessableEntityError, BadRequest),
    (theirs.BadRequestError, BadRequest),
)
_BY_STATUS: Mapping[int, type[ModelError]] = {
    401: AuthRefused,
    402: AuthRefused,
    403: AuthRefused,
    408: ProviderTimeout,
    409: ProviderUnavailable,
    424: ProviderUnavailable,  # Bedrock's ModelErrorException: the model failed while it worked on the request
    425: ProviderUnavailable,
    429: RateLimited,
}
_POLICY_WORDS = ("content_policy", "content policy", "content_filter", "content filtering", "safety system")
_BODY_READERS = frozenset({"aread", "aiter_raw", "aiter_bytes"})
"""Functions of httpx that run only once the status and headers of an answer are there."""
_MAX_TEXT = 500

_HINTS: Mapping[type[ModelError], str] = {
    AuthRefused: "check the key of this target; `maestro doctor` asks each",
    BadRequest: "the same request fails again: change it, or the target's model name",
    ContentPolicy: "mark the finding or ask a person; no other provider is asked",
    MalformedAnswer: "the answer was charged; ask again in another tick",
    AnswerLost: "the answer was charged; ask again in another tick",
}


def translate(error: Exception, target: str, charge: Mapping[str, int], secret: str | None = None) -> ModelError:
    """`error` as one of ours.

    Args:
        charge: what the call is charged if the provider has answered it.
        secret: a key that must not stand in the text.
    """
    kind = _kind(error)
    text = str(error).split("\nTraceback")[0] or f"no answer in time ({type(error).__name__})"
    if secret:
        text = text.replace(secret, "***")
    facts: dict[str, object] = {"target": target}
    if kind in (MalformedAnswer, AnswerLost):
        facts["charge"] = dict(charge)
    if (after_ms := _retry_after_ms(error)) is not None:
        facts["retry_after_ms"] = after_ms
    translated = kind(f"{target}: {text[:_MAX_TEXT]}", hint=_HINTS.get(kind))
    translated.facts.update(facts)
    return translated


def _kind(error: Exception) -> type[ModelError]:
    if isinstance(error, theirs.ContentPolicyViolationError):
        return ContentPolicy
    if isinstance(error, theirs.BadRequestError) and any(word in str(error).lower() for word in _POLICY_WORDS):
        return ContentPolicy
    if _response(error) is None and any(_read_a_body(cause) for cause in _causes(error)):
        return AnswerLost
    if (ours := _by_status(error)) is not None:
        return ours
    return next((ours for kind, ours in _BY_CLASS if isinstance(error, kind)), None) or _by_cause(error)


def _by_status(error: Exception) -> type[ModelError] | None:
    response = _response(error)
    if response is None or response.status_code < 400:
        return None
    if response.status_code >= 500:
        return ProviderUnavailable
    return _BY_STATUS.get(response.status_code, BadRequest)


def _by_cause(error: Exception) -> type[ModelError]:
    for cause in _causes(error):
        if isinstance(cause, httpx.TimeoutException | TimeoutError):
            return ProviderTimeout
        if isinstance(cause, httpx.TransportError):
            return ProviderUnavailable
    return MalformedAnswer  # neither refused nor unreachable: it was answered, and the answer was of no use


def _retry_after_ms(error: Exception) -> int | None:
    """The provider's Retry-After, in seconds or as a date, as milliseconds."""
    response = _response(error)
    text = response.headers.get("retry-after", "") if response is not None else ""
    try:
        return max(0, round(float(text) * 1000))
    except (ValueError, OverflowError):
        pass
    try:
        due = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0, round((due.astimezone(UTC) - datetime.now(UTC)).total_seconds() * 1000))


def _response(error: Exception) -> httpx.Response | None:
    """The HTTP response that refused the request, where there was one."""
    for cause in _causes(error):
        if isinstance(cause, httpx.HTTPStatusError) or (
            isinstance(cause, openai.APIStatusError) and type(cause).__module__.startswith("openai")
        ):
            return cause.response
    return None


def _read_a_body(cause: BaseException) -> bool:
    """True when the connection broke, or was given up, in the middle of an answer."""
    if not isinstance(cause, httpx.TransportError | asyncio.CancelledError):
        return False
    return any(frame.f_code.co_name in _BODY_READERS for frame, _ in walk_tb(cause.__traceback__))


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__
