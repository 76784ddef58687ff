"""Runs of the simulation from the command line.

`python -m maestro.testing` with
    --seeds 10000 --from 0     many seeds, on all cores; exit 1 if any fails
    --seed 17                  one seed, twice, with all that is known of it
    --story                    three weeks, once undisturbed and once per cut point
"""

import argparse
import sys
import time
from collections.abc import Iterable

from maestro.testing.simulation import Verdict, simulate
from maestro.testing.spread import cores, spread
from maestro.testing.story import cuts, tell, tell_all


def main(words: list[str] | None = None) -> int:
    """The exit status: 0 when nothing was violated."""
    asked = _asked(words)
    if asked.seed is not None:
        return _replay(asked.seed)
    if asked.story:
        return _cut_the_story(asked.jobs)
    return _many(range(asked.first, asked.first + asked.seeds), asked.jobs)


def _asked(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m maestro.testing", description="Simulate Maestro on virtual time.")
    parser.add_argument("--seeds", type=int, default=1_000, help="how many seeds")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="one seed, twice, told in full")
    parser.add_argument("--story", action="store_true", help="three weeks, cut at every write")
    parser.add_argument("--jobs", type=int, default=cores(), help="processes")
    return parser.parse_args(words)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _replay(seed: int) -> int:
    first, second = simulate(seed), simulate(seed)
    _say(f"seed {seed}: {first.options}")
    _say(f"{first.virtual_s:.0f} virtual seconds, {first.ticks} ticks, {first.faults} faults, fenced {first.fenced}")
    for violation in first.violations:
        _say(f"  {violation}")
    if first != second:
        _say(f"the second run differs: {first.fingerprint} and {second.fingerprint}")
        return 1
    _say(f"fingerprint {first.fingerprint}, twice")
    return bool(first.violations)


def _many(seeds: Iterable[int], jobs: int) -> int:
    began_s, verdicts = time.monotonic(), list[Verdict]()
    for verdict in spread(simulate, seeds, jobs):
        verdicts.append(verdict)
        if verdict.violations:
            _say(f"seed {verdict.seed}: {verdict.options}")
            for violation in verdict.violations[:10]:
                _say(f"  {violation}")
        if len(verdicts) % 1_000 == 0:
            _say(f"{len(verdicts)} seeds, {time.monotonic() - began_s:.0f} s")
    failed = [verdict.seed for verdict in verdicts if verdict.violations]
    days = sum(verdict.virtual_s for verdict in verdicts) / 86_400
    totals = {what: sum(getattr(verdict, what) for verdict in verdicts) for what in ("ticks", "faults", "fenced")}
    told = ", ".join(f"{what} {total}" for what, total in totals.items())
    _say(f"{len(verdicts)} seeds, {len(failed)} failed; {days:.1f} virtual days; {told}")
    if failed:
        _say(f"replay one: python -m maestro.testing --seed {failed[0]}")
    return bool(failed)


def _cut_the_story(jobs: int) -> int:
    began_s, whole = time.monotonic(), tell()
    places = list(cuts(whole))
    _say(f"three weeks: {len(whole.writes)} writes in {time.monotonic() - began_s:.1f} s, state {whole.state[:16]}")
    wrong = 0
    for story in tell_all(places, jobs):
        if story.state != whole.state or story.wrong:
            wrong += 1
            _say(f"  cut {story.cut}: state {story.state[:16]} {story.wrong}")
    _say(f"{len(places)} cut points, {wrong} differ, {time.monotonic() - began_s:.0f} s")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
