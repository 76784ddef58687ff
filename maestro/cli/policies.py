"""Policies as files: is one good, and what would it have decided."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import JsonValue
from rich.text import Text

from maestro.adapters.files.policies import PolicyFile
from maestro.cli import reading
from maestro.cli.command import Call
from maestro.cli.output import Column
from maestro.cli.words import signed_usd
from maestro.errors import InvalidInput
from maestro.policy.policy import policy_of
from maestro.runtime import verbs, whatif
from maestro.runtime.whatif import Redecided

ActionWord = Annotated[Literal["check", "whatif"], typer.Argument(help="What to do.")]
PolicyPath = Annotated[Path, typer.Argument(metavar="FILE", help="A policy in TOML: see docs/policy.schema.json.")]
Since = Annotated[
    str | None, typer.Option(metavar="SPAN", help="Only of ticks since 90m, 3h, 7d ago.", show_default=False)
]


async def policy(call: Call, action: ActionWord, file: PolicyPath, since: Since = None) -> None:
    """Check a policy file. Decide all recorded model calls again under it: no model is called, nothing is written."""
    config = PolicyFile(file).now()
    if action == "check":
        if since is not None:
            raise InvalidInput("check looks at no ticks", field="since", hint="write `maestro policy whatif FILE`")
        told: dict[str, JsonValue] = {"file": str(file), "ok": True, "policy": config.policy}
        call.out.record(told, Text(f"{file} is good: {config.policy}"))
        return
    at, text = await call.at(), policy_of(file.read_text())
    first_ms = 0 if since is None else await at.backend.clock.now_ms() - reading.duration_ms(since, "since")
    found: list[Redecided] = []
    for partition in verbs.partitions(at):
        for cid in await at.backend.records.ids(partition):
            found += [one for one in await whatif.redecided(at, cid, text) if one.at_ms >= first_ms]
    rows = _summed(found)
    columns = [
        Column("CALLS", lambda row: str(row["calls"]), right=True),
        Column("THEN", lambda row: str(row["old"]), whole=True),
        Column("WOULD BE", lambda row: str(row["new"]), whole=True),
        Column("AT MOST", lambda row: signed_usd(int(str(row["delta_usd_micros"]))), right=True),
    ]
    changed = sum(1 for one in found if one.differs)
    delta = sum(one.delta_usd_micros for one in found)
    sums: dict[str, JsonValue] = {"calls": len(found), "changed": changed, "delta_usd_micros": delta}
    whole: JsonValue = {"policy": config.policy, **sums, "rows": list(map(dict, rows))}
    call.out.rows(rows, columns, "No model call is recorded.", whole)
    call.out.note(f"{len(found)} calls, {changed} of them decided otherwise: {signed_usd(delta)} at most.")


def _summed(found: list[Redecided]) -> list[dict[str, JsonValue]]:
    """How often one decision would have been another, the most frequent first."""
    calls: Counter[tuple[str, str]] = Counter()
    deltas: Counter[tuple[str, str]] = Counter()
    for one in found:
        calls[one.recorded, one.told] += 1
        deltas[one.recorded, one.told] += one.delta_usd_micros
    return [
        {"old": old, "new": new, "calls": count, "delta_usd_micros": deltas[old, new]}
        for (old, new), count in calls.most_common()
    ]
