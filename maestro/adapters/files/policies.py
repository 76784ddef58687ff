"""A policy in a file: read when it changes, kept when it has become bad.

Invariant: `now()` is at every moment a policy that was read whole and found good; a bad file changes nothing but
`trouble`. A process begins with a good one, or not at all.
"""

from dataclasses import replace
from pathlib import Path

import structlog

from maestro.errors import InvalidInput
from maestro.policy.policy import policy_of
from maestro.policy.question import PolicyConfig

log = structlog.get_logger()

Look = tuple[int, int, int]
"""Of a file: which one it is, when it was written, how long it is."""


class PolicyFile:
    """What the kernel decides by, at this moment.

    Args:
        path: the file; None means as shipped.
        advisor_enabled: False outweighs what the file says.

    Raises:
        InvalidInput: there is no such file, or it is no policy.
    """

    def __init__(self, path: Path | None, advisor_enabled: bool = True) -> None:
        self._path, self._advisor_enabled = path, advisor_enabled
        self._seen: Look | None = None
        self.trouble: InvalidInput | None = None
        """Why the file as it is now does not count; None when it does."""
        self._config = replace(PolicyConfig(), advisor_enabled=advisor_enabled)
        if path is not None:
            self._seen = _look(path)
            self._config = self._read(path)

    def now(self) -> PolicyConfig:
        """The last good one; a file that has changed since is read first."""
        if self._path is None:
            return self._config
        try:
            seen = _look(self._path)
            if seen == self._seen:
                return self._config
            self._seen = seen
            config = self._read(self._path)
        except InvalidInput as error:
            if self.trouble is None or str(error) != str(self.trouble):
                log.error("policy_refused", file=str(self._path), error=str(error), kept=self._config.policy)  # noqa: TRY400 - the text says it all
            self.trouble = error
            return self._config
        log.info("policy_read", file=str(self._path), policy=config.policy, before=self._config.policy)
        self.trouble, self._config = None, config
        return config

    def _read(self, path: Path) -> PolicyConfig:
        config = policy_of(_text(path)).config
        return replace(config, advisor_enabled=config.advisor_enabled and self._advisor_enabled)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from None


def _look(path: Path) -> Look:
    try:
        found = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _unreadable(path: Path, error: Exception) -> InvalidInput:
    return InvalidInput(
        f"the policy {path} cannot be read: {error}", field="policy_file", hint="set MAESTRO_POLICY_FILE to a TOML file"
    )
