"""`maestro chaos`: faults on a schedule that a seed draws, and a checker of what came of them."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue
from rich.text import Text

from maestro.chaos import run as runs
from maestro.chaos.catalogue import PROFILES
from maestro.chaos.stage import staged
from maestro.cli.command import Call
from maestro.errors import IntegrityError, InvalidInput

SHOWN = 20


async def chaos(
    call: Call,
    action: Annotated[
        str, typer.Argument(metavar="run|check", help="Wound an installation of its own, or judge one run.")
    ],
    place: Annotated[
        Path | None, typer.Argument(metavar="[PLACE]", help="run: a folder for the evidence. check: a history.jsonl.")
    ] = None,
    profile: Annotated[str, typer.Option(help=f"One of {', '.join(PROFILES)}.")] = "everything",
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same schedule.")] = 0,
    minutes: Annotated[float, typer.Option(min=0.1, max=1_440, help="How long the faults last.")] = 1.0,
    tellers: Annotated[int, typer.Option(min=2, max=10_000, help="Continuations of the workload.")] = 8,
    ground: Annotated[str, typer.Option(help="cluster: what `maestro up` starts. bare: plain processes.")] = "cluster",
) -> None:
    """Faults against an installation of its own, never yours, and the invariants I1 to I12 over what came of it.

    Exit 1 when a promise was not kept, or a process grew.
    """
    match action:
        case "run":
            folder = place or Path(f"chaos-{profile}-{seed}")
            plan = runs.Plan(profile, seed, minutes, tellers=tellers)
            call.out.note(f"The evidence goes to {folder}.")
            verdict = await staged(plan, folder, ground)
        case "check":
            if place is None:
                raise InvalidInput("a history is needed", field="file", hint="maestro chaos check FOLDER/history.jsonl")
            if not place.is_file():
                raise InvalidInput(f"{place} is no file", field="file", hint="give the history.jsonl of a run")
            verdict = runs.judged(place.parent)
        case _:
            raise InvalidInput(f"chaos does not know {action!r}", field="action", hint="say run or check")
    _told(call, verdict)


def _told(call: Call, verdict: runs.Verdict) -> None:
    violations: list[JsonValue] = [
        {"invariant": each.invariant, "about": each.about, "proof": each.proof} for each in verdict.violations
    ]
    trends: list[JsonValue] = [dict(trend.told()) for trend in verdict.trends]
    data: dict[str, JsonValue] = {
        "ok": verdict.is_good, **verdict.figures, "violations": violations, "processes": trends,
    }  # fmt: skip
    lines = [f"{name}: {value}" for name, value in verdict.figures.items()]
    lines += [
        f"{trend.name} {trend.pid}: {trend.rss_mb:.1f} MB, {trend.slope_mb_per_h:+.2f} MB/h, "
        f"{trend.files_grown:+.0f} files{'' if trend.is_flat else '  GROWS'}"
        for trend in verdict.trends
    ]
    lines += [str(each) for each in verdict.violations[:SHOWN]]
    call.out.record(data, Text("\n".join(lines)))
    if verdict.violations:
        first = verdict.violations[0]
        raise IntegrityError(f"{len(verdict.violations)} violations, the first: {first}", hint="the evidence is kept")
    if not verdict.is_good:
        raise IntegrityError("a process grew", hint="see the figures above")
