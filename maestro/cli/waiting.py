"""`maestro wait`: nothing is told until there is something for you, then that, and it is over.

What is for you: a question, an approval, a lack of budget, one that is held; a finding; the end of whom you wait for.
What stands open already is told at once, so that between two waits nothing is missed; of findings only new ones are.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence

import orjson
from pydantic import JsonValue
from rich.text import Text

from maestro.cli.command import Call, MaybeId
from maestro.cli.inert import inert
from maestro.gateway.inbox import asked_in, item_of
from maestro.ids import ContinuationId, Partition, partition_of
from maestro.pane import views
from maestro.runtime import verbs
from maestro.runtime.verbs import Installation

LOOK_S = 0.25
PAGE = 2_000
Told = dict[str, JsonValue]


async def wait(call: Call, id: MaybeId = None) -> None:
    """Until there is something for you, of ID or of anybody: print it. A --timeout-s that passes is exit code 124."""
    at = await call.at()
    whose = None if id is None else (await call.find(id)).id
    places = {part: (await at.backend.records.span(part))[1] for part in _partitions(at, whose)}
    told = await _open(at, places, whose)
    while not told:
        news = await _news(at, places, whose)
        told = await _found(at, news) or (await _open(at, places, whose) if news else [])
        if not told:
            await asyncio.sleep(LOOK_S)
    call.out.record(told[0], _line(told[0]))


def _partitions(at: Installation, whose: ContinuationId | None) -> Sequence[Partition]:
    return verbs.partitions(at) if whose is None else [partition_of(whose)]


async def _news(
    at: Installation, places: dict[Partition, str], whose: ContinuationId | None
) -> list[Mapping[str, JsonValue]]:
    """What the feeds told behind `places`, which are moved on."""
    news: list[Mapping[str, JsonValue]] = []
    for part in places:
        while batch := await at.backend.records.feed(part, places[part], PAGE):
            news += [orjson.loads(fact.body) for fact in batch]
            places[part] = batch[-1].position
    return [fact for fact in news if fact.get("cid") and whose in (None, fact["cid"])]


async def _open(at: Installation, places: Mapping[Partition, str], whose: ContinuationId | None) -> list[Told]:
    """What people are asked now, the soonest timeout first; else the end of the one that is waited for."""
    waiting = [(await at.backend.records.waiting(part)).items() for part in places]
    rows = [orjson.loads(row) for part in waiting for cid, row in part if whose in (None, cid)]
    asked = sorted((one for row in rows for one in asked_in(row)), key=lambda one: one.order)
    if asked or whose is None:
        return [item_of(one, None).model_dump(mode="json") for one in asked]
    checkpoint = await verbs.checkpoint_of(at, whose)
    if not checkpoint.terminal:
        return []
    ended: Told = {"kind": "end", "continuation": whose, "status": checkpoint.status.value, "result": checkpoint.result}
    return [{**ended, "reason": checkpoint.stop_detail or checkpoint.stop_reason}]


async def _found(at: Installation, news: Sequence[Mapping[str, JsonValue]]) -> list[Told]:
    """The findings of these ticks."""
    found: list[Told] = []
    for fact in news:
        directives = fact.get("directives")
        if isinstance(directives, list) and "report" in directives:
            rows = views.findings(await at.backend.records.findings(ContinuationId(str(fact["root"]))))
            mine = [row for row in rows if (row["continuation"], row.get("rev")) == (fact["cid"], fact["rev"])]
            found += [{"kind": "finding", **row} for row in mine]
    return found


def _line(told: Told) -> Text:
    return Text("  ").join(Text(inert(part)) for part in _words(told) if part)


def _words(told: Told) -> Iterator[str]:
    yield str(told["continuation"])
    match told["kind"]:
        case "finding":
            yield f"found: {told['title']}"
        case "end":
            yield f"{told['status']}: {told['reason'] or told['result'] or ''}"
        case kind:
            yield f"{kind}: {told['question']}"
            yield str(told["then"] or "")
