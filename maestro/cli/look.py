"""Looking: list, show, why, log, field, watch. Nothing here changes anything."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated

import orjson
import typer
from pydantic import JsonValue
from rich.text import Text

from maestro.cli.command import Call, Id, MaybeId
from maestro.cli.inert import inert
from maestro.cli.output import Column, Row, facts, pretty
from maestro.cli.telling import tell_answers
from maestro.cli.words import (
    account,
    amount,
    distance,
    moment,
    sentence,
    shortest,
    span,
    state,
    usd,
    with_readable,
)
from maestro.continuation.lifecycle import Activity, Hold, Status
from maestro.errors import InvalidInput, NotFound
from maestro.ids import ContinuationId, Partition
from maestro.runtime import verbs
from maestro.runtime.fieldview import freshness_words
from maestro.runtime.verbs import Installation
from maestro.tick.records import Fact, Records

STATES = (*Activity, *Status, *Hold)
WATCH_POLL_S = 0.25
TAIL = 10
FEED_PAGE = 2_000


async def list_(
    call: Call,
    state: Annotated[
        str | None, typer.Option(help="Only these: sleeping, waiting_on_you, completed, quarantined ...")
    ] = None,
    behaviour: Annotated[str | None, typer.Option(help="Only this behaviour.")] = None,
    parent: Annotated[str | None, typer.Option(help="Only children of this ID.")] = None,
    tree: Annotated[bool, typer.Option("--tree", help="Children below their parents.")] = False,
) -> None:
    """All continuations, one line each, oldest first."""
    if state is not None and state not in STATES:
        known = ", ".join(dict.fromkeys(map(str, STATES)))
        raise InvalidInput(f"{state!r} is no state", field="state", hint=f"use one of {known}")
    maestro = await call.maestro()
    whose = None if parent is None else (await call.find(parent)).id
    every = await maestro.alist()
    rows: list[Row] = [
        {**row, "spent": usd(row["spent_usd_micros"])}
        for row in every
        if (state is None or state in (row["activity"], row["status"], row["hold"]))
        and (behaviour is None or row["behaviour"] == behaviour)
        and (whose is None or row["parent"] == whose)
    ]
    depths = {str(row["id"]): 0 for row in rows}
    if tree:
        rows, depths = _as_tree(rows)
    short = shortest([str(row["id"]) for row in every])
    empty = "Nobody here yet: `maestro start literature --goal ...`" if not every else "None of them."
    call.out.rows(rows, _list_columns(rows, short, depths), empty)


async def show(call: Call, id: Id) -> None:
    """Everything about one continuation."""
    handle = await call.find(id)
    told = await handle.astatus()
    now_ms = await (await call.at()).backend.clock.now_ms()
    call.out.record({**told, "budget": with_readable(told["budget"])}, _title(told), facts(_facts(told, now_ms)))


async def why(call: Call, id: Id) -> None:
    """Why it is as it is, in one sentence."""
    handle = await call.find(id)
    told = await handle.awhy()
    call.out.record({"id": handle.id, "why": told}, Text(inert(sentence(told))))


async def log(
    call: Call,
    id: Id,
    tick: Annotated[int | None, typer.Option(min=0, help="Only this tick, in full; 0 is its birth.")] = None,
) -> None:
    """Its committed ticks, one line each."""
    handle = await call.find(id)
    if tick is None:
        call.out.rows(
            await handle.alog(), _LOG_COLUMNS, f"{handle.id} has not ticked yet: see `maestro why {handle.id}`"
        )
        return
    found = await handle.alog(tick, tick)
    if not found:
        raise NotFound(f"{handle.id} has no tick {tick}", field="tick", hint=f"see `maestro log {handle.id}`")
    call.out.record(found[0], facts([(name, _plain(name, value)) for name, value in found[0].items()]))


async def field(call: Call, id: Id, top: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20) -> None:
    """What weighs most in its context, heaviest first."""
    handle = await call.find(id)
    call.out.rows(
        await handle.afield(top), _FIELD_COLUMNS, "Its field is empty: nothing it subscribed to has come yet."
    )
    call.out.note(freshness_words(await handle.afreshness()))


async def watch(
    call: Call,
    id: MaybeId = None,
    last: Annotated[int, typer.Option(min=0, help="Begin with so many that happened before.")] = TAIL,
) -> None:
    """What happens, live, until Ctrl-C; of ID its answers, too, while they are written. With -o json one line each."""
    at = await call.at()
    whose = None if id is None else (await call.find(id)).id
    facts = _tell_facts(call, at, whose, last)
    await (facts if whose is None else asyncio.gather(facts, tell_answers(call.out, at, whose)))


async def _tell_facts(call: Call, at: Installation, whose: ContinuationId | None, last: int) -> None:
    seen: dict[Partition, str] = dict.fromkeys(verbs.partitions(at), "0-0")
    begun = False
    while True:
        news = [fact for partition in seen for fact in await _news(at.backend.records, partition, seen)]
        told = [fact for fact in news if whose is None or fact.get("cid") == whose]
        for fact in told if begun else _newest(told, last):
            call.out.live(fact, _fact_line(fact))
        begun = True
        await asyncio.sleep(WATCH_POLL_S)


async def _news(records: Records, partition: Partition, seen: dict[Partition, str]) -> list[Row]:
    """What the feed of a partition has beyond `seen`, which is moved on."""
    news: list[Fact] = []
    while batch := await records.feed(partition, seen[partition], FEED_PAGE):
        news += batch
        seen[partition] = batch[-1].position
    return [{**orjson.loads(fact.body), "position": fact.position} for fact in news]


def _newest(told: list[Row], count: int) -> list[Row]:
    return sorted(told, key=lambda fact: _number(fact.get("at_ms")))[len(told) - min(count, len(told)) :]


def _fact_line(fact: Row) -> Text:
    trigger = fact.get("trigger")
    woken = f"woken by {_woken(trigger)}" if isinstance(trigger, dict) else str(fact["type"])
    charges = fact.get("charges")
    cost = usd(charges["usd"]) if isinstance(charges, dict) and charges.get("usd") else ""
    words = [moment(fact.get("at_ms")), str(fact.get("behaviour", "")), str(fact.get("cid", ""))]
    line = Text("  ".join(words), style="dim")
    rest = [f"tick {fact['rev']}" if "rev" in fact else "", woken, cost, sentence(str(fact.get("reason", "")))]
    return line.append("  " + inert("  ".join(filter(None, rest))), style="not dim")


def _list_columns(rows: Sequence[Row], short: Mapping[str, str], depths: Mapping[str, int]) -> list[Column]:
    named = any(row["name"] for row in rows)
    name = [Column("NAME", lambda row: str(row["name"] or ""), whole=True)] if named else []
    return [
        Column("ID", lambda row: "  " * depths[str(row["id"])] + short[str(row["id"])], whole=True),
        *name,
        Column("BEHAVIOUR", lambda row: str(row["behaviour"]), most=14),
        Column("STATE", _state_of, whole=True),
        Column("TICKS", lambda row: str(row["rev"]), right=True),
        Column("SPENT", lambda row: str(row["spent"]), right=True, whole=True),
        Column("GOAL", lambda row: str(row["goal"]), most=36),
        Column("WHY", lambda row: sentence(str(row["reason"]))),
    ]


def _state_of(row: Row) -> Text:
    if row["activity"] == Activity.DONE:
        return state(row["status"])
    return state(row["activity"]) if row["hold"] is None else Text(str(row["hold"]).replace("_", " "), style="bold red")


def _as_tree(rows: Sequence[Row]) -> tuple[list[Row], dict[str, int]]:
    """The rows with children below their parents, and how deep each stands."""
    here = {str(row["id"]) for row in rows}
    below: dict[str | None, list[Row]] = {}
    for row in rows:
        below.setdefault(str(row["parent"]) if row["parent"] in here else None, []).append(row)
    ordered: list[Row] = []
    depths: dict[str, int] = {}
    open_: list[tuple[Row, int]] = [(row, 0) for row in reversed(below.get(None, []))]
    while open_:
        row, depth = open_.pop()
        ordered.append(row)
        depths[str(row["id"])] = depth
        open_ += [(child, depth + 1) for child in reversed(below.get(str(row["id"]), []))]
    return ordered, depths


def _title(told: Row) -> Text:
    name = f" {told['name']}" if told["name"] else ""
    text = Text(inert(f"{told['behaviour']}{name}"), style="bold").append(f"  {told['id']}  ", style="not bold")
    return text.append_text(_state_of(told))


def _facts(told: Row, now_ms: int) -> list[tuple[str, str | Text]]:
    goal = told["goal"] if isinstance(told["goal"], dict) else {}
    wake = distance(told["next_wake_ms"], now_ms) if told["next_wake_ms"] else ""
    return [
        ("goal", str(goal.get("goal", ""))),
        ("why", sentence(str(told["why"]))),
        ("next wake", wake),
        ("budget", _budget_lines(told["budget"])),
        ("ticks", f"{told['rev']}, under epoch {told['epoch']}; {told['unread']} unread"),
        ("last error", str(told["error"] or "")),
        ("actor", str(told["actor"] or f"none: asleep, in pool {told['pool']} when awake")),
        ("interests", "\n".join(_interest(item) for item in _list(told["interests"]))),
        ("parent", str(told["parent"] or "")),
        ("children", "\n".join(f"{c['id']}  {c['behaviour']}  {c['status']}" for c in _list(told["children"]))),
        ("forked from", _forked(told["forked_from"])),
        ("born", distance(told["created_at_ms"], now_ms)),
        ("last tick", distance(told["updated_at_ms"], now_ms) if told["rev"] else ""),
        ("code", f"version {told['behaviour_version']} of {told['behaviour']}"),
        ("input", pretty(told["input"]) if told["input"] is not None else ""),
        ("state", pretty(told["state"]) if told["state"] is not None else ""),
        ("result", pretty(told["result"]) if told["result"] is not None else ""),
        ("findings", "\n".join(_finding(finding) for finding in _list(told["findings"]))),
    ]


def _budget_lines(budget: JsonValue) -> str:
    accounts = budget if isinstance(budget, dict) else {}
    return "\n".join(f"{name}: {account(name, a)}" for name, a in accounts.items() if isinstance(a, dict))


def _interest(interest: Mapping[str, JsonValue]) -> str:
    relevance = interest["relevance"]
    return f"{interest['pattern']}" + (f", wakes at relevance {relevance} or above" if relevance is not None else "")


def _forked(origin: JsonValue) -> str:
    return f"{origin['id']} after tick {origin['rev']}" if isinstance(origin, dict) else ""


def _finding(finding: Mapping[str, JsonValue]) -> str:
    links = finding["links"] if isinstance(finding["links"], list) else []
    return "  ".join([inert(str(finding["title"])), *map(str, links)])


def _plain(name: str, value: JsonValue) -> str:
    """One value of a log record for people."""
    if name.endswith("_at_ms"):
        return f"{moment(value)} UTC"
    if name == "charges" and isinstance(value, dict):
        return ", ".join(f"{amount(resource, n)} {resource}" for resource, n in value.items())
    if name == "reason":
        return sentence(str(value))
    return "" if value in (None, [], {}) else value if isinstance(value, str) else pretty(value)


def _woken(trigger: Mapping[str, JsonValue]) -> str:
    subject = f" {trigger['subject']}" if trigger.get("subject") else ""
    return f"{trigger['kind']}{subject}"


def _trigger(row: Row) -> str:
    more = len(_list(row["consumed"])) - 1
    trigger = row["trigger"]
    return (_woken(trigger) if isinstance(trigger, dict) else "-") + (f" (+{more})" if more > 0 else "")


def _did(row: Row) -> str:
    """The acts of a tick by kind, but for the one that ends it when that is to sleep."""
    kinds = [str(d["type"]) for d in _list(row["directives"]) if d["type"] != "sleep"]
    counted = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
    return ", ".join(kind if n == 1 else f"{n} {kind}" for kind, n in counted.items())


def _thought(row: Row) -> str:
    effects = _list(row["effects"])
    failed = sum(effect["outcome"] != "answered" for effect in effects)
    return f"{len(effects)}" + (f" ({failed} failed)" if failed else "") if effects else ""


def _cost(row: Row) -> str:
    charges = row["charges"]
    return usd(charges["usd"]) if isinstance(charges, dict) and charges.get("usd") else ""


def _list(value: JsonValue) -> list[dict[str, JsonValue]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _number(value: JsonValue) -> float:
    return value if isinstance(value, int | float) else 0


def _weight(row: Row) -> str:
    """Pinned ones do not fade, and have none."""
    return "pinned" if row["weight"] is None else f"{_number(row['weight']):.3f}"


def _link(row: Row) -> str:
    links = row["links"]
    return str(links[0]) if isinstance(links, list) and links else ""


_LOG_COLUMNS = [
    Column("TICK", lambda row: str(row["rev"]), right=True),
    Column("COMMITTED (UTC)", lambda row: moment(row["committed_at_ms"]), whole=True),
    Column("WOKEN BY", _trigger, most=28),
    Column("CALLS", _thought, right=True),
    Column("COST", _cost, right=True, whole=True),
    Column("DID", _did, most=28),
    Column("THEN", lambda row: sentence(str(row["reason"]))),
]
_FIELD_COLUMNS = [
    Column("ENTRY", lambda row: str(row["id"]), whole=True),
    Column("WEIGHT", _weight, right=True),
    Column("SCORE", lambda row: f"{_number(row['score']):.2f}", right=True),
    Column("VIEW", lambda row: str(row["view"])),
    Column("AGE", lambda row: span(int(_number(row["age_ms"]))), right=True),
    Column("KIND", lambda row: str(row["kind"])),
    Column("TITLE", lambda row: str(row["title"]), most=60),
    Column("REASON", lambda row: str(row["reason"]), most=40),
    Column("LINK", _link),
]
