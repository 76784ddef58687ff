"""The answers of one continuation, live, as `maestro watch ID` tells them between the facts."""

from rich.text import Text

from maestro.cli.inert import inert
from maestro.cli.output import Output
from maestro.errors import CursorTooOld
from maestro.ids import ContinuationId
from maestro.runtime.hearing import Answer, Heard, Piece, Reset, as_json, hear
from maestro.runtime.verbs import Installation

MARK = "  ┆ "


async def tell_answers(out: Output, at: Installation, cid: ContinuationId) -> None:
    """Pieces, resets and whole answers, one after another, until there will be none any more."""
    cursor: str | None = None
    while True:
        before = cursor
        try:
            async for heard in hear(at, cid, cursor):
                cursor = heard.cursor
                out.live({"cid": cid, **as_json(heard)}, _line(heard))
        except CursorTooOld as error:  # what was missed is in the whole answer
            cursor = error.cursor
        if cursor == before:
            return


def _line(heard: Heard) -> Text:
    match heard:
        case Piece(text):
            return Text(MARK).append(inert(text))
        case Reset(because):
            return Text(MARK, style="dim").append(inert(f"taken back: {because}"))
        case Answer(text):
            return Text(MARK, style="dim").append(inert(f"that was all, {len(text)} characters"))
