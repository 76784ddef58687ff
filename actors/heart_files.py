"""What the heart of one home is asked to keep, and what it tells of it: files below MAESTRO_HOME/heart.

    wish.json      what a person wants kept; gone when everything was taken down
    told.json      what the heart is at
    task.json      what its step of work is for; `outcome.json` is what came of it
    heart.lock     held by the heart for as long as it lives: whoever cannot take it knows

Invariant: a file is whole or absent. Not here: who asks (`actors.keeping`), who keeps (`actors.heart`).
"""

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from maestro.home import PRIVATE_FILE, keep_private, private_folder, try_lock

Keep = Literal["store", "all"]
State = Literal["mending", "keeping", "gave_up", "ending"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asked for."""

    id: str
    keep: Keep
    settings: str
    """`Settings.to_json()`: no secret stands in it."""
    cwd: str
    """Behaviours lie where the caller stands."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a heart last said of itself."""

    pid: int
    state: State
    since_ms: int
    reason: str | None = None
    """Of the last restart, or why it gave up."""
    restarts: int = 0
    last_restart_ms: int | None = None
    answered: str | None = None
    """The id of the last wish that was carried out, or failed."""
    answer: dict[str, Any] | None = None
    """`{"result": ...}`, or `{"error": {kind, message, field, hint}}`."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where the files of one heart lie."""

    folder: Path

    @classmethod
    def of(cls, home: Path) -> "Files":
        return cls(private_folder(home.absolute() / "heart"))

    @property
    def lock(self) -> Path:
        return self.folder / "heart.lock"

    def wish(self) -> Wish | None:
        """What a person wants kept now; None when all was taken down."""
        read = _read(self.folder / "wish.json")
        return None if read is None else Wish(**read)

    def task(self) -> Wish:
        """What the heart works at: a later wish waits its turn."""
        return Wish(**json.loads((self.folder / "task.json").read_text()))

    def set_task(self, wish: Wish) -> None:
        """The heart works at `wish` now, and nothing has come of it yet."""
        (self.folder / "outcome.json").unlink(missing_ok=True)
        keep_private(self.folder / "task.json", json.dumps(asdict(wish)))

    def outcome(self) -> dict[str, Any] | None:
        """What came of the task: `{"result": ...}` or `{"error": ...}`; None when its process died of it."""
        return _read(self.folder / "outcome.json")

    def tell_outcome(self, outcome: dict[str, Any]) -> None:
        keep_private(self.folder / "outcome.json", json.dumps(outcome))

    def wish_for(self, wish: Wish) -> None:
        keep_private(self.folder / "wish.json", json.dumps(asdict(wish)))

    def wish_nothing(self) -> None:
        (self.folder / "wish.json").unlink(missing_ok=True)

    def told(self) -> Told | None:
        """What a heart said last, whether it still lives or not."""
        read = _read(self.folder / "told.json")
        return None if read is None else Told(**read)

    def tell(self, told: Told) -> None:
        keep_private(self.folder / "told.json", json.dumps(asdict(told)))

    def beats(self) -> bool:
        """True while a heart lives."""
        descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
        try:
            return not try_lock(descriptor)
        finally:
            os.close(descriptor)


def _read(path: Path) -> dict[str, Any] | None:
    with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
        read: dict[str, Any] = json.loads(path.read_text())
        return read
    return None
