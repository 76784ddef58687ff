"""Listens to a tool's stream for its parent: window by window, and what is new as letters.

Nobody starts it: `tick.listen` begets it. A window is one journaled use of the tool, and the cursor is part of the
commit that sends the letter: what a crash interrupts is done again from the same cursor, and arrives once.
A tool that fails is told of once, and tried again later and later; one that is not there, or may not be used, ends it.
"""

import orjson
from pydantic import BaseModel, JsonValue

from maestro.continuation.directive import Closing, Finish, Sleep
from maestro.continuation.mail import Mail
from maestro.errors import ToolDenied, ToolError, ToolNotFound, ToolValidationError
from maestro.tick.behaviour import Behaviour
from maestro.tick.context import Tick
from maestro.tick.listening import STOP, STREAM, Letter, Listened
from maestro.tools.calls import error_body
from maestro.tools.streams import Batch

WINDOW = "window"
LATEST_MS = 3_600_000  # the longest between two tries of a tool that fails; its own period, where that is longer
FOR_GOOD = (ToolNotFound, ToolDenied, ToolValidationError)


class Where(BaseModel):
    """Where in the stream it is."""

    cursor: str | None = None
    letters: int = 0
    failures: int = 0
    """In a row."""


class Stream(Behaviour[Where]):
    """One open stream."""

    name = STREAM
    offered = False

    async def start(self, tick: Tick[Where]) -> Closing | None:
        tick.state.cursor = Listened.model_validate(tick.about.input).cursor
        return await self._window(tick)

    async def on_timer(self, tick: Tick[Where], timer_id: str) -> Closing | None:
        return await self._window(tick)

    async def on_message(self, tick: Tick[Where], message: Mail) -> Closing | None:
        is_stop = message.sender == tick.about.parent and message.body == {STREAM: STOP}
        return Finish(result={"cursor": tick.state.cursor}) if is_stop else None

    async def _window(self, tick: Tick[Where]) -> Closing:
        asked, state = Listened.model_validate(tick.about.input), tick.state
        try:
            told = await tick.use(asked.tool, **{**asked.arguments, "cursor": state.cursor})
            batch = Batch.model_validate(told)
        except FOR_GOOD as error:
            return Finish(result={"error": error_body(error), "cursor": state.cursor})
        except ToolError as error:
            return self._later(tick, asked, error)
        if state.failures and not batch.broke:
            _write(tick, Letter(tool=asked.tool, kind="recovered", cursor=batch.cursor))
        if batch.entries:
            entries = tuple(each.model_dump(mode="json") for each in batch.entries)
            _write(tick, Letter(tool=asked.tool, entries=entries, cursor=batch.cursor))
        if batch.broke and not state.failures:
            _write(tick, Letter(tool=asked.tool, kind="fault", cursor=batch.cursor, because=batch.broke))
        state.failures, state.cursor = int(bool(batch.broke)), batch.cursor
        tick.set_timer(WINDOW, tick.now_ms + asked.every_ms)
        return Sleep.until_woken()

    def _later(self, tick: Tick[Where], asked: Listened, error: ToolError) -> Closing:
        """It is told once that the stream does not come, and looked for again after a pause that doubles."""
        state = tick.state
        if state.failures == 0:
            _write(tick, Letter(tool=asked.tool, kind="fault", cursor=state.cursor, because=str(error)))
        pause_ms = min(asked.every_ms << min(state.failures, 16), max(LATEST_MS, asked.every_ms))
        state.failures += 1
        tick.set_timer(WINDOW, tick.now_ms + pause_ms)
        return Sleep.until_woken()


def _write(tick: Tick[Where], letter: Letter) -> None:
    body: JsonValue = orjson.loads(letter.model_dump_json(exclude_defaults=True))
    assert tick.about.parent is not None  # noqa: S101 - nobody starts one without a parent
    tick.state.letters += 1
    tick.send(tick.about.parent, body, f"{STREAM}.{letter.tool}")
