"""How the end of a watched call reads as an exit.

A child's `watch()` is pending as long as the child lives. It returns on a normal end, raises `EndedByShutdown` when the
child ended itself in order, and raises anything else on failure; Ray raises where the process is gone.

Not here: what follows from an exit (`maestro.supervision.machine`).
"""

from ray.exceptions import ActorUnavailableError, RayActorError, RayTaskError

from maestro.supervision.state import ExitKind

NODE_IS_GONE = ("its node has died", "node was terminated", "node failure")
"""Ray tells a lost node only in the text of an ActorDiedError (seen in 2.60)."""
MAX_TEXT = 500


class EndedByShutdown(Exception):
    """A child that ended in order, although nobody asked it to: OTP's exit reason `shutdown`."""


class Ignore(Exception):
    """Raised by `ready()`: this child has nothing to do here and is left out; OTP's `ignore`."""


class StartFailed(Exception):
    """A child did not become ready; the text says why."""


def classify(error: BaseException | None) -> tuple[ExitKind, str]:
    """The exit kind and a line for people, of what `watch()` ended with."""
    match error:
        case None:
            return "normal", ""
        case EndedByShutdown():
            return "shutdown", _cause(error)
        case RayActorError() if any(words in str(error) for words in NODE_IS_GONE):
            return "node_lost", _last_line(str(error))
        case RayActorError() if error.actor_init_failed:
            return "error", _last_line(str(error))
        case RayActorError():
            return "killed", _detail(str(error))
        case _:
            return "error", _cause(error)


def unreachable_only(error: BaseException) -> bool:
    """True when Ray lost the call but not, as far as it knows, the actor."""
    return isinstance(error, ActorUnavailableError)


def _cause(error: BaseException) -> str:
    cause = error.cause if isinstance(error, RayTaskError) and error.cause is not None else error
    text = str(cause)
    return (text if isinstance(cause, EndedByShutdown) else f"{type(cause).__name__}: {text}")[:MAX_TEXT]


def _last_line(text: str) -> str:
    return text.strip().rsplit("\n", 1)[-1].strip()[:MAX_TEXT]


def _detail(text: str) -> str:
    """Ray's own sentence, without the list of guesses that follows it."""
    return _last_line(text).split(" Some common causes include", 1)[0].removeprefix("The actor is dead because ")
