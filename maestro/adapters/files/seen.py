"""How far the audit log went when it was last found whole, in a small file of this installation: outside the store."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from maestro.errors import InvalidInput
from maestro.home import keep_private, private_folder, read_private
from maestro.runtime.audit import Seen


@dataclass(frozen=True, slots=True)
class SeenFile:
    """What is remembered of one tenant's audit log."""

    path: Path

    def read(self) -> Seen | None:
        """What was kept last; None where nothing was.

        Raises:
            InvalidInput: the file is not ours, or not what was written.
        """
        if not self.path.exists():
            return None
        try:
            return Seen(**json.loads(read_private(self.path)))
        except (ValueError, TypeError) as error:
            hint = "move it away: the log that is there then counts as whole"
            raise InvalidInput(f"{self.path} cannot be read: {error}", field=str(self.path), hint=hint) from None

    def keep(self, seen: Seen) -> None:
        private_folder(self.path.parent.parent)
        keep_private(self.path, json.dumps(asdict(seen)))
