"""Where the time of a tick goes: the closed loop of `ticks` under cProfile, the heaviest functions by their own time.

Run: python -m benchmarks.profiled [--slots 64] [--seconds 5] [--by tottime|cumtime] [--lines 40]
"""

import argparse
import asyncio
import cProfile
import pstats
import time

import uvloop

from benchmarks.behaviours import Sleeper
from benchmarks.stage import house, stage
from benchmarks.ticks import SEVERAL, ClosedLoop


async def profile(slots: int, for_s: float) -> tuple[cProfile.Profile, float, float]:
    """The profile, ticks per second while it was taken, and this process' CPU time for each."""
    with stage() as server:
        async with house(server.url, slots) as here:
            cids, loop, taken = await here.sleepers(Sleeper, [None] * SEVERAL), ClosedLoop(here), cProfile.Profile()
            cpu = time.process_time()
            taken.enable()
            rate = await loop.run(cids, for_s)
            taken.disable()
            return taken, rate, (time.process_time() - cpu) / max(1, len(loop.seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slots", type=int, default=SEVERAL)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--by", default="tottime")
    parser.add_argument("--lines", type=int, default=40)
    asked = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        taken, rate, cpu_s = runner.run(profile(asked.slots, asked.seconds))
    print(f"{rate:,.0f} ticks/s under the profiler, {cpu_s * 1e6:,.0f} us of CPU a tick")
    pstats.Stats(taken).sort_stats(asked.by).print_stats(asked.lines)


if __name__ == "__main__":
    main()
