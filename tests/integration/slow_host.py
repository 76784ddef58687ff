"""In place of `actors.on_serve`: loading it takes until a test lets it go on."""

import threading

from pydantic import JsonValue

from actors.serving import Wanted
from maestro.settings import Settings
from tests.integration import slow_gate


class Host:
    def __init__(self, wanted: Wanted, settings: Settings) -> None:
        self.wanted = wanted

    def look(self) -> dict[str, JsonValue]:
        return {"state": "RUNNING", "message": threading.current_thread().name}


slow_gate.OPENED.wait()
