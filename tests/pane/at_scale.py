"""How the pane does before 100,000 continuations: `python -m tests.pane.at_scale [--rows N] [--minutes M]`.

Prints the first paint, the time to the first row, the frames of eight seconds of scrolling, and what the page holds in
memory, after a collection of garbage, while fifty rows a second change. Figures of the machine that runs it; nothing
here passes or fails. The short form that does is in `test_scale.py`.
"""

import argparse
import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Page

from maestro.runtime import steer
from tests.pane.theatre import Seat, Theatre, browsing

CHANGES_PER_S = 50
OF_SO_MANY = 2_000
FOLDED = "?fold=waiting_on_you,finished"
SCROLL = """
(whole_ms) => new Promise((done) => {
  const rail = document.querySelector('.swarm .scroller'), frames = [], until = performance.now() + whole_ms;
  let last = performance.now();
  requestAnimationFrame(function step() {
    const now = performance.now();
    frames.push(now - last);
    last = now;
    rail.scrollTop += 180;
    if (now < until) return requestAnimationFrame(step);
    frames.sort((a, b) => a - b);
    const at = (share) => Math.round(frames[Math.floor((frames.length - 1) * share)]);
    const drawn = document.querySelectorAll('.strip').length;
    done({frames: frames.length, p50_ms: at(0.5), p99_ms: at(0.99), worst_ms: at(1), rows_in_the_page: drawn,
      scrolled_px: rail.scrollTop});
  });
})
"""
PAINTED = "() => Math.round(performance.getEntriesByName('first-contentful-paint')[0].startTime)"


@dataclass
class Changes:
    """Rows that change, for ever: one is frozen, or thawed."""

    theatre: Theatre
    made: int = 0

    async def go_on(self) -> None:
        luck, cold = random.Random(7), set[str]()
        everyone = (await self.theatre.swarm.stage.all())[:OF_SO_MANY]
        began = time.monotonic()
        while True:
            one = luck.choice(everyone)
            act = steer.thaw if one in cold else steer.freeze
            cold ^= {one}
            await act(self.theatre.swarm.at, one, reason="to see it change")
            self.made += 1
            await asyncio.sleep(max(0.0, began + self.made / CHANGES_PER_S - time.monotonic()))


def main() -> None:
    """Everything is measured once."""
    parser = argparse.ArgumentParser(prog="python -m tests.pane.at_scale", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--minutes", type=int, default=10)
    asked = parser.parse_args()
    with Theatre() as theatre, browsing() as browser:
        theatre.do(theatre.swarm.sleepers(asked.rows), within_s=900)
        theatre.told_of(asked.rows)
        seat = Seat(browser, theatre)
        page = seat.look(FOLDED)
        page.wait_for_selector(".strip.sleeping")
        print(f"{asked.rows:,} rows: {began(page)}", flush=True)
        print(f"scrolling for 8 s: {page.evaluate(SCROLL, 8_000)}", flush=True)
        _stand(theatre, page, asked.minutes)
        seat.close()


def _stand(theatre: Theatre, page: Page, minutes: int) -> None:
    changes = Changes(theatre)
    moving = theatre.begin(changes.go_on())
    for minute in range(minutes + 1):
        print(f"after {minute} min, {changes.made:,} changes: {held(page)}", flush=True)
        page.wait_for_timeout(60_000 if minute < minutes else 0)
    moving.cancel()


def began(page: Page) -> str:
    """When the page showed something, and when rows."""
    first_row = page.evaluate("() => Math.round(performance.now())")
    return f"first paint {page.evaluate(PAINTED)} ms, first row by {first_row} ms"


def held(page: Page) -> Mapping[str, Any]:
    """What the page holds when its garbage is gone."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    session.send("HeapProfiler.collectGarbage")
    told = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    session.detach()
    return {
        "heap_mb": round(told["JSHeapUsedSize"] / 1e6, 1),
        "nodes": int(told["Nodes"]),
        "listeners": int(told["JSEventListeners"]),
    }


if __name__ == "__main__":
    main()
