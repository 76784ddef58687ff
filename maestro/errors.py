"""Every error of Maestro, in one tree.

    MaestroError                    code, message, field, hint; what a face (CLI, client, API) shows
    ├─ InvalidInput                 the caller's value is wrong: names the field and the fix
    │   ├─ UnfitEvent               not as somebody described events of its type
    │   └─ ContinuationInvalidInputError
    │       └─ ResumeAttemptsExhausted
    ├─ NotFound
    │   ├─ CursorTooOld             what follows that place is not kept any more; names the place from which it is
    │   ├─ UnknownEntryError        the field holds no such entry; names what comes nearest
    │   └─ ContinuationNotFoundError
    ├─ Conflict                     right value, wrong moment
    │   ├─ ContinuationAlreadyTerminalError
    │   │   ├─ ContinuationBusyError
    │   │   └─ ContinuationMovedError    it lives in another store now; its text says where
    │   ├─ ContinuationTriggerMismatchError
    │   ├─ ContinuationExpiredError
    │   └─ ContinuationStateError
    ├─ BudgetExceededError          a reservation or a grant is larger than what is free
    ├─ MailboxFull                  a bounded mailbox refuses, loudly
    ├─ Unservable                   no behaviour of that name, or no migration to today's version
    ├─ IntegrityError               bytes read from the store are not those that were written
    ├─ StoreError
    │   ├─ StoreUnavailable         recoverable: try again later
    │   └─ StoreRefused             the store answers, and refuses writes (memory, disk, read-only, settings)
    │       ├─ StoreWentBack        it is empty, another, or older than what was seen of it; a person decides
    │       └─ StoreFull            reads go on; writes do as soon as there is memory or disk again
    ├─ ModelError
    │   ├─ RecoverableModelError    the next provider of the chain may answer
    │   │   ├─ RateLimited · ProviderUnavailable · ProviderTimeout
    │   ├─ TerminalModelError       no provider would answer otherwise
    │   │   ├─ AuthRefused · BadRequest · ContentPolicy · UnpricedModel · MalformedAnswer
    │   │   ├─ TurnsExhausted       it asked for tools as often as it might, and gave no answer
    │   │   └─ Declined             the policy kernel does not let it be made; nobody was asked, nothing is charged
    │   ├─ AnswerLost               answered and billed, but it did not arrive: charged in full
    │   └─ ProvidersExhausted       the whole chain failed recoverably: sleep and come back
    ├─ ContextOverflow              what may never be dropped is alone larger than the window
    ├─ RankerFailed                 no scores, or not those that were promised: last ranks stay, marked stale
    ├─ NotificationFailed           people were not told; what they were to be told of stands all the same
    ├─ FeedError                    one poll of a source failed; the source lives
    ├─ WebError                     one call to the world outside failed
    │  └─ EgressRefused             it was never made: the address may not be called
    ├─ WebhookRefused               what came in by a webhook is not from whom it says, or too late
    ├─ ToolError                    one call of a tool has no result; a model is told so as the tool's answer
    │   ├─ ToolNotFound · ToolValidationError · ToolTimeout · ToolCircuitOpen · ToolQuotaExceeded · ToolFailed
    │   │   └─ ArtifactsFull        (of ToolFailed) a family keeps no more of what tools return
    │   ├─ ToolDeclined             the tool itself says that nothing was done
    │   │   └─ MCPConnectionError   its server is not to be reached: nothing was asked of it
    │   └─ ToolDenied               scopes do not allow it, or a person has said no
    ├─ ClusterError                 Ray is not there, or not ours
    ├─ UnfitInstallation            a promise would rest on a store or a cluster that is known not to keep it
    └─ TimedOut                     the caller's own patience ended; nothing was undone

    Fenced                          BaseException: a newer epoch owns this continuation

Recoverable or not is a class, decided once, in the adapter that saw the failure.
"""

from typing import ClassVar


class MaestroError(Exception):
    """Something that a person or a program can act on; its text says what to do next."""

    code: ClassVar[str] = "failed"
    exit_status: ClassVar[int] = 1

    def __init__(self, message: str, *, field: str | None = None, hint: str | None = None, **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.hint = hint
        self.facts = facts

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def __reduce__(self) -> tuple[object, ...]:
        """Errors cross Ray's process borders whole."""
        return _rebuild, (type(self), self.message, self.field, self.hint, self.facts)


def _rebuild(
    kind: type[MaestroError], message: str, field: str | None, hint: str | None, facts: dict[str, object]
) -> MaestroError:
    error = kind.__new__(kind)
    MaestroError.__init__(error, message, field=field, hint=hint, **facts)
    return error


class InvalidInput(MaestroError):
    code = "invalid_input"
    exit_status = 2


class ContinuationInvalidInputError(InvalidInput):
    """Of a continuation; it and its siblings below carry `id`, `status`, `expected` and `got` where they are known."""


class ResumeAttemptsExhausted(ContinuationInvalidInputError):
    """This turn lineage has had all its attempts; whoever finds out stops it as `max_attempts_exceeded`."""

    code = "attempts_exhausted"


class UnfitEvent(InvalidInput):
    code = "unfit_event"


class NotFound(MaestroError):
    code = "not_found"
    exit_status = 3


class ContinuationNotFoundError(NotFound):
    pass


class CursorTooOld(NotFound):
    """`cursor` is where what is kept begins."""

    code = "cursor_too_old"

    @property
    def cursor(self) -> str:
        return str(self.facts.get("cursor", ""))


class UnknownEntryError(NotFound):
    """`facts` hold `nearest`, ids that it may have been."""

    code = "unknown_entry"


class Conflict(MaestroError):
    code = "conflict"


class ContinuationAlreadyTerminalError(Conflict):
    code = "already_terminal"


class ContinuationBusyError(ContinuationAlreadyTerminalError):
    code = "busy"


class ContinuationMovedError(ContinuationAlreadyTerminalError):
    code = "moved"


class ContinuationTriggerMismatchError(Conflict):
    code = "trigger_mismatch"


class ContinuationExpiredError(Conflict):
    code = "expired"


class ContinuationStateError(Conflict):
    code = "illegal_state"


class BudgetExceededError(MaestroError):
    """A reservation or grant asks for more than is free; `facts` hold resource, asked and free."""

    code = "budget_exceeded"


class MailboxFull(MaestroError):
    code = "mailbox_full"


class Unservable(MaestroError):
    code = "unservable"


class IntegrityError(MaestroError):
    code = "integrity"


class StoreError(MaestroError):
    code = "store"
    exit_status = 4


class StoreUnavailable(StoreError):
    code = "store_unavailable"


class StoreRefused(StoreError):
    code = "store_refused"


class StoreWentBack(StoreRefused):
    code = "store_went_back"


class StoreFull(StoreRefused):
    """Reads go on; writes do as soon as there is memory or disk again."""

    code = "store_full"


class ModelError(MaestroError):
    code = "model"


class RecoverableModelError(ModelError):
    """Raised with `retry_after_ms` among its facts where the provider named a time."""

    code = "model_recoverable"


class RateLimited(RecoverableModelError):
    code = "rate_limited"


class ProviderUnavailable(RecoverableModelError):
    code = "provider_unavailable"


class ProviderTimeout(RecoverableModelError):
    code = "provider_timeout"


class TerminalModelError(ModelError):
    code = "model_terminal"


class AuthRefused(TerminalModelError):
    code = "auth_refused"


class BadRequest(TerminalModelError):
    code = "bad_request"


class ContentPolicy(TerminalModelError):
    code = "content_policy"


class UnpricedModel(TerminalModelError):
    code = "unpriced_model"


class MalformedAnswer(TerminalModelError):
    code = "malformed_answer"


class TurnsExhausted(TerminalModelError):
    code = "turns_exhausted"


class Declined(TerminalModelError):
    """`facts` hold `reason`, the rule of the kernel that fired."""

    code = "declined"


class AnswerLost(ModelError):
    code = "answer_lost"


class ProvidersExhausted(ModelError):
    code = "providers_exhausted"


class ContextOverflow(MaestroError):
    """System, pinned entries and trigger need more tokens than the budget; `facts` hold needed and budget."""

    code = "context_overflow"


class RankerFailed(MaestroError):
    code = "ranker_failed"


class NotificationFailed(MaestroError):
    code = "notification_failed"


class FeedError(MaestroError):
    code = "feed"


class WebError(MaestroError):
    code = "web"


class EgressRefused(WebError):
    code = "egress_refused"


class WebhookRefused(MaestroError):
    code = "webhook_refused"


class ToolError(MaestroError):
    code = "tool"


class ToolNotFound(ToolError):
    code = "tool_not_found"


class ToolValidationError(ToolError):
    """Arguments, or a result, are not as the tool declares them; `field` names which."""

    code = "tool_validation"


class ToolTimeout(ToolError):
    code = "tool_timeout"


class ToolCircuitOpen(ToolError):
    """Too many failures in a row: nothing was called; `facts` hold `retry_in_ms`."""

    code = "tool_circuit_open"


class ToolQuotaExceeded(ToolError):
    code = "tool_quota"


class ToolFailed(ToolError):
    """The tool raised, or its process ended; what it had done by then, only its side-effect class says."""

    code = "tool_failed"


class ArtifactsFull(ToolFailed):
    """Its result was not kept: a family, or a tenant, keeps as many bytes of artifacts as it may."""

    code = "artifacts_full"


class ToolDeclined(ToolError):
    """For tools to raise: nothing was done, and nothing is unknown."""

    code = "tool_declined"


class MCPConnectionError(ToolDeclined):
    """Nothing was asked of the server; `facts` may hold `retry_in_ms`."""

    code = "mcp_connection"


class ToolDenied(ToolError):
    code = "tool_denied"


class ClusterError(MaestroError):
    code = "cluster"
    exit_status = 4


class UnfitInstallation(MaestroError):
    code = "unfit_installation"


class TimedOut(MaestroError):
    code = "timed_out"
    exit_status = 124


class Fenced(BaseException):
    """A newer epoch owns this continuation: whoever holds it stops at once and writes nothing.

    Derives from BaseException, so that a greedy `except Exception` in a behaviour is fenced all the same.
    """

    def __init__(self, cid: str, epoch: int, current: int) -> None:
        super().__init__(f"{cid}: epoch {epoch} is over, {current} is current")
        self.cid = cid
        self.epoch = epoch
        self.current = current

    def __reduce__(self) -> tuple[object, ...]:
        return Fenced, (self.cid, self.epoch, self.current)
