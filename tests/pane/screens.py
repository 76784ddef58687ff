"""The pictures of docs/img: each view, light and dark, on desktop and phone: `python -m tests.pane.screens [OUT]`.

The swarm in them is made up; everything between it and the picture is real. Pictures are WebP, made by the browser
itself from its screenshots, so that no other tool is needed; with --png they are kept as they were taken.
"""

import argparse
import base64
from pathlib import Path

from playwright.sync_api import Page

from tests.pane.theatre import DESKTOP, PHONE, ROOT, Seat, Theatre, browsing

VIEWS = ("findings", "timeline", "waits", "away", "costs", "system")
NARROW = ("swarm", "field")
SETTLED_MS = 900
QUALITY = 0.72
ITEMS = (
    "Sparse experts at test time", "Long-horizon planning with small models", "On the calibration of judges",
    "Budgeted search over tool calls", "When do agents ask for help?", "Memory that forgets on purpose",
)  # fmt: skip
DAYS = (ITEMS[:2], ITEMS[2:3], ITEMS[:6], ITEMS[3:5], ITEMS[1:5], ITEMS[5:])
"""What the feed had, day by day: money is spent on all of them."""
SQUEEZE = """
async ([png, quality]) => {
  const taken = Uint8Array.from(atob(png), (character) => character.charCodeAt(0));
  const picture = await createImageBitmap(new Blob([taken], {type: 'image/png'}));
  const canvas = new OffscreenCanvas(picture.width, picture.height);
  canvas.getContext('2d').drawImage(picture, 0, 0);
  const squeezed = await canvas.convertToBlob({type: 'image/webp', quality});
  const bytes = new Uint8Array(await squeezed.arrayBuffer());
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
}
"""


def main() -> None:
    """Every picture is taken anew."""
    parser = argparse.ArgumentParser(prog="python -m tests.pane.screens", description=__doc__)
    parser.add_argument("out", nargs="?", type=Path, default=ROOT / "docs" / "img")
    parser.add_argument("--png", action="store_true")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    with Theatre() as theatre, browsing() as browser:
        chosen = _furnish(theatre)
        for device, size in (("desktop", DESKTOP), ("phone", PHONE)):
            for scheme in ("light", "dark"):
                seat = Seat(browser, theatre, size, color_scheme=scheme)
                for view in (*VIEWS, *(NARROW if device == "phone" else ())):
                    page = seat.look(f"?view={view}&id={chosen}")
                    page.wait_for_timeout(SETTLED_MS)
                    _keep(page, asked.out / f"{view}-{device}-{scheme}", as_png=asked.png)
                seat.close()


def _furnish(theatre: Theatre) -> str:
    """Something of everything; the one that is looked at."""
    first = theatre.scout("Follow long-horizon planning and memory in agents", name="planning")
    theatre.scout("Find out whether cheap models judge relevance well", name="judges")
    for day, titles in enumerate(DAYS):
        for title in titles:
            theatre.item(title if day == 0 else f"{title} ({day + 1})")
        theatre.pass_days(1)
    theatre.scout("Watch for work that contradicts our last report")
    for ask, title in (
        ("approval", "On the calibration of judges"), ("question", "Memory that forgets on purpose"),
        ("finish", ITEMS[0]), ("fail", ITEMS[3]), ("sleep", ITEMS[4]), ("budget", ITEMS[1]),
    ):  # fmt: skip
        theatre.start(ask, title=title)
    return first


def _keep(page: Page, path: Path, *, as_png: bool) -> None:
    taken = page.screenshot()
    if as_png:
        path.with_suffix(".png").write_bytes(taken)
        return
    squeezed = page.evaluate(SQUEEZE, [base64.b64encode(taken).decode(), QUALITY])
    path.with_suffix(".webp").write_bytes(base64.b64decode(squeezed))


if __name__ == "__main__":
    main()
