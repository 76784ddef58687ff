"""How the pane does before 100,000 continuations: `python -m tests.pane.at_scale [--rows N] [--minutes M]`.

Prints the first paint, the time to the first row, the frames of eight seconds of scrolling, and the page's heap while
fifty rows a second change. Figures of the machine that runs it; nothing here passes or fails.
"""

import argparse
import asyncio
import random
from typing import Any

from playwright.sync_api import Page

from maestro.runtime import steer
from tests.pane.theatre import Seat, Theatre, browsing

CHANGES_PER_S = 50
SCROLL = """
() => new Promise((done) => {
  const rail = document.querySelector('.swarm .scroller'), frames = [], until = performance.now() + 8000;
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
    done({frames: frames.length, p50_ms: at(0.5), p99_ms: at(0.99), worst_ms: at(1), rows_in_the_page: drawn});
  });
})
"""
PAINTED = "() => Math.round(performance.getEntriesByName('first-contentful-paint')[0].startTime)"
HEAP = "() => Math.round(performance.memory.usedJSHeapSize / 1e5) / 10"


def main() -> None:
    """Everything is measured once."""
    parser = argparse.ArgumentParser(prog="python -m tests.pane.at_scale", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--minutes", type=float, default=10)
    asked = parser.parse_args()
    with Theatre() as theatre, browsing() as browser:
        theatre.do(theatre.swarm.sleepers(asked.rows), within_s=600)
        seat = Seat(browser, theatre)
        page = seat.look("?fold=waiting_on_you,finished")
        page.wait_for_selector(".strip.sleeping")
        print(f"{asked.rows:,} rows: {_began(page)}")
        print(f"scrolling for 8 s: {page.evaluate(SCROLL)}")
        moving = theatre.begin(_change(theatre))
        for minute in range(int(asked.minutes) + 1):
            print(f"after {minute} min of {CHANGES_PER_S} changes/s: {page.evaluate(HEAP)} MB of heap", flush=True)
            page.wait_for_timeout(60_000 if minute < int(asked.minutes) else 0)
        moving.cancel()
        seat.close()


def _began(page: Page) -> str:
    first_row = page.evaluate("() => Math.round(performance.now())")
    return f"first paint {page.evaluate(PAINTED)} ms, first row by {first_row} ms"


async def _change(theatre: Theatre) -> Any:
    """Rows change, for ever: one is frozen, or thawed."""
    luck, cold = random.Random(7), set[str]()
    everyone = await theatre.swarm.stage.all()
    while True:
        one = luck.choice(everyone[:2_000])
        act = steer.thaw if one in cold else steer.freeze
        cold ^= {one}
        await act(theatre.swarm.at, one, reason="to see it change")
        await asyncio.sleep(1 / CHANGES_PER_S)


if __name__ == "__main__":
    main()
