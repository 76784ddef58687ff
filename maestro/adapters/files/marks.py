"""The port Marks as a small file of this installation: outside the store, so that it does not share its fate."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from maestro.errors import InvalidInput
from maestro.home import keep_private, private_folder, read_private
from maestro.runtime.identity import Standing


@dataclass(frozen=True, slots=True)
class FileMarks:
    """maestro.runtime.landmarks.Marks in one file."""

    path: Path

    def read(self) -> Standing | None:
        """What was kept last; None where nothing was.

        Raises:
            InvalidInput: the file is not ours, or not what was written.
        """
        if not self.path.exists():
            return None
        try:
            return Standing(**json.loads(read_private(self.path)))
        except (ValueError, TypeError) as error:
            hint = "move it away: what is there then counts as the whole store"
            raise InvalidInput(f"{self.path} cannot be read: {error}", field=str(self.path), hint=hint) from None

    def keep(self, standing: Standing) -> None:
        private_folder(self.path.parent.parent)
        keep_private(self.path, json.dumps(asdict(standing)))

    def forget(self) -> None:
        """Nothing is remembered: the store that is met next is taken as it is."""
        self.path.unlink(missing_ok=True)
